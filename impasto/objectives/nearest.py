"""Every vector's nearest among those of the styles: in bounded memory, each style with its share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 2**23
"""Similarities that are held at once."""


def nearest(queries: Tensor, vectors: Sequence[Tensor], shares: Sequence[float], dtype: torch.dtype) -> Tensor:
    """For each of `queries` `(N, D)` the nearest of the styles' vectors, `(N, D)`.

    Near is a high cosine after each side's own mean is taken off (Kolkin et al. 2022). Of several styles, each
    `(M, D)`, every one gives its share of the N: first come the places that prefer it most.

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
    found = [(chunk.to(dtype) @ others).max(1) for chunk in torch.split(queries, rows)]
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
