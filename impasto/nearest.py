"""Every feature vector's nearest among those of the styles: hypercolumns, matching in bounded memory, shares."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import Backbone
from impasto.subject import Style
from impasto.types import Image

CELL = 4
"""Side of a place of the hypercolumns, in pixels."""
CHUNK = 2**23
"""Similarities that are held at once."""


def places(image: Image) -> tuple[int, int]:
    """Rows and columns of the hypercolumns of a picture `(1, 3, H, W)`."""
    return -(-image.shape[-2] // CELL), -(-image.shape[-1] // CELL)


def columns(backbone: Backbone, image: Image, layers: Sequence[str]) -> list[Tensor]:
    """The features of every layer at one size, places first: float32 `(N, C)` a layer, N = rows x columns."""
    shape = places(image)
    features = backbone.encode(image, layers)
    return [_resized(features[layer].float(), shape)[0].flatten(1).T for layer in layers]


def _resized(features: Tensor, shape: tuple[int, int]) -> Tensor:
    """Means where a map is larger than `shape`, bilinear where it is smaller."""
    height, width = features.shape[-2:]
    features = F.adaptive_avg_pool2d(features, (min(height, shape[0]), min(width, shape[1])))
    return F.interpolate(features, size=shape, mode="bilinear", align_corners=False)


def counted(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """Which places lie in a mask `(1, 1, H, W)`: at least half, or else those that do most; `(N,)`."""
    coverage = F.adaptive_avg_pool2d(mask, shape).flatten()
    return coverage >= min(0.5, coverage.max().item())


def style_columns(
    backbone: Backbone, style: Style, layers: Sequence[str], *, turns: int, most: int, seed: int
) -> list[Tensor]:
    """The vectors of a style and of its quarter turns, `(M, C)` a layer, at most `most` of them, drawn by the seed."""
    parts: list[list[Tensor]] = []
    for turn in range(turns):
        image = torch.rot90(style.image, turn, (2, 3))
        found = columns(backbone, image, layers)
        if style.mask is not None:
            kept = counted(torch.rot90(style.mask, turn, (2, 3)), places(image))
            found = [layer[kept] for layer in found]
        parts.append(found)
    joined = [torch.cat(layer) for layer in zip(*parts, strict=True)]
    count = len(joined[0])
    if most and count > most:
        drawn = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most].to(joined[0].device)
        joined = [layer[drawn] for layer in joined]
    return joined


def nearest(queries: Tensor, vectors: Sequence[Tensor], shares: Sequence[float], dtype: torch.dtype) -> Tensor:
    """For each of `queries` `(N, D)` the nearest of the styles' vectors, `(N, D)`.

    Near is a high cosine after each side's own mean is taken off (Kolkin et al. 2022). Of several styles, each `(M, D)`,
    every one gives its share of the N: first come the places that prefer it most.

    Args:
        dtype: of the products.
    """
    seen = [_best(_directions(queries), _directions(each), dtype) for each in vectors]
    chosen = _share_out(torch.stack([similarity for similarity, _ in seen]), shares)
    result = torch.empty_like(queries)
    for i, (each, (_, index)) in enumerate(zip(vectors, seen, strict=True)):
        mine = chosen == i
        result[mine] = each[index[mine]]
    return result


def _directions(vectors: Tensor) -> Tensor:
    return F.normalize(vectors - vectors.mean(0), dim=1)


def _best(queries: Tensor, vectors: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The highest similarity of each query, and with which vector; chunk by chunk."""
    others = vectors.to(dtype).T
    rows = max(1, CHUNK // len(vectors))
    found = [(chunk.to(dtype) @ others).max(1) for chunk in queries.split(rows)]  # type: ignore[no-untyped-call]
    return torch.cat([each.values.float() for each in found]), torch.cat([each.indices for each in found])


def _share_out(similarities: Tensor, shares: Sequence[float]) -> Tensor:
    """Which style each place takes, from its similarities `(styles, N)`, so that every style gets its share."""
    count = similarities.shape[1]
    chosen = torch.full((count,), len(shares) - 1, device=similarities.device)
    free = torch.ones(count, dtype=torch.bool, device=similarities.device)
    left = 1.0
    for i, share in enumerate(shares[:-1]):
        wanted = round(share / left * int(free.sum())) if left > 0 else 0
        preference = similarities[i] - similarities[i + 1 :].amax(0)
        taken = preference.masked_fill(~free, -torch.inf).topk(wanted).indices
        chosen[taken], free[taken] = i, False
        left -= share
    return chosen
