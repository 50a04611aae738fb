"""Compute the metric `color_histogram`."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.metrics.base import METRICS, PIXELS, Metric

BINS, EDGE = 64, 3.0  # bins per axis, centered from -3 to 3 in log-chroma
WIDTH = 0.02  # of the kernel of a pixel, in log-chroma
EPSILON = 1e-6  # so that black has a logarithm
CHUNK = 2**15
"""Pixels that are counted at a time."""


@METRICS.add("color_histogram")
class ColorHistogram(Metric):
    """Hellinger distance between RGB-uv color histograms, from 0 to 1 (HistoGAN, Afifi et al., CVPR 2021; 2011.11731).

    Each of R, G and B is compared with the two others, u = log(R/G) and v = log(R/B), and counted, weighted with the
    pixel's intensity, in 64x64 bins with an inverse quadratic kernel. A change of brightness does not change u and v.

    Departs from the paper: counts every pixel instead of resizing the image to 150x150.
    """

    summary = "Hellinger distance between RGB-uv histograms of 64x64 bins"
    measures = "style"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        """Return `PIXELS`."""
        return PIXELS

    def compare(self, output: Tensor, reference: Tensor) -> float:
        """Return the Hellinger distance, for images `(1, 3, H, W)` and `(1, 3, h, w)` in [0, 1]."""
        difference = histogram(output).sqrt() - histogram(reference).sqrt()
        return min(1.0, difference.square().sum().div(2).sqrt().item())


def histogram(image: Tensor) -> Tensor:
    """Return the RGB-uv histogram of an image `(1, 3, H, W)`: float64 `(3, 64, 64)` by channel, u and v, of sum 1."""
    counts = torch.zeros(3, BINS, BINS, dtype=torch.float64)
    for pixels in torch.split(image[0].flatten(1).double(), CHUNK, dim=1):  # (3, N)
        intensity = (pixels.square().sum(0) + EPSILON).sqrt()  # (N,)
        log = (pixels + EPSILON).log()
        for channel, others in enumerate([(1, 2), (0, 2), (0, 1)]):
            u, v = (_kernel(log[channel] - log[other]) for other in others)
            counts[channel] += (intensity * u) @ v.mT
    return counts / counts.sum()


def _kernel(values: Tensor) -> Tensor:
    """Return the weight of each of N values in each bin, `(64, N)`."""
    centers = torch.linspace(-EDGE, EDGE, BINS, dtype=torch.float64)
    return 1 / (1 + ((values - centers[:, None]) / WIDTH).square())
