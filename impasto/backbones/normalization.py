"""Measure the mean activation of a network's layers on three bundled images, and cache it."""

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

REFERENCE_IMAGES = ("brushstrokes", "mosaic", "woodcut")  # fixed, so that new samples do not change the normalization
SIZE = 256  # longer side of these images in pixels


@torch.no_grad()
def mean_activations(encode: Callable[[Image], Features], parameters: Iterable[Tensor]) -> dict[str, float]:
    """Return the mean of each layer over all channels and positions of three bundled images.

    The result is cached in a file whose name is a hash of the parameters and the images. If the cache is not writable,
    it is measured again each time.

    Args:
        encode: function from an image `(1, 3, H, W)` to the features of all layers.
        parameters: all weights and biases, in a fixed order.

    Raises:
        ValueError: for a layer whose mean is not positive.
    """
    paths = [resolve(name) for name in REFERENCE_IMAGES]
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
        for name, features in encode(load_image(path, size=SIZE)).items():
            totals[name] = totals.get(name, 0.0) + features.mean().item() / len(paths)
    for name, mean in totals.items():
        if not mean > 0:
            problem = f"layer {name} has a mean of {mean} on the bundled images: the weights are not valid"
            raise ValueError(f"{problem}; run `impasto weights verify`")
    with contextlib.suppress(OSError, ValueError):
        write_atomically(file, json.dumps(totals).encode())
    return totals
