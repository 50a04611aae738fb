from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from impasto.features.moments import both_moments, covariance
from impasto.networks.decoder import Decoder, Encoder
from impasto.networks.statistics import Measure, whole
from impasto.types import Image

LAYERS = ("relu5_1", "relu4_1", "relu3_1", "relu2_1", "relu1_1")
"""From the coarsest to the finest: the order of the cascade."""
SMALLEST = 1e-5
"""Of the largest eigenvalue: smaller ones are noise, and left out where they would be divided by."""

Code = tuple[Tensor, Tensor]
"""Mean `(B, C)` and covariance `(B, C, C)` of the style's features."""
Transform = Literal["optimal", "whitening"]


class WCT(nn.Module):
    """Gives the photograph's features of one layer the mean and covariance of the style's, and decodes them.

    Whitening and coloring of Li et al., NIPS 2017, or the transport that moves the features least (Lu et al.,
    ICCV 2019). Departs from the papers: any chain of convolutions can be the encoder.
    """

    reach = 256
    """So many pixels off, and farther, nothing shows in a pixel, but for means over the whole picture."""
    at_once = 2**22
    """Pixels of the largest picture that is not tiled, unless one asks for it."""

    def __init__(self, layer: str, encoder: Encoder, decoder: Decoder, transform: Transform) -> None:
        super().__init__()
        self._transform = transform
        self._encoder = encoder  # frozen, and no part of the module
        self.decoder = decoder
        self.stride = 2 ** (int(layer[4]) - 1)  # sides of all pictures must be multiples of it

    def encode(self, style: Image, measure: Measure = whole) -> Code:
        """The code of a style `(B, 3, H, W)`."""
        moments = measure(self._encoder(style), both_moments)
        return moments[:, 0], covariance(moments)

    def forward(self, content: Image, code: Code, measure: Measure = whole) -> Image:
        """The painting `(B, 3, H, W)`, not clamped, of a photograph."""
        features = self._encoder(content)  # (B, C, h, w)
        moments = measure(features, both_moments)
        mean, here = moments[:, 0], covariance(moments)
        there_mean, there = code
        move = optimal(here, there) if self._transform == "optimal" else whitening(here, there)  # (B, C, C)
        shift = there_mean - torch.einsum("bij,bj->bi", move, mean)
        columns = move @ features.float().flatten(2) + shift[..., None]  # (B, C, h*w)
        painting: Image = self.decoder(columns.view(features.shape))
        return painting


def whitening(here: Tensor, there: Tensor) -> Tensor:
    """Matrix `(B, C, C)` that whitens features of covariance `here` and colors them with `there`, both float32."""
    return (_power(there, 0.5) @ _power(here, -0.5)).float()


def optimal(here: Tensor, there: Tensor) -> Tensor:
    """The matrix that does the same and moves the features least: `A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2`."""
    root, inverse = _power(here, 0.5), _power(here, -0.5)
    return (inverse @ _power(root @ there.double() @ root, 0.5) @ inverse).float()


def _power(covariance: Tensor, exponent: float) -> Tensor:
    """Power of symmetric matrices, in float64; of a negative power the smallest eigenvalues have no part."""
    values, vectors = torch.linalg.eigh((covariance.double() + covariance.double().mT) / 2)
    counts = values > SMALLEST * values[:, -1:]
    powers = torch.where(counts, values.clamp_min(1e-300) ** exponent, torch.zeros_like(values))
    power: Tensor = (vectors * powers[:, None]) @ vectors.mT
    return power
