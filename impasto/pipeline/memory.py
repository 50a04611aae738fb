"""Predict the peak memory of a run, and refuse a run that does not fit before it begins."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from impasto.allocator import return_freed_memory
from impasto.backbones.tile_workers import TileWorkers
from impasto.devices import free_memory, memory_in_use_mib, pick_device
from impasto.executors import LocalProcesses
from impasto.images import fit, folder_of_large_images, is_large, space_remedy
from impasto.methods import METHODS, Method, configure
from impasto.methods.feed_forward import FeedForward
from impasto.pipeline.trial import GAPS, PEAK_STEPS, WORKER_MEMORY, CountedTrial, count_trial, with_size
from impasto.regions.subject import Subject

CODE_MIB = 100
"""Memory of code that the first operations load or compile, in MiB."""
LARGEST_COST = 2**15
"""Bytes per pixel of the output and of the styles that no method needs. What would fit even so is not counted."""
LARGEST_ONE_PASS_COST = 5 * 2**10
"""The same for a method that computes its output in one pass: previews are not counted, which would take longer."""
LARGEST_WEIGHTS = 2**27
"""Bytes that the weights of no method need, with their copies in the memory layouts for maps of several sizes."""
TILE = 512
"""Side in pixels of the tiles that are proposed where they are larger, or disabled."""
SHORT_HISTORY = 3
"""Number of pairs of L-BFGS that is proposed."""
SIZE_STEP = 32
"""Step in pixels of the size that is proposed instead of one that is too large."""
MIB = 2**20


@dataclass(frozen=True)
class Memory:
    """The memory of a device, in MiB."""

    device: torch.device
    in_use: float
    """In use by the process."""
    free: float | None
    """What the process can still use; None where it is not known."""

    @classmethod
    def of(cls, device: torch.device, loaded: int = 0) -> Memory:
        """Return the memory of a device now.

        Args:
            device: the device.
            loaded: bytes of main memory with tensors of the run that is to be predicted, which count as free.
        """
        free = free_memory(device)
        own = 0 if device.type == "cuda" else loaded / MIB
        return cls(device, memory_in_use_mib(device) - own, None if free is None else free / MIB + own)

    @property
    def available(self) -> float | None:
        """The largest memory that the process can reach; None where it is not known."""
        return None if self.free is None else self.in_use + self.free

    def peak(self, tensors: int) -> float:
        """Return the expected peak for the bytes of the tensors of a run and of the gaps between them."""
        return self.in_use + self._code + tensors / MIB

    def largest(self) -> float:
        """Return the bytes of tensors that fit, with the gaps between them."""
        return math.inf if self.free is None else (self.free - self._code) * MIB

    @property
    def _code(self) -> float:
        return 0 if self.device.type == "cuda" else CODE_MIB


def check_memory(name: str, method: Method, subject: Subject, loaded: int = 0) -> None:
    """Check that a run fits into the memory.

    Args:
        name: name of the method.
        method: the method with its settings.
        subject: images and masks at their own sizes.
        loaded: bytes of the state of an interrupted run, which is in memory already.

    Raises:
        ValueError: in one line, with what would fit.
    """
    memory = Memory.of(pick_device(method.config.device), loaded)
    is_in_memory = not is_large(method.final_shape(method.config, subject.content))
    if is_in_memory and memory.largest() >= _largest_cost(method, subject):
        return
    return_freed_memory()  # that of files of weights, for example, which the run would use again
    memory = Memory.of(memory.device, loaded)
    counted = count_trial(method, subject, PEAK_STEPS)
    if counted is not None and (problem := memory_problem(name, method, subject, memory, counted)):
        raise ValueError(problem)


def memory_problem(name: str, method: Method, subject: Subject, memory: Memory, counted: CountedTrial) -> str | None:
    """Return in one line why a run does not fit into the memory or on the disk and what would; None if it fits.

    Args:
        name: name of the method.
        method: the method with its settings.
        subject: images and masks at their own sizes.
        memory: memory before the run.
        counted: what was counted for the run.
    """
    if memory.available is None or counted.peak <= memory.largest():
        return disk_problem(counted)
    height, width = method.final_shape(method.config, subject.content)
    needed = f"{width}x{height} pixels with {name} need {gib(memory.peak(counted.peak))} of memory"
    remedies = _remedies(name, method, subject, memory.largest(), counted)
    return f"{needed}, and {gib(memory.available)} are available; {', or '.join(remedies) or 'free some memory'}"


def disk_problem(counted: CountedTrial) -> str | None:
    """Return in one line why the temporary files of a run do not fit on the disk; None if they fit."""
    folder = folder_of_large_images()
    if folder is None or not counted.in_files:
        return None
    free = shutil.disk_usage(folder).free
    if counted.in_files <= free:
        return None
    needed, left = gib(counted.in_files / MIB), gib(free / MIB)
    text = f"the temporary files of the images need {needed} in {str(folder)!r}, and {left} are free"
    return f"{text}; {space_remedy(folder)}"


def _remedies(name: str, method: Method, subject: Subject, limit: float, run: CountedTrial) -> list[str]:
    """Return the changes of the command with each of which it would fit into `limit` bytes of tensors."""
    config = method.config
    changes = _Changes(method, subject, limit)
    found = []
    if run.local_workers > 1 and (flags := changes.fewer_workers()):
        found.append(flags)
    if size := changes.largest_size(run.peak):
        found.append(f"give --size {size} or less")
    found += [flag for flag, changed in _savings(config) if changes.is_enough(replace(config, **changed))]
    if name != "micro" and method.workers is None:  # it computes an image in one process
        size = max(method.final_shape(config, subject.content))
        if changes.fits(METHODS["micro"](configure("micro", {"size": size, "device": config.device}))):
            found.append("--method micro, which computes in tiles")
    return found


@dataclass(frozen=True)
class _Changes:
    """Runs that differ from one that does not fit, each with the tiles that it would choose itself."""

    method: Method
    subject: Subject
    limit: float
    """Bytes of tensors that fit."""

    def fits(self, method: Method) -> bool:
        """Return whether another run fits."""
        counted = count_trial(method, self.subject, PEAK_STEPS)
        return counted is not None and counted.peak <= self.limit

    def is_enough(self, config: Any) -> bool:
        """Return whether the run with other settings fits."""
        try:
            return self.fits(self.method.with_changes(config, self.method.workers, self.subject.content))
        except ValueError:  # the network needs larger tiles
            return False

    def fewer_workers(self) -> str:
        """Return the number of workers with which the run fits, as large as possible; nothing where none fits.

        Fewer workers would choose larger tiles. Where these do not fit, the tiles of the run may.
        """
        config = self.method.config
        if count := self._most_workers(self.method):
            return f"give --workers {count}" if count > 1 else "leave out --workers"
        count = self._most_workers(self.method.with_config(config)) if self.method.chosen else 0
        return f"give --workers {count} --tile {config.tile}" if count else ""

    def _most_workers(self, method: Method) -> int:
        fits, too_many = 0, method.local_workers
        while too_many - fits > 1:
            count = (fits + too_many) // 2
            if self.fits(method.with_changes(method.config, self._workers(count), self.subject.content)):
                fits = count
            else:
                too_many = count
        return fits

    def _workers(self, count: int) -> TileWorkers | None:
        assert self.method.workers is not None
        executor = self.method.workers.executor
        return None if count == 1 and isinstance(executor, LocalProcesses) else TileWorkers(executor, count)

    def largest_size(self, needed: int) -> int:
        """Return a longer side of the output with which the run fits, in pixels; 0 where none does.

        Args:
            needed: bytes of the run that does not fit.
        """
        config, content, workers = self.method.config, self.subject.content, self.method.workers
        size = max(self.method.final_shape(config, content))
        while size >= SIZE_STEP and self.limit > 0:
            size = int(size * min(0.99, math.sqrt(self.limit / needed))) // SIZE_STEP * SIZE_STEP
            other = self.method.with_changes(with_size(config, size), workers, content) if size else None
            counted = None if other is None else count_trial(other, self.subject, PEAK_STEPS)
            if counted is None:
                break
            needed = counted.peak
            if needed <= self.limit:
                return size
        return 0


def _savings(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield flags that save memory at the same size, with their settings."""
    settings = vars(config)
    if settings.get("tile") is not None and not 0 < config.tile <= TILE:
        yield f"--tile {TILE}", {"tile": TILE}
    if settings.get("optimizer") == "lbfgs" and config.history > SHORT_HISTORY:
        yield f"--history {SHORT_HISTORY}", {"history": SHORT_HISTORY}


def _largest_cost(method: Method, subject: Subject) -> int:
    """Return more bytes than a run needs, from the sizes of the output and of the styles."""
    config = method.config
    shape = method.final_shape(config, subject.content)
    shapes = [shape]
    for region in subject.regions:
        side = max(1, round(max(shape) * config.style_scale * region.style_scale))
        shapes += [fit((style.image.shape[-2], style.image.shape[-1]), side) for style in region.styles]
    per_pixel = LARGEST_ONE_PASS_COST if isinstance(method, FeedForward) else LARGEST_COST
    gaps, workers = GAPS[pick_device(config.device).type], method.local_workers
    tensors = int(gaps * per_pixel) * sum(height * width for height, width in shapes)
    each = LARGEST_WEIGHTS + tensors  # no tile needs more than the whole image
    return (1 + workers) * each + workers * WORKER_MEMORY


def gib(mib: float) -> str:
    """Return an amount of memory as text for people."""
    return f"{mib / 1024:.1f} GiB" if mib >= 1000 else f"{mib:.0f} MiB"
