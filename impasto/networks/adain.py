"""Define the network of the method `adain`."""

from __future__ import annotations

from torch import Tensor, nn

from impasto.networks.decoder import Decoder, Encoder
from impasto.networks.statistics import Measure, mean_and_std, measure_untiled, moments, set_moments
from impasto.types import Image

LAYER = "relu4_1"

Code = tuple[Tensor, Tensor]
"""Mean and standard deviation of the style's channels, `(B, C)` each."""


class AdaIN(nn.Module):
    """Adaptive instance normalization between a frozen encoder and a decoder (Huang & Belongie, ICCV 2017).

    The features of the content image receive the channel means and standard deviations of the style image's features.

    Departs from the paper: any chain of convolutions can be the encoder.

    Args:
        encoder: the frozen encoder, which is not a part of the module's state.
        decoder: the trained decoder of the same layer.
    """

    stride = 8
    """Height and width of all images must be multiples of it."""
    halo = 128
    """Receptive-field radius in pixels: a pixel depends on pixels farther away only through means over the image."""
    max_untiled_pixels = 2**22
    """Pixels of the largest image that is processed without tiles by default."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self._encoder = encoder
        self.decoder = decoder

    def encode(self, style: Image, measure: Measure = measure_untiled) -> Code:
        """Return the code of a style image `(B, 3, H, W)`."""
        return mean_and_std(measure(self._encoder(style), moments))

    def forward(self, content: Image, code: Code, measure: Measure = measure_untiled) -> Image:
        """Return the stylized image `(B, 3, H, W)`, not clamped, for a content image and the code of a style."""
        features = self._encoder(content)  # (B, C, H/8, W/8)
        stylized: Image = self.decoder(set_moments(features, measure(features, moments), code[0], code[1].clamp_min(0)))
        return stylized
