"""Compute the metric `ssim`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import Backbone
from impasto.images.luminance import SCIKIT_IMAGE
from impasto.metrics.base import METRICS, PIXELS, Metric

WINDOW = 7  # pixels
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]


@METRICS.add("ssim")
class SSIM(Metric):
    """Structural similarity of the luminance, from -1 to 1 (Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 2004).

    With the defaults of scikit-image: uniformly weighted windows of 7x7 pixels inside the image, and unbiased
    variances and covariances.
    """

    summary = "structural similarity of the luminance, 1 for equal images"
    measures = "structure"
    lower_is_better = False

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        """Return `PIXELS`."""
        return PIXELS

    def compare(self, output: Tensor, reference: Tensor) -> float:
        """Return the mean structural similarity of images `(1, 3, H, W)` in [0, 1]."""
        x, y = _luminance(output), _luminance(reference)  # (1, 1, H, W)
        moments = torch.cat([x, y, x * x, y * y, x * y])
        mean_x, mean_y, xx, yy, xy = F.avg_pool2d(moments, WINDOW, stride=1)  # (1, H-6, W-6) each
        unbiased = WINDOW**2 / (WINDOW**2 - 1)
        covariance = unbiased * (xy - mean_x * mean_y)
        variances = unbiased * (xx - mean_x**2 + yy - mean_y**2)
        similarity = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
        return float((similarity / ((mean_x**2 + mean_y**2 + C1) * (variances + C2))).mean())


def _luminance(image: Tensor) -> Tensor:
    weights = torch.tensor(SCIKIT_IMAGE, dtype=torch.float64).view(1, 3, 1, 1)
    return (image.double() * weights).sum(1, keepdim=True)
