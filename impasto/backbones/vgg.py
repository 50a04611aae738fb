"""Define VGG-16 and VGG-19 (Simonyan & Zisserman 2014, arXiv 1409.1556) as trained by Oxford and by torchvision."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from impasto import weights
from impasto.backbones.base import BACKBONES, ChainBackbone
from impasto.backbones.chain import Convolution, block_names

WIDTHS = (64, 128, 256, 512, 512)
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


class VGG(ChainBackbone):
    """A VGG with published weights under `features.N.weight` and `features.N.bias`; N counts all layers."""

    blocks: ClassVar[tuple[int, ...]]
    """Number of convolutions in each of the five blocks."""
    content_layers = ("relu4_2",)
    style_layers = STYLE_LAYERS
    output_style = 1.5

    def convolutions(self) -> list[Convolution]:
        """Return the published convolutions, the first one adapted to RGB in [0, 1] minus `mean`."""
        assert self.weights is not None
        state = weights.load(self.weights, prefix="features.")
        convolutions, index, channels = [], 0, 3
        for block, (count, width) in enumerate(zip(self.blocks, WIDTHS, strict=True), 1):
            for i in range(1, count + 1):
                weight, bias = (_tensor(state, self.weights, f"features.{index}.{k}") for k in ("weight", "bias"))
                if weight.shape != (width, channels, 3, 3):
                    raise ValueError(
                        f"the weights of {self.weights} are those of another network: features.{index}.weight is "
                        f"{tuple(weight.shape)}, not {(width, channels, 3, 3)}; run `impasto weights verify`"
                    )
                convolutions.append(Convolution(f"relu{block}_{i}", weight, bias))
                index, channels = index + 2, width
            index += 1
        convolutions[0] = self.adapt_input(convolutions[0])
        return convolutions

    def adapt_input(self, convolution: Convolution) -> Convolution:
        """Return the first convolution, adapted to RGB in [0, 1] minus `mean`."""
        raise NotImplementedError


def _tensor(state: dict[str, Tensor], name: str, key: str) -> Tensor:
    if key not in state:
        raise ValueError(f"the weights of {name} lack {key}: they are not those of a VGG; run `impasto weights verify`")
    return state[key]


@BACKBONES.add("vgg19-caffe")
class VGG19Caffe(VGG):
    """VGG-19 as released by Oxford and used by Gatys et al.: BGR in [0, 255]."""

    summary = "VGG-19 as released by Oxford, the network of Gatys et al.; the reference for quality"
    weights = "vgg19-caffe"
    blocks = (2, 2, 4, 4, 4)
    layers = block_names(blocks)
    mean = (123.68 / 255, 116.779 / 255, 103.939 / 255)
    # Measured on 40 photographs of ImageNet, conv1_1 to conv5_4.
    mean_activations = (
        *(19.3, 91.0),
        *(114.3, 103.1),
        *(117.9, 153.9, 323.8, 473.5),
        *(485.8, 319.2, 179.9, 44.5),
        *(47.1, 20.3, 8.4, 1.3),
    )

    def adapt_input(self, convolution: Convolution) -> Convolution:
        """Return the convolution for RGB in [0, 1] in place of BGR in [0, 255]."""
        return Convolution(convolution.name, convolution.weight.flip(1) * 255, convolution.bias)


class _TorchvisionVGG(VGG):
    """A VGG as trained by torchvision: RGB in [0, 1], ImageNet mean and standard deviation."""

    mean = (0.485, 0.456, 0.406)
    std = torch.tensor([0.229, 0.224, 0.225])

    def adapt_input(self, convolution: Convolution) -> Convolution:
        """Return the convolution for pixels that are not divided by the standard deviation."""
        weight = convolution.weight / self.std.view(1, 3, 1, 1)
        return Convolution(convolution.name, weight, convolution.bias)


@BACKBONES.add("vgg19")
class VGG19(_TorchvisionVGG):
    """VGG-19 as trained by torchvision."""

    summary = "VGG-19 as trained by torchvision"
    weights = "vgg19"
    blocks = (2, 2, 4, 4, 4)
    layers = block_names(blocks)


@BACKBONES.add("vgg16")
class VGG16(_TorchvisionVGG):
    """VGG-16 as trained by torchvision."""

    summary = "VGG-16 as trained by torchvision"
    weights = "vgg16"
    blocks = (2, 2, 3, 3, 3)
    layers = block_names(blocks)
