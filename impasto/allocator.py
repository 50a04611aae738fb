"""Configure the memory allocator of the C library, where it is glibc: which freed memory a process keeps."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # parameters of mallopt in glibc's malloc.h
MAX_INT = 2**31 - 1
MAX_MMAP_THRESHOLD = 2**25  # limit of glibc
MOST_MAPPED_BLOCKS = 2**16
"""Default of glibc for the number of blocks that are mapped each on its own."""


def keep_freed_memory(*, of_any_size: bool = False) -> None:
    """Keep freed memory in the process for the next request instead of returning it to the system.

    Every optimization step requests the same tens of MiB; mapping and clearing them each time took a fifth of a step.
    Call it only in a process of impasto, such as a command. It has no effect where the C library is not glibc.

    Args:
        of_any_size: keep blocks of more than 32 MiB too, which glibc returns by default, except in a context of
            `large_blocks`. A step at 2048 pixels takes a third less time and a sixth more memory;
            methods with a single pass gain nothing.
    """
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, MAX_INT)
        mallopt(MMAP_THRESHOLD, MAX_MMAP_THRESHOLD)
    if of_any_size:
        keep_large_blocks()


def keep_large_blocks() -> None:
    """Keep freed blocks of more than 32 MiB in the process, which glibc returns by default.

    Mapping and clearing those of networks again takes time in every step. Call it only in a process of impasto.
    """
    _large_blocks.configure()


@contextmanager
def large_blocks(*, kept: bool) -> Iterator[None]:
    """Keep or return blocks of more than 32 MiB that are requested within a context; has no effect on values.

    A large block that is kept is divided for smaller requests, and the next large block finds only gaps: at 8192x6144
    pixels, gaps took 1.6 GiB. So the blocks of networks, which are the same in every step, are kept, and those of the
    size of an image, which are few, are returned.

    Args:
        kept: whether they are kept when they are freed. Only after `keep_large_blocks`, in all threads.
    """
    before = _large_blocks.kept
    _large_blocks.keep(kept)
    try:
        yield
    finally:
        _large_blocks.keep(before)


class _LargeBlocks:
    """Whether blocks of more than 32 MiB are kept, in a process that decides about them."""

    def __init__(self) -> None:
        self.kept = False
        self._is_configured = False

    def configure(self) -> None:
        """Keep them from now on, unless a context decides otherwise."""
        self._is_configured, self.kept = True, False
        self.keep(True)

    def keep(self, kept: bool) -> None:
        """Keep or return them from now on, in a process that decides about them."""
        if kept is not self.kept:
            self.kept = kept
            if self._is_configured:
                _set_most_mapped_blocks(0 if kept else MOST_MAPPED_BLOCKS)


_large_blocks = _LargeBlocks()


def is_mapped(size: int) -> bool:
    """Return whether a block of `size` bytes that is requested now takes that memory exactly, and returns it."""
    return size >= MAX_MMAP_THRESHOLD and not _large_blocks.kept


def _set_most_mapped_blocks(count: int) -> None:
    """Set the number of large blocks that glibc maps each on its own, and returns when they are freed."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(MMAP_MAX, count)


@contextmanager
def returned_memory() -> Iterator[None]:
    """Call `return_freed_memory` at the end of the block."""
    try:
        yield
    finally:
        return_freed_memory()


def return_freed_memory() -> None:
    """Return memory that was freed to the system, where the C library is glibc; elsewhere this has no effect.

    glibc keeps it while a block above it is in use. In a loop of stylizations with VGG-19, the memory of the process
    then varied from 270 to 420 MiB between two calls; it is 160 MiB with this function, which takes 20 ms.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
