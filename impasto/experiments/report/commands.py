"""The command line that paints a run again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from impasto.experiments.run import Run


def command_of(run: Run) -> str:
    """`impasto stylize ...` for a POSIX shell, with every setting as a flag.

    The picture goes to a file of the run's own, so that the commands of several runs can stand in one script.
    """
    task = run.task
    words = ["impasto", "stylize", _picture(task.content), _picture(task.style), "-o", f"{task.key}.png"]
    return shlex.join([*words, "--method", task.method, *flags_of(task.settings)])


def flags_of(settings: Mapping[str, Any]) -> list[str]:
    """Settings as flags: `["--style-weight", "10"]`."""
    return [word for name, value in settings.items() for word in _flag(name, value)]


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
