"""What the process does with memory it has freed."""

from __future__ import annotations

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of mallopt's parameters in glibc's malloc.h
MOST = 2**31 - 1
LARGEST = 2**25  # the most that glibc takes


def keep_freed_memory() -> None:
    """Keeps freed memory for the next request instead of giving it back to the system.

    Every step of a painting asks for the same tens of MiB; to have the system map and clear them anew took a fifth of
    a step. Only for a process that is ours, such as the command's; does nothing where the C library is not glibc.
    """
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, MOST)
        mallopt(MMAP_THRESHOLD, LARGEST)
