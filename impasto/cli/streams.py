"""Prepare stdin, stdout and stderr of a process, and read or write images through them (`-` as the name of a file)."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress


def prepare_streams() -> None:
    """Open closed streams to nowhere, and let messages to stderr never fail.

    A file that is opened later would otherwise get the number of a closed stream, and messages would be written into
    it. A stderr that cannot be written to, such as that of a full disk, must not lose an image.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    stderr = os.fdopen(2, "wb", closefd=False) if sys.stderr is None else sys.stderr.buffer
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    sys.stderr = MessageStream(stderr, encoding=encoding, errors="backslashreplace", line_buffering=True)


STANDARD = "-"
"""Name of stdin as an input and of stdout as an output; a file with this name is `./-`."""


def open_inputs(names: Sequence[str]) -> list[str | io.BytesIO]:
    """Return the names of input files, with the content of stdin in place of `-`.

    Raises:
        ValueError: if several inputs are stdin, or if it is a terminal or empty.
    """
    if names.count(STANDARD) > 1:
        raise ValueError("only one input can be - (stdin); give files for the others")
    return [_read_stdin() if name == STANDARD else name for name in names]


def _read_stdin() -> io.BytesIO:
    hint = "pipe an image into it, or give a file (one named - is ./-)"
    if sys.stdin.isatty():
        raise ValueError(f"-: stdin is a terminal; {hint}")
    stream = io.BytesIO(sys.stdin.buffer.read())
    if not stream.getbuffer().nbytes:
        raise ValueError(f"-: stdin is empty; {hint}")
    stream.name = "stdin"
    return stream


def check_stdout() -> None:
    """Check that stdout can take an image.

    Raises:
        ValueError: if it is a terminal.
    """
    if sys.stdout.isatty():
        raise ValueError("-o -: stdout is a terminal; redirect it to a file or a pipe")


def write_stdout(data: bytes) -> None:
    """Write the content of a file to stdout."""
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


class MessageStream(io.TextIOWrapper):
    """A stream of text that ignores errors."""

    def write(self, text: str) -> int:
        """Write a text and return its length."""
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with suppress(OSError):
            super().flush()
