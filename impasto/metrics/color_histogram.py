from __future__ import annotations

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.metrics.base import METRICS, PIXELS, Metric

BINS, EDGE = 64, 3.0  # bins an axis, centered from -3 to 3 in log-chroma
WIDTH = 0.02  # of a pixel's footprint
TINY = 1e-6  # so that black has a logarithm
CHUNK = 2**15
"""How many pixels are counted at a time."""


@METRICS.add("color_histogram")
class ColorHistogram(Metric):
    """Hellinger distance between RGB-uv color histograms, from 0 to 1 (HistoGAN, Afifi et al., CVPR 2021; 2011.11731).

    Each of R, G and B is set against the two others, u = log(R/G) and v = log(R/B), and counted by the pixel's
    intensity in 64x64 bins with an inverse quadratic footprint. Brighter or darker is no other color.

    Departs from the paper: counts every pixel instead of shrinking the picture to 150x150.
    """

    summary = "Hellinger distance between RGB-uv histograms of 64x64 bins"
    measures = "style"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        return PIXELS

    def compare(self, output: Tensor, reference: Tensor) -> float:
        apart = histogram(output).sqrt() - histogram(reference).sqrt()
        return min(1.0, apart.square().sum().div(2).sqrt().item())


def histogram(image: Tensor) -> Tensor:
    """Shares of the colors of `(1, 3, H, W)`: float64 `(3, 64, 64)`, for R, G and B by u and v; they sum to 1."""
    counts = torch.zeros(3, BINS, BINS, dtype=torch.float64)
    for pixels in torch.split(image[0].flatten(1).double(), CHUNK, dim=1):  # (3, N)
        intensity = (pixels.square().sum(0) + TINY).sqrt()  # (N,)
        log = (pixels + TINY).log()
        for channel, others in enumerate([(1, 2), (0, 2), (0, 1)]):
            u, v = (_footprint(log[channel] - log[other]) for other in others)
            counts[channel] += (intensity * u) @ v.mT
    return counts / counts.sum()


def _footprint(values: Tensor) -> Tensor:
    """How much each of N values counts in each bin: `(64, N)`."""
    centers = torch.linspace(-EDGE, EDGE, BINS, dtype=torch.float64)
    return 1 / (1 + ((values - centers[:, None]) / WIDTH).square())
