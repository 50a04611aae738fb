"""Define what the bundled networks share that are distilled from VGG-19."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors.torch import load_file
from torch import Tensor

from impasto.backbones.base import ChainBackbone
from impasto.backbones.chain import Chain, Convolution, Layer
from impasto.backbones.narrow_vgg import LAYERS, RELUS


class DistilledBackbone(ChainBackbone):
    """A network with VGG-19's topology up to relu5_1 whose channels correspond to channels of VGG-19.

    Departs from the other networks: a layer is scaled so that its loss is as large as VGG-19's, not to a mean
    activation of 1; a weight means the same with both networks.
    """

    bundled: ClassVar[Path]
    layers = LAYERS
    content_layers = ("relu4_2",)
    style_layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    mean = (123.68 / 255, 116.779 / 255, 103.939 / 255)
    mean_activations = (1.0,) * len(RELUS)  # the weights include the scales

    def convolutions(self) -> list[Convolution]:
        """Return the bundled convolutions in float32."""
        if not self.bundled.is_file():
            raise ValueError(f"the weights of {self.bundled.stem}, {self.bundled}, are missing: reinstall impasto")
        tensors = load_file(self.bundled)
        return [self.restored(name, tensors) for name in RELUS]

    @classmethod
    @abstractmethod
    def stored(cls, layer: Convolution) -> dict[str, Tensor]:
        """Return the tensors of a layer by their names in the file of the bundled weights."""

    @classmethod
    @abstractmethod
    def restored(cls, name: str, tensors: dict[str, Tensor]) -> Convolution:
        """Return a layer in float32 from the tensors of the file."""

    @classmethod
    def of(cls, layers: Sequence[Layer], *, device: torch.device, dtype: torch.dtype) -> Self:
        """Return a network with other layers, such as one in training."""
        backbone = cls.__new__(cls)
        backbone._mean = torch.tensor(cls.mean, device=device).view(1, 3, 1, 1)
        backbone.chain = Chain(layers, pooling="max", device=device, dtype=dtype)
        return backbone
