"""Compute the luminance of RGB images."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.types import Image

REC601 = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the Y of YIQ (ITU-R BT.601); used for color transfer and masks."""
REC709 = (0.2126, 0.7152, 0.0722)
"""Weights of ITU-R BT.709, the standard of sRGB's primaries; used for texture energy."""
SCIKIT_IMAGE = (0.2125, 0.7154, 0.0721)
"""Weights of scikit-image's `rgb2gray`; used for SSIM, so that the metric agrees with scikit-image."""


def luminance(image: Image) -> Tensor:
    """Return the Rec. 601 luminance `(B, 1, H, W)` of an image `(B, 3, H, W)`, computed from the encoded values."""
    return torch.einsum("c,bchw->bhw", image.new_tensor(REC601), image)[:, None]
