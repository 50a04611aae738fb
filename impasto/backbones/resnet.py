from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto import weights
from impasto.backbones import BACKBONES, Backbone
from impasto.chain import Pooling
from impasto.normalisation import mean_activations
from impasto.types import Features, Image

BLOCKS = (3, 4, 6, 3)
EPSILON = 1e-5  # of the batch normalisations


@dataclass(frozen=True)
class _Convolution:
    """A convolution without bias and the batch normalisation behind it, folded into one."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor, stride: int = 1) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, stride=stride, padding=self.weight.shape[-1] // 2)


@BACKBONES.add("resnet50")
class ResNet50(Backbone):
    """ResNet-50 (He, Zhang, Ren & Sun, CVPR 2016), torchvision's weights and keys; stride in the 3x3 convolution.

    Its layers are the stem's ReLU and the outputs of the four stages.
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
        self._dtype = dtype
        self._mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(1, 3, 1, 1)
        self._deviation = torch.tensor([0.229, 0.224, 0.225], device=device).view(1, 3, 1, 1)
        self._pool: Callable[..., Tensor] = F.max_pool2d  # the means are measured with it, whatever is painted with
        self._means = dict.fromkeys(self.layers, 1.0)
        self._means = mean_activations(
            lambda image: self._features(image.to(device), self.layers),
            [
                tensor.float()
                for convolution in (self._stem, *(c for stage in self._stages for block in stage for c in block))
                for tensor in (convolution.weight, convolution.bias)
            ],
        )
        self._pool = F.max_pool2d if pooling == "max" else F.avg_pool2d

    def _features(self, image: Image, layers: Sequence[str]) -> Features:
        wanted = set(layers)
        if not wanted:
            return {}
        x = ((image - self._mean) / self._deviation).to(self._dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        features = {}
        x = F.relu(self._stem(x, stride=2))  # (B, 64, H/2, W/2)
        for stage, name in enumerate(self.layers):
            if stage == 1:
                x = self._pool(x, 3, stride=2, padding=1)
            if stage > 0:
                for i, block in enumerate(self._stages[stage - 1]):
                    x = _run(block, x, stride=2 if stage > 1 and i == 0 else 1)
            if name in wanted:
                features[name] = x / self._means[name]
                wanted.remove(name)
            if not wanted:
                break
        return features


def _run(block: Sequence[_Convolution], x: Tensor, stride: int) -> Tensor:
    reduce, middle, expand, *shortcut = block
    y = expand(F.relu(middle(F.relu(reduce(x)), stride)))
    return F.relu(y + (shortcut[0](x, stride) if shortcut else x))


def _bottleneck(state: dict[str, Tensor], name: str, dtype: torch.dtype) -> list[_Convolution]:
    pairs = [(f"{name}.conv{i}", f"{name}.bn{i}") for i in (1, 2, 3)]
    if name.endswith(".0"):  # the first of its stage has another width than what lies below
        pairs.append((f"{name}.downsample.0", f"{name}.downsample.1"))
    return [_fold(state, convolution, norm, dtype) for convolution, norm in pairs]


def _fold(state: dict[str, Tensor], convolution: str, norm: str, dtype: torch.dtype) -> _Convolution:
    keys = [
        f"{convolution}.weight",
        *(f"{norm}.{k}" for k in ("weight", "bias", "running_mean", "running_var")),
    ]
    if missing := [key for key in keys if key not in state]:
        raise ValueError(f"the weights of resnet50 lack {missing[0]}: they are not those of a ResNet-50")
    weight, gain, shift, mean, variance = (state[key] for key in keys)
    scale = gain / (variance + EPSILON).sqrt()
    folded = (weight * scale.view(-1, 1, 1, 1)).to(dtype).contiguous(memory_format=torch.channels_last)
    return _Convolution(folded, (shift - mean * scale).to(dtype))
