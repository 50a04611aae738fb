"""Define the backbone `resnet50`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto import weights
from impasto.backbones.base import BACKBONES, TorchvisionBackbone
from impasto.backbones.chain import Pooling

BLOCKS = (3, 4, 6, 3)
EPSILON = 1e-5  # of the batch normalizations


@dataclass(frozen=True, eq=False)
class _FoldedConvolution:
    """A convolution with its batch normalization folded into weight and bias."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor, stride: int = 1) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, stride=stride, padding=self.weight.shape[-1] // 2)


@BACKBONES.add("resnet50")
class ResNet50(TorchvisionBackbone):
    """ResNet-50 (He, Zhang, Ren & Sun, CVPR 2016) with torchvision's weights and keys.

    The stride is in the 3x3 convolution. The layers are the stem's ReLU and the outputs of the four stages.
    """

    summary = "ResNet-50 as trained by torchvision; known to transfer style less well than VGG"
    weights = "resnet50"
    layers = ("relu1", "layer1", "layer2", "layer3", "layer4")
    content_layers = ("layer3",)
    style_layers = ("relu1", "layer1", "layer2", "layer3")

    def __init__(self, *, pooling: Pooling, device: torch.device, dtype: torch.dtype) -> None:
        state = {name: tensor.to(device) for name, tensor in weights.load("resnet50").items()}
        self._stem = _fold(state, "conv1", "bn1", dtype)
        self._stages = [
            [_bottleneck(state, f"layer{stage}.{i}", dtype) for i in range(count)]
            for stage, count in enumerate(BLOCKS, 1)
        ]
        super().__init__(pooling=pooling, device=device, dtype=dtype)

    def parameters(self) -> list[Tensor]:
        """Return the folded weights and biases."""
        blocks = [block for stage in self._stages for block in stage]
        convolutions = [self._stem, *(convolution for block in blocks for convolution in block)]
        return [tensor for convolution in convolutions for tensor in (convolution.weight, convolution.bias)]

    def activations(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the output of the stem and of each stage."""
        x = F.relu(self._stem(x, stride=2))  # (B, 64, H/2, W/2)
        yield x
        x = self._pool(x, padding=1)
        for stage, blocks in enumerate(self._stages):
            for i, block in enumerate(blocks):
                x = _run(block, x, stride=2 if stage > 0 and i == 0 else 1)
            yield x


def _run(block: Sequence[_FoldedConvolution], x: Tensor, stride: int) -> Tensor:
    reduce, middle, expand, *shortcut = block
    y = expand(F.relu(middle(F.relu(reduce(x)), stride)))
    return F.relu(y + (shortcut[0](x, stride) if shortcut else x))


def _bottleneck(state: dict[str, Tensor], name: str, dtype: torch.dtype) -> list[_FoldedConvolution]:
    pairs = [(f"{name}.conv{i}", f"{name}.bn{i}") for i in (1, 2, 3)]
    if name.endswith(".0"):  # the first block of a stage changes the number of channels
        pairs.append((f"{name}.downsample.0", f"{name}.downsample.1"))
    return [_fold(state, convolution, norm, dtype) for convolution, norm in pairs]


def _fold(state: dict[str, Tensor], convolution: str, norm: str, dtype: torch.dtype) -> _FoldedConvolution:
    keys = [
        f"{convolution}.weight",
        *(f"{norm}.{k}" for k in ("weight", "bias", "running_mean", "running_var")),
    ]
    if missing := [key for key in keys if key not in state]:
        raise ValueError(
            f"the weights of resnet50 lack {missing[0]}: they are not a ResNet-50; run `impasto weights verify`"
        )
    weight, gain, shift, mean, variance = (state[key] for key in keys)
    scale = gain / (variance + EPSILON).sqrt()
    folded = (weight * scale.view(-1, 1, 1, 1)).to(dtype).contiguous(memory_format=torch.channels_last)
    return _FoldedConvolution(folded, (shift - mean * scale).to(dtype))
