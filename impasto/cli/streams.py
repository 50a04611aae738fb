"""Prepare stdin, stdout and stderr of a process, which may have been started without them (`>&-`)."""

from __future__ import annotations

import io
import os
import sys
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
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    stderr = os.fdopen(2, "wb", closefd=False) if sys.stderr is None else sys.stderr.buffer
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    sys.stderr = MessageStream(stderr, encoding=encoding, errors="backslashreplace", line_buffering=True)


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
