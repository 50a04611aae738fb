"""The command line that paints a run again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from impasto.experiments.run import Run


def command_of(run: Run) -> str:
    """`impasto stylize ...` for a POSIX shell, with every setting as a flag.

    The picture goes to a file of the run's own, so that the commands of several runs can stand in one script.
    """
    task = run.task
    words = ["impasto", "stylize", _picture(task.content), _picture(task.style), "-o", f"{task.key}.png"]
    words += ["--method", task.method]
    for name, value in task.settings.items():
        words += _flag(name, value)
    return shlex.join(words)


def _picture(name: str) -> str:
    """A file whose name starts with a dash is no flag."""
    return f"./{name}" if name.startswith("-") else name


def _flag(name: str, value: Any) -> Iterator[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        yield flag if value else f"--no-{flag[2:]}"
    elif isinstance(value, list | tuple):
        if value:
            yield from (flag, *map(str, value))
    elif value is not None:
        text = str(value)
        yield from (f"{flag}={text}",) if text.startswith("-") else (flag, text)
