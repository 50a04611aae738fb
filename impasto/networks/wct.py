"""Define the network of the method `wct`: one layer of its cascade."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from impasto.features.matrix_power import symmetric_power
from impasto.features.moments import both_moments, covariance, without_autocast
from impasto.networks.decoder import Decoder, Encoder
from impasto.networks.statistics import Measure, measure_untiled
from impasto.types import Image

LAYERS = ("relu5_1", "relu4_1", "relu3_1", "relu2_1", "relu1_1")
"""Layers of the cascade in their order, from the coarsest to the finest."""
LOSSY_LAYERS = LAYERS[:3]
"""Layers whose decoders lose details of the image."""
SMALLEST = 1e-5
"""Fraction of the largest eigenvalue below which an eigenvalue counts as noise and is left out of negative powers."""

Code = tuple[Tensor, Tensor]
"""Mean `(B, C)` and covariance `(B, C, C)` of the style's features."""
Transform = Literal["optimal", "whitening"]


class WCT(nn.Module):
    """Whitening and coloring transform between a frozen encoder and a decoder (Li et al., NIPS 2017).

    The features of the content image receive the mean and covariance of the style image's features, by whitening and
    coloring or by the linear transform that moves the features least (Lu et al., ICCV 2019).

    Departs from the papers: any chain of convolutions can be the encoder; the output can keep what the decoder loses of
    the content image, without which the small forms that one layer of the cascade blurs are missing in the next ones.

    Args:
        layer: name of the layer, such as `relu4_1`.
        encoder: the frozen encoder of this layer, which is not a part of the module's state.
        decoder: the trained decoder of this layer.
        transform: `optimal` (moves the features least) or `whitening` (as published by Li et al.).
        details: fraction of the difference between the content image and its decoded features that is added to the
            output, 0 (as published) to 1.
    """

    halo = 256
    """Receptive-field radius in pixels: a pixel depends on pixels farther away only through means over the image."""
    max_untiled_pixels = 2**22
    """Pixels of the largest image that is processed without tiles by default."""

    def __init__(
        self, layer: str, encoder: Encoder, decoder: Decoder, transform: Transform, details: float = 0.0
    ) -> None:
        super().__init__()
        self._transform, self._details = transform, details
        self._encoder = encoder
        self.decoder = decoder
        self.stride = 2 ** (int(layer[4]) - 1)  # height and width of all images must be multiples of it

    def encode(self, style: Image, measure: Measure = measure_untiled) -> Code:
        """Return the code of a style image `(B, 3, H, W)`."""
        moments = measure(self._encoder(style), _fp32_moments)
        with without_autocast(style):
            return moments[:, 0], covariance(moments)

    def forward(self, content: Image, code: Code, measure: Measure = measure_untiled) -> Image:
        """Return the stylized image `(B, 3, H, W)`, not clamped, for a content image and the code of a style."""
        features = self._encoder(content)  # (B, C, h, w)
        moments = measure(features, _fp32_moments)
        with without_autocast(content):
            mean, source = moments[:, 0], covariance(moments)
            target_mean, target = code
            transform = optimal_transform if self._transform == "optimal" else whitening_transform
            matrix = transform(source, target)  # (B, C, C)
            shift = target_mean - torch.einsum("bij,bj->bi", matrix, mean)
            columns = matrix @ features.float().flatten(2) + shift[..., None]  # (B, C, h*w)
        stylized: Image = self.decoder(columns.view(features.shape))
        return stylized + self._details * (content - self.decoder(features)) if self._details else stylized


def _fp32_moments(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """Return `both_moments` of features in fp32: whitening enlarges the rounding errors of bf16, in tiles others."""
    with without_autocast(features):
        return both_moments(features.float(), guide)


def whitening_transform(source: Tensor, target: Tensor) -> Tensor:
    """Return the matrix that whitens features and colors them (Li et al., NIPS 2017).

    Args:
        source: covariance of the features, `(B, C, C)`.
        target: covariance that the transformed features receive, `(B, C, C)`.

    Returns:
        Float32 `(B, C, C)`.
    """
    return (_power(target, 0.5) @ _power(source, -0.5)).float()


def optimal_transform(source: Tensor, target: Tensor) -> Tensor:
    """Return the matrix that gives features a covariance and moves them least (Lu et al., ICCV 2019).

    It is A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 for the covariances A and B of source and target.

    Args:
        source: covariance of the features, `(B, C, C)`.
        target: covariance that the transformed features receive, `(B, C, C)`.

    Returns:
        Float32 `(B, C, C)`.
    """
    root, inverse = _power(source, 0.5), _power(source, -0.5)
    return (inverse @ _power(root @ target.double() @ root, 0.5) @ inverse).float()


def _power(covariance: Tensor, exponent: float) -> Tensor:
    """Return the power of symmetric matrices in float64, over the eigenvalues that are not noise."""
    symmetric = (covariance.double() + covariance.double().mT) / 2
    return symmetric_power(symmetric, exponent, floor=1e-300, cutoff=SMALLEST)
