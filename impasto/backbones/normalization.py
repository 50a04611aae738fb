"""The mean activation of a network's layers, measured on three bundled pictures and remembered in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from impasto.files import write_atomically
from impasto.images import load_image
from impasto.samples import resolve
from impasto.types import Features, Image
from impasto.weights import cache_folder

PICTURES = ("brushstrokes", "mosaic", "woodcut")  # fixed: a style more must not change what a network's layers weigh
SIDE = 256  # longer side in pixels at which these pictures are measured


@torch.no_grad()
def mean_activations(encode: Callable[[Image], Features], parameters: Iterable[Tensor]) -> dict[str, float]:
    """Mean of every layer that `encode` returns, over all channels and places of three bundled pictures.

    The result is kept in the cache folder under a hash of `parameters` and of the pictures, and read from there
    the next time. Where the cache cannot be written it is measured anew.
    """
    paths = [resolve(name) for name in PICTURES]
    digest = hashlib.sha256()
    for tensor in parameters:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    for path in paths:
        digest.update(path.read_bytes())
    file = cache_folder() / "mean-activations" / f"{digest.hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return {str(name): float(mean) for name, mean in json.loads(file.read_text()).items()}
    totals: dict[str, float] = {}
    for path in paths:
        for name, features in encode(load_image(path, size=SIDE)).items():
            totals[name] = totals.get(name, 0.0) + features.mean().item() / len(paths)
    for name, mean in totals.items():
        if not mean > 0:
            raise ValueError(f"layer {name} is silent on the bundled pictures: these weights cannot be right")
    with contextlib.suppress(OSError, ValueError):
        write_atomically(file, json.dumps(totals).encode())
    return totals
