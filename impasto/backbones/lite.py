"""Define the backbone `lite`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors.torch import load_file

from impasto.backbones.base import BACKBONES, ChainBackbone
from impasto.backbones.chain import Chain, Convolution, Layer
from impasto.backbones.narrow_vgg import LAYERS, RELUS

FILE = Path(str(files("impasto"))) / "assets" / "weights" / "lite.safetensors"
"""Path of the bundled weights in fp16, trained by `impasto train lite`."""


@BACKBONES.add("lite")
class Lite(ChainBackbone):
    """Narrow network with VGG-19's topology up to relu5_1, distilled from VGG-19.

    Each channel corresponds to one channel of VGG-19 and is derived from its weights.

    Departs from the other networks: a layer is scaled so that its loss is as large as VGG-19's, not to a mean
    activation of 1; a weight means the same with both networks.
    """

    summary = "small network distilled from VGG-19 for style transfer; bundled with impasto, no download"
    bundled: ClassVar[Path] = FILE
    layers = LAYERS
    content_layers = ("relu4_2",)
    style_layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    mean = (123.68 / 255, 116.779 / 255, 103.939 / 255)
    mean_activations = (1.0,) * len(RELUS)  # the weights include the scales

    def convolutions(self) -> list[Convolution]:
        """Return the bundled convolutions in float32."""
        if not self.bundled.is_file():
            raise ValueError(f"the weights of lite, {self.bundled}, are missing: reinstall impasto")
        state = {key: tensor.float() for key, tensor in load_file(self.bundled).items()}
        return [Convolution(name, state[f"{name}.weight"], state[f"{name}.bias"]) for name in RELUS]

    @classmethod
    def of(cls, layers: Sequence[Layer], *, device: torch.device, dtype: torch.dtype) -> Self:
        """Return a network with other layers, such as one in training."""
        backbone = cls.__new__(cls)
        backbone._mean = torch.tensor(cls.mean, device=device).view(1, 3, 1, 1)
        backbone.chain = Chain(layers, pooling="max", device=device, dtype=dtype)
        return backbone
