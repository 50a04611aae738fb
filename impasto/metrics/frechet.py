"""Compute the metric `frechet`."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.features.matrix_power import symmetric_power
from impasto.metrics.base import METRICS, Metric, available_layers


@METRICS.add("frechet")
class Frechet(Metric):
    """Single-image Fréchet distance between the Gaussians of a layer's feature vectors (SIFID, Shaham, ICCV 2019).

    |μ - μ̂|² + tr(Σ + Σ̂ - 2 (Σ^½ Σ̂ Σ^½)^½) in float64; every position of the map is one sample. The covariance of a
    map of one position is 0.

    Departs from the paper: features of the chosen backbone instead of Inception's.
    """

    summary = "Fréchet distance between the Gaussians of a layer's feature vectors"
    measures = "style"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        """Return relu4_1, or the deepest style layer of a backbone without it."""
        return available_layers(backbone, ("relu4_1",), fallback=backbone.style_layers[-1:])

    def compare(self, output: Tensor, reference: Tensor) -> float:
        """Return the squared Fréchet distance, for `(1, C, H, W)` and `(1, C, h, w)`."""
        mean, covariance = _gaussian(output)
        target_mean, target_covariance = _gaussian(reference)
        # The trace of (Σ^½ Σ̂ Σ^½)^½ is the sum of the singular values of Σ^½ Σ̂^½, which does not square their errors.
        cross = torch.linalg.svdvals(symmetric_power(covariance, 0.5) @ symmetric_power(target_covariance, 0.5)).sum()
        distance = (mean - target_mean).square().sum() + covariance.trace() + target_covariance.trace() - 2 * cross
        return max(0.0, float(distance))


def _gaussian(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean `(C,)` and covariance `(C, C)` of the feature vectors of `(1, C, H, W)`."""
    columns = maps[0].flatten(1).double()  # (C, H*W)
    mean = columns.mean(1)
    centered = columns - mean[:, None]
    return mean, centered @ centered.mT / max(1, columns.shape[1] - 1)
