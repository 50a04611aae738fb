"""Keep images of more than `LARGE_PIXELS` pixels in temporary files instead of in memory.

Such an image is an ordinary tensor whose values are in a file that is mapped into the address space. The system reads
the pages that are in use and writes changed ones, so that tiles of an image that is larger than the memory can be read
and written. Except on Windows the files have no name, so that nothing is left of them when the tensors are freed or the
process is killed.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from impasto.cost import counted_as_files
from impasto.files import reason

LARGE_PIXELS = 200_000_000
"""Largest number of pixels of an image that is kept in memory; as float32 this takes 2.4 GB."""

_folder: ContextVar[Path | None] = ContextVar("folder of large images", default=None)
_is_planned: ContextVar[bool] = ContextVar("whether large images are only planned", default=False)
_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_lock = threading.Lock()
"""Of `_maps`, which several threads change."""


@contextmanager
def large_images_in(folder: Path | None, *, planned: bool = False) -> Iterator[None]:
    """Keep large images that are made in the block in temporary files.

    Args:
        folder: folder of the files, which exists. Default: that of the system for temporary files.
        planned: read large files at a small size, without a temporary file, because a run is only planned.
    """
    token, planned_token = _folder.set(_temporary_folder() if folder is None else folder), _is_planned.set(planned)
    try:
        yield
    finally:
        _folder.reset(token)
        _is_planned.reset(planned_token)


def folder_of_large_images() -> Path | None:
    """Return the folder of `large_images_in`; None outside of its block, where all images are in memory."""
    return _folder.get()


def is_planned() -> bool:
    """Return whether large images are only planned, in a block of `large_images_in`."""
    return _is_planned.get()


def space_remedy(folder: Path) -> str:
    """Return in words what to do where the temporary files do not fit on the disk of a folder."""
    is_default = folder == _temporary_folder()
    other = "set TMPDIR to a folder on another disk" if is_default else "write the output to another disk"
    return f"free some space, or {other}"


def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir())


def is_large(shape: Sequence[int]) -> bool:
    """Return whether an image of a shape `(..., H, W)` has more than `LARGE_PIXELS` pixels."""
    return math.prod(shape[-2:]) > LARGE_PIXELS


def empty_image(shape: Sequence[int], device: torch.device | str = "cpu", *, in_file: bool | None = None) -> Tensor:
    """Return a float32 tensor without defined values; on the CPU, a large one is in a file in `large_images_in`.

    Args:
        shape: shape of the tensor, `(B, C, H, W)`.
        device: its device.
        in_file: whether it counts as large. Default: by its number of pixels.

    Raises:
        ValueError: if the file does not fit on the disk.
    """
    folder, device = _folder.get(), torch.device(device)
    if folder is None or device.type not in ("cpu", "meta") or not (is_large(shape) if in_file is None else in_file):
        return torch.empty(shape, device=device)
    if device.type == "meta":
        with counted_as_files():
            return torch.empty(shape, device=device)
    size = 4 * math.prod(shape)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file, size)
            data = mmap.mmap(file.fileno(), size)
    except OSError as error:
        text = f"a temporary file of {size / 2**30:.1f} GiB in {str(folder)!r}: {reason(error)}"
        raise ValueError(f"cannot write {text}; {space_remedy(folder)}") from error
    with _lock:
        _maps.add(data)
    return torch.frombuffer(data, dtype=torch.float32).view(*shape)


def on_device(image: Tensor, device: torch.device | str) -> Tensor:
    """Return an image on a device, as `Tensor.to` does; a large one that stays on the CPU does not count as a copy."""
    stays = torch.device(device).type == "cpu" and image.device.type in ("cpu", "meta") and is_large(image.shape)
    return image if stays else image.to(device)


def release_pages() -> None:
    """Give the memory of the pages of large images back to the system, which keeps their values."""
    if hasattr(mmap, "MADV_DONTNEED"):
        with _lock:
            maps = list(_maps)
        for each in maps:
            each.madvise(mmap.MADV_DONTNEED)  # drops no change, because the map is shared with the file


def _reserve(file: IO[bytes], size: int) -> None:
    """Reserve the space of a file: to write to a map on a full disk would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)
