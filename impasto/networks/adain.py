from __future__ import annotations

from torch import Tensor, nn

from impasto.networks.decoder import Decoder, Encoder
from impasto.networks.statistics import Measure, mean_and_deviation, moments, scaled, whole
from impasto.types import Image

LAYER = "relu4_1"

Code = tuple[Tensor, Tensor]
"""Mean and deviation of the style's channels, `(B, C)` each."""


class AdaIN(nn.Module):
    """Gives the photograph's features the channel means and deviations of the style's, and decodes them.

    Huang & Belongie, ICCV 2017. Departs from the paper: any chain of convolutions can be the encoder.
    """

    stride = 8
    """Sides of all pictures must be multiples of it."""
    reach = 128
    """So many pixels off, and farther, nothing shows in a pixel, but for means over the whole picture."""
    at_once = 2**22
    """Pixels of the largest picture that is not tiled, unless one asks for it."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self._encoder = encoder  # frozen, and no part of the module
        self.decoder = decoder

    def encode(self, style: Image, measure: Measure = whole) -> Code:
        """The code of a style `(B, 3, H, W)`."""
        return mean_and_deviation(measure(self._encoder(style), moments))

    def forward(self, content: Image, code: Code, measure: Measure = whole) -> Image:
        """The painting `(B, 3, H, W)`, not clamped, of a photograph."""
        features = self._encoder(content)  # (B, C, H/8, W/8)
        painting: Image = self.decoder(scaled(features, measure(features, moments), code[0], code[1].clamp_min(0)))
        return painting
