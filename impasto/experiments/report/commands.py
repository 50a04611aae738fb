"""Write the command line that reproduces a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from impasto.experiments.run import Run


def command_of(run: Run) -> str:
    """Return the command `impasto stylize ...` of a run for a POSIX shell, with every setting as a flag.

    The output file is named after the key of the task, so that the commands of several runs can be in one script.
    """
    task = run.task
    words = ["impasto", "stylize", _file(task.content), _file(task.style), "-o", f"{task.key}.png"]
    return shlex.join([*words, "--method", task.method, *flags_of(task.settings)])


def flags_of(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as command line flags, such as `["--style-weight", "10"]`."""
    return [word for name, value in settings.items() for word in _flag(name, value)]


def _file(name: str) -> str:
    """Protect a file name that starts with a dash from being read as a flag."""
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
