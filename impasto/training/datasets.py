"""Load training batches from folders of pictures.

A sample depends only on the seed and its index. A training that resumes therefore needs only its step, and each of
several processes computes its own samples.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.images import fill_hidden, open_picture, resize
from impasto.images.folders import pictures_in

MAX_CROP_FACTOR = 2
"""Largest side of a crop before it is reduced, in units of `crop`, for pictures that are large enough."""
MAX_SIDE_FACTOR = 4
"""Largest shorter side of a picture in the cache, in units of `crop`, so that a crop covers enough of the picture."""
PREFETCH = 3
"""Number of batches that are loaded in advance."""

Batch = dict[str, Tensor]
"""`"photo"` and `"painting"`: float32 `(B, 3, crop, crop)` in [0, 1], if their folder is given; `"seed"`: int64 `(B,)`,
a different non-negative seed for every sample of a training."""


class Dataset:
    """Random crops of the pictures in one or two folders and their subfolders.

    Every picture of a kind is used once per epoch, in a different order each time. A crop has a random position, is
    mirrored with a probability of one half, and covers a square of `crop` to `MAX_CROP_FACTOR * crop` pixels, reduced
    with antialiasing. A picture that cannot be read or is smaller than `crop` gives one warning and is replaced by the
    next one of the epoch.
    """

    def __init__(
        self,
        photos: str | Path | None,
        paintings: str | Path | None,
        crop: int,
        seed: int = 0,
        *,
        batch: int = 8,
        cache_bytes: int = 2**30,
    ) -> None:
        """List the pictures.

        Args:
            photos: folder of photographs, or None.
            paintings: folder of paintings, or None.
            crop: side of the crops in pixels.
            seed: seed of orders and crops.
            batch: number of samples per step.
            cache_bytes: memory for decoded pictures, in bytes.

        Raises:
            ValueError: if no folder is given, or a folder has no pictures.
        """
        folders = {"photo": photos, "painting": paintings}
        self.files = {kind: pictures_in(Path(folder)) for kind, folder in folders.items() if folder is not None}
        """Paths of the pictures by kind, `photo` and `painting`, sorted."""
        if not self.files:
            raise ValueError("no training data: give a folder of photos, of paintings, or both")
        self.crop, self.seed, self.batch_size = crop, seed, batch
        self._cache = _Cache(crop, cache_bytes)
        self._roots = {kind: Path(folder) for kind, folder in folders.items() if folder is not None}

    def batch(self, step: int, indices: Sequence[int] | None = None) -> Batch:
        """Return samples of one step.

        Args:
            step: index of the step, from 0.
            indices: indices of the samples within the batch; None: all.

        Raises:
            ValueError: if no picture of a folder can be read.
        """
        indices = range(self.batch_size) if indices is None else indices
        samples = [self._sample(step * self.batch_size + index) for index in indices]
        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}

    def batches(self, first: int, last: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        """Return the batches of the steps from `first` to before `last`, loaded in advance by a thread.

        Args:
            first: index of the first step.
            last: index after the last step.
            indices: indices of the samples within a batch; None: all.
        """
        pending: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1, "pictures") as pool:
            try:
                for step in range(first, last + PREFETCH):
                    if step < last:
                        pending.append(pool.submit(self.batch, step, indices))
                    if step >= first + PREFETCH and pending:
                        yield pending.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def fingerprints(self) -> dict[str, str]:
        """Return, for each kind, the number of files and a hash of their names relative to the folder."""
        return {kind: _fingerprint(files, self._roots[kind]) for kind, files in self.files.items()}

    def _sample(self, index: int) -> dict[str, Tensor]:
        sample = {kind: self._crop(kind, index) for kind in self.files}
        number = _random(self.seed, "seed", index).integers(2**63 - 1)
        return {**sample, "seed": torch.tensor(int(number))}

    def _crop(self, kind: str, index: int) -> Tensor:
        """Return a crop `(3, crop, crop)` in [0, 1]."""
        levels = self._picture(kind, index)
        height, width = levels.shape[-2:]
        generator = _random(self.seed, kind, index)
        side = int(generator.integers(self.crop, min(height, width, MAX_CROP_FACTOR * self.crop), endpoint=True))
        top = int(generator.integers(height - side, endpoint=True))
        left = int(generator.integers(width - side, endpoint=True))
        piece = levels[None, :, top : top + side, left : left + side].float() / 255
        if generator.random() < 0.5:
            piece = piece.flip(-1)
        return resize(piece, (self.crop, self.crop))[0]

    def _picture(self, kind: str, index: int) -> Tensor:
        """Return the levels `(3, H, W)` of a picture, or of the next one in the epoch that can be read."""
        files = self.files[kind]
        epoch, position = divmod(index, len(files))
        order = _order(self.seed, kind, epoch, len(files))
        for i in range(len(files)):
            levels = self._cache.levels(files[order[(position + i) % len(files)]])
            if levels is not None:
                return levels
        raise ValueError(f"{str(self._roots[kind])!r}: none of its {len(files)} pictures can be used; give another")


class _Cache:
    """A thread-safe cache of decoded pictures that drops the least recently used one first."""

    def __init__(self, crop: int, limit: int) -> None:
        self._crop, self._limit = crop, limit
        self._kept: OrderedDict[Path, Tensor] = OrderedDict()
        self._bytes = 0
        self._unusable: set[Path] = set()
        self._lock = threading.Lock()

    def levels(self, path: Path) -> Tensor | None:
        """Return uint8 levels `(3, H, W)`, or None, with one warning, for a picture that cannot be used."""
        with self._lock:
            if path in self._unusable:
                return None
            levels = self._kept.pop(path, None)
            if levels is None:
                try:
                    levels = _decode(path, self._crop)
                except (ValueError, OSError) as error:
                    self._unusable.add(path)
                    warnings.warn(f"left out: {error}", stacklevel=2)
                    return None
                self._bytes += levels.nbytes
            self._kept[path] = levels
            while self._bytes > self._limit:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
            return levels


def _decode(path: Path, crop: int) -> Tensor:
    picture = open_picture(path)
    image = fill_hidden(picture.image, picture.alpha)
    height, width = image.shape[-2:]
    shorter = min(height, width)
    if shorter < crop:
        raise ValueError(f"{str(path)!r}: its {width} x {height} pixels are smaller than a crop of {crop}")
    scale = min(1.0, MAX_SIDE_FACTOR * crop / shorter)
    image = resize(image, (round(height * scale), round(width * scale)))
    return (image[0] * 255).round().to(torch.uint8)


def _fingerprint(files: Sequence[Path], root: Path) -> str:
    names = "\n".join(path.relative_to(root).as_posix() for path in files)
    return f"{len(files)} files, {hashlib.sha256(names.encode(errors='surrogateescape')).hexdigest()[:12]}"


@lru_cache(maxsize=8)
def _order(seed: int, kind: str, epoch: int, count: int) -> list[int]:
    return [int(i) for i in _random(seed, f"order of {kind}", epoch).permutation(count)]


def _random(seed: int, purpose: str, index: int) -> np.random.Generator:
    """Return an independent generator for every sample and purpose."""
    return np.random.default_rng([seed, int.from_bytes(purpose.encode(), "big"), index])
