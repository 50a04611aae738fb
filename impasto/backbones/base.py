"""Backbones: frozen networks whose features judge a picture. Only a backbone knows its mean, scale and channel order.

To add one, write a file here with a class under `@BACKBONES.add("name")`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones.chain import Chain, Convolution, Layer, Pool, Pooling
from impasto.backbones.normalization import mean_activations
from impasto.registry import Registry
from impasto.types import Features, Image


class Backbone(ABC):
    """A frozen network.

    Features come normalized: the mean activation of every layer over ordinary pictures is 1, so that a weight means
    the same on every layer and every network (the "normalized" network of Gatys, Ecker & Bethge, CVPR 2016).

    Args:
        pooling: what stands for the network's max pooling.
        device: where the weights lie and the features are computed.
        dtype: of the convolutions and of the features, `float32`, `bfloat16` or `float64`.
    """

    summary: ClassVar[str]
    weights: ClassVar[str | None] = None
    """Name in the weights manifest; `None` where nothing needs to be fetched."""
    bundled: ClassVar[Path | None] = None
    """The weights file, where it comes with the package."""
    note: ClassVar[str | None] = None
    """What one should know before judging a picture painted with it."""
    tolerance: ClassVar[float] = 0.01
    """A picture that it judges is finished when 25 steps lower the loss by less than this share."""
    layers: ClassVar[tuple[str, ...]]
    """Every layer that `encode` knows, from the picture up."""
    content_layers: ClassVar[tuple[str, ...]]
    style_layers: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __init__(self, *, pooling: Pooling, device: torch.device, dtype: torch.dtype) -> None: ...

    def encode(self, image: Image, layers: Sequence[str]) -> Features:
        """Features `(B, C, h, w)` of `layers` for an image `(B, 3, H, W)` in [0, 1], plus the image as `"image"`.

        Computes no deeper than the deepest layer asked for. Raises `ValueError` for a layer that the network lacks.
        """
        deep = [name for name in dict.fromkeys(layers) if name != "image"]
        self.check_layers(deep)
        return {"image": image, **(self._features(image, deep) if deep else {})}

    @abstractmethod
    def _features(self, image: Image, layers: Sequence[str]) -> Features:
        """What `encode` returns, without the image; `layers` are known, and at least one."""

    @classmethod
    def check_layers(cls, layers: Sequence[str]) -> None:
        """Raises `ValueError` for a layer that this network does not have, or that is named twice."""
        for layer in layers:
            if layer not in cls.layers:
                raise ValueError(f"the backbone has no layer {layer!r}; it has: {', '.join(cls.layers)}")
            if layers.count(layer) > 1:
                raise ValueError(f"the layer {layer} is named twice; name it once")


BACKBONES: Registry[Backbone] = Registry("backbone", "impasto.backbones")


def load_backbone(
    name: str,
    *,
    pooling: Pooling = "max",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Backbone:
    """The backbone called `name`, ready to encode. Raises `ValueError` where the name or its weights are missing."""
    return BACKBONES[name](pooling=pooling, device=torch.device(device), dtype=dtype)


class ChainBackbone(Backbone):
    """A backbone whose body is a `Chain`: the normalization is folded into its weights and costs nothing."""

    mean: ClassVar[tuple[float, float, float]]
    """RGB in [0, 1], subtracted from the picture."""
    mean_activations: ClassVar[tuple[float, ...] | None] = None
    """Mean of every ReLU's output over ordinary pictures; measured on the bundled pictures where it is not known."""

    @abstractmethod
    def convolutions(self) -> list[Convolution]:
        """The convolutions from the picture up, named as in `layers`, for RGB in [0, 1] minus `mean`."""

    def __init__(self, *, pooling: Pooling, device: torch.device, dtype: torch.dtype) -> None:
        raw = {layer.name: layer for layer in self.convolutions()}
        if self.mean_activations is None:
            means = self._measure(raw)
        else:
            means = dict(zip(raw, self.mean_activations, strict=True))
        layers: list[Layer] = []
        below = 1.0
        for name in self.layers:
            if name not in raw:
                layers.append(Pool(name))
                continue
            here = means[name]
            layers.append(Convolution(name, raw[name].weight * (below / here), raw[name].bias / here))
            below = here
        self._mean = torch.tensor(self.mean, device=device).view(1, 3, 1, 1)
        self.chain = Chain(layers, pooling=pooling, device=device, dtype=dtype)

    def _features(self, image: Image, layers: Sequence[str]) -> Features:
        return self.chain(image - self._mean.to(image.dtype), layers)

    def encoder(self, layer: str) -> Callable[[Image], Tensor]:
        """From a picture to its features of one layer, float32: the first half of an autoencoder."""
        return lambda image: self.encode(image, [layer])[layer].float()

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the convolutions, from the picture up."""
        return tuple(len(layer.weight) for layer in self.chain.layers if isinstance(layer, Convolution))

    def _measure(self, raw: dict[str, Convolution]) -> dict[str, float]:
        layers = [raw.get(name, Pool(name)) for name in self.layers]
        chain = Chain(layers, pooling="max", device=torch.device("cpu"), dtype=torch.float32)
        mean = torch.tensor(self.mean).view(1, 3, 1, 1)
        return mean_activations(
            lambda image: chain(image - mean, list(raw)),
            [tensor for layer in raw.values() for tensor in (layer.weight, layer.bias)],
        )


def load_chain(name: str, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ChainBackbone:
    """As `load_backbone`, for those that are chains of convolutions; `ValueError` for others."""
    backbone = load_backbone(name, device=device, dtype=dtype)
    if not isinstance(backbone, ChainBackbone):
        chains = ", ".join(each for each in BACKBONES if issubclass(BACKBONES[each], ChainBackbone))
        raise ValueError(f"backbone {name!r} is no chain of convolutions; choose from {chains}")
    return backbone


class WalkedBackbone(Backbone):
    """A backbone in torchvision's convention (RGB, ImageNet mean and deviation) that is walked layer by layer."""

    def __init__(self, *, pooling: Pooling, device: torch.device, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(1, 3, 1, 1)
        self._deviation = torch.tensor([0.229, 0.224, 0.225], device=device).view(1, 3, 1, 1)
        self._pooling: Pooling = "max"  # the means are measured with it, whatever is painted with
        self._means = dict.fromkeys(self.layers, 1.0)
        self._means = mean_activations(
            lambda image: self._features(image.to(device), self.layers),
            [tensor.float() for tensor in self.parameters()],
        )
        self._pooling = pooling

    @abstractmethod
    def parameters(self) -> list[Tensor]:
        """All weights and biases, in a fixed order."""

    @abstractmethod
    def walk(self, x: Tensor) -> Iterator[Tensor]:
        """The output of every layer in `layers`, one after the other, each computed when it is asked for."""

    def _features(self, image: Image, layers: Sequence[str]) -> Features:
        x = ((image - self._mean) / self._deviation).to(self._dtype)
        outputs = zip(self.layers, self.walk(x.contiguous(memory_format=torch.channels_last)), strict=True)
        features: Features = {}
        while len(features) < len(layers):
            name, output = next(outputs)
            if name in layers:
                features[name] = output / self._means[name]
        return features

    def _pool(self, x: Tensor, *, padding: int = 0, ceil_mode: bool = False) -> Tensor:
        pool = F.max_pool2d if self._pooling == "max" else F.avg_pool2d
        return pool(x, 3, stride=2, padding=padding, ceil_mode=ceil_mode)
