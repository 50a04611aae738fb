"""Folders of pictures as training batches: what a sample is depends on the seed and its number alone.

So a run that goes on needs to know nothing but its step, and each of several processes computes its own samples.
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

from impasto.images import load_image, resize
from impasto.images.folders import pictures_in

WIDEST = 2
"""The widest crop covers this many times `crop` before it is made smaller, where the picture is large enough."""
KEPT = 4
"""Pictures are kept with a shorter side of at most this many times `crop`, so that a crop shows more than a speck."""
AHEAD = 3
"""Batches that are made before they are asked for."""

Batch = dict[str, Tensor]
"""`"photo"` and `"painting"`: float32 `(B, 3, crop, crop)` in [0, 1], where there is a folder of them; `"seed"`: int64
`(B,)`, another non-negative one for every sample of a run."""


class Dataset:
    """Random crops of the pictures in one or two folders, all folders below them included.

    Each kind of picture is shown once an epoch, in an order of its own. A crop has a random place, is mirrored half
    the time, and covers a square of `crop` to `WIDEST * crop` pixels, made smaller with antialiasing. Pictures that
    cannot be read, or are smaller than `crop`, are warned of once, and the next of the epoch stands in.
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
        """`batch` is the number of samples a step; decoded pictures stay in memory up to `cache_bytes`.

        Raises `ValueError` where there is no folder, or no picture in one.
        """
        folders = {"photo": photos, "painting": paintings}
        self.files = {kind: pictures_in(Path(folder)) for kind, folder in folders.items() if folder is not None}
        """Paths of the pictures under `photo` and `painting`, sorted."""
        if not self.files:
            raise ValueError("there is nothing to learn from: give a folder of photos, of paintings, or both")
        self.crop, self.seed, self.batch_size = crop, seed, batch
        self._cache = _Cache(crop, cache_bytes)
        self._roots = {kind: Path(folder) for kind, folder in folders.items() if folder is not None}

    def batch(self, step: int, places: Sequence[int] | None = None) -> Batch:
        """The samples of a step (from 0), or those at some places of it; sample i of all is at step i // batch.

        Raises `ValueError` if no picture of a folder can be read.
        """
        places = range(self.batch_size) if places is None else places
        samples = [self._sample(step * self.batch_size + place) for place in places]
        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}

    def batches(self, first: int, last: int, places: Sequence[int] | None = None) -> Iterator[Batch]:
        """The batches of the steps from `first` to before `last`, the next ones being made in the background."""
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1, "pictures") as pool:
            try:
                for step in range(first, last + AHEAD):
                    if step < last:
                        waiting.append(pool.submit(self.batch, step, places))
                    if step >= first + AHEAD and waiting:
                        yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def fingerprints(self) -> dict[str, str]:
        """For each kind the number and a hash of the names of the files, as seen from their folder."""
        return {kind: _fingerprint(files, self._roots[kind]) for kind, files in self.files.items()}

    def _sample(self, index: int) -> dict[str, Tensor]:
        sample = {kind: self._crop(kind, index) for kind in self.files}
        number = _random(self.seed, "seed", index).integers(2**63 - 1)
        return {**sample, "seed": torch.tensor(int(number))}

    def _crop(self, kind: str, index: int) -> Tensor:
        """`(3, crop, crop)` in [0, 1]."""
        levels = self._picture(kind, index)
        height, width = levels.shape[-2:]
        chance = _random(self.seed, kind, index)
        side = int(chance.integers(self.crop, min(height, width, WIDEST * self.crop), endpoint=True))
        top = int(chance.integers(height - side, endpoint=True))
        left = int(chance.integers(width - side, endpoint=True))
        piece = levels[None, :, top : top + side, left : left + side].float() / 255
        if chance.random() < 0.5:
            piece = piece.flip(-1)
        return resize(piece, (self.crop, self.crop))[0]

    def _picture(self, kind: str, index: int) -> Tensor:
        """Levels `(3, H, W)` of the picture whose turn it is, or of the next in the epoch that can be read."""
        files = self.files[kind]
        epoch, place = divmod(index, len(files))
        order = _order(self.seed, kind, epoch, len(files))
        for i in range(len(files)):
            levels = self._cache.levels(files[order[(place + i) % len(files)]])
            if levels is not None:
                return levels
        raise ValueError(f"{str(self._roots[kind])!r}: none of its {len(files)} pictures can be used; give another")


class _Cache:
    """Decoded pictures, the least recently used forgotten first. Any thread may ask."""

    def __init__(self, crop: int, limit: int) -> None:
        self._crop, self._limit = crop, limit
        self._held: OrderedDict[Path, Tensor] = OrderedDict()
        self._bytes = 0
        self._unusable: set[Path] = set()
        self._lock = threading.Lock()

    def levels(self, path: Path) -> Tensor | None:
        """uint8 `(3, H, W)`, or None, with a warning the first time, for a picture that is of no use."""
        with self._lock:
            if path in self._unusable:
                return None
            levels = self._held.pop(path, None)
            if levels is None:
                try:
                    levels = _decode(path, self._crop)
                except (ValueError, OSError) as error:
                    self._unusable.add(path)
                    warnings.warn(f"left out: {error}", stacklevel=2)
                    return None
                self._bytes += levels.nbytes
            self._held[path] = levels
            while self._bytes > self._limit:
                self._bytes -= self._held.popitem(last=False)[1].nbytes
            return levels


def _decode(path: Path, crop: int) -> Tensor:
    image = load_image(path)
    height, width = image.shape[-2:]
    shorter = min(height, width)
    if shorter < crop:
        raise ValueError(f"{str(path)!r}: its {width} x {height} pixels are smaller than a crop of {crop}")
    scale = min(1.0, KEPT * crop / shorter)
    image = resize(image, (round(height * scale), round(width * scale)))
    return (image[0] * 255).round().to(torch.uint8)


def _fingerprint(files: Sequence[Path], root: Path) -> str:
    names = "\n".join(path.relative_to(root).as_posix() for path in files)
    return f"{len(files)} files, {hashlib.sha256(names.encode(errors='surrogateescape')).hexdigest()[:12]}"


@lru_cache(maxsize=8)
def _order(seed: int, kind: str, epoch: int, count: int) -> list[int]:
    return [int(i) for i in _random(seed, f"order of {kind}", epoch).permutation(count)]


def _random(seed: int, purpose: str, index: int) -> np.random.Generator:
    """A generator of its own for every sample and purpose."""
    return np.random.default_rng([seed, int.from_bytes(purpose.encode(), "big"), index])
