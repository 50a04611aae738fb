"""Define the contract of a backbone: a frozen network that computes the features of an image.

Only a backbone knows its mean, scale and channel order. To add a backbone, write a file in this folder with a class
under `@BACKBONES.add("name")`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones.chain import Chain, Convolution, Layer, Pool, Pooling
from impasto.backbones.normalization import mean_activations
from impasto.backbones.receptive_field import (
    ReceptiveField,
    traced_bytes_per_pixel,
    traced_map_shapes,
    traced_receptive_fields,
)
from impasto.backbones.tiling import (
    ComputeTiles,
    LayerStatistic,
    TileTask,
    TileValue,
    tiled_statistics,
    whole_features,
)
from impasto.config import names_of
from impasto.devices import CPU, torch_defaults
from impasto.registry import Registry
from impasto.types import Features, Image


class Backbone(ABC):
    """A frozen network.

    Features are normalized: the mean activation of every layer over typical images is 1, so that a weight means the
    same for every layer and every network (the "normalized" network of Gatys, Ecker & Bethge, CVPR 2016).

    Args:
        pooling: `max`, as published, or `average`.
        device: device of the weights and the features.
        dtype: type of the convolutions and the features: `float32`, `bfloat16` or `float64`.
    """

    summary: ClassVar[str]
    """One phrase for lists: what the network is."""
    weights: ClassVar[str | None] = None
    """Name in the weights manifest; `None` if no weights need to be downloaded."""
    bundled: ClassVar[Path | None] = None
    """Path of the weights file, if it comes with the package."""
    note: ClassVar[str | None] = None
    """Limitation that a user should know, printed with each result."""
    layers: ClassVar[tuple[str, ...]]
    """Names of all layers, from the image up."""
    content_layers: ClassVar[tuple[str, ...]]
    """Default layers of the content loss."""
    style_layers: ClassVar[tuple[str, ...]]
    """Default layers of the style loss."""
    coarse: ClassVar[str | None] = None
    """Name of the network with the same layers that computes the coarse scales of a loss with several scales, see
    `impasto.objectives.matching_scales`; None: this one does."""
    output_style: ClassVar[float] = 1.0
    """Factor on the style weight at the output size of a loss with several scales, see
    `impasto.objectives.matching_scales`."""
    tile: int = 0
    """Longest side in pixels of an image that is encoded at once; a larger one is encoded in tiles. 0: no tiles."""
    compute_tiles: ComputeTiles | None = None
    """Carries out the computation of the tiles with a copy of the network; None: this network does."""
    device: torch.device = CPU
    """Device of the weights and the features."""

    @abstractmethod
    def __init__(self, *, pooling: Pooling, device: torch.device, dtype: torch.dtype) -> None: ...

    def encode(self, image: Image, layers: str | Sequence[str]) -> Features:
        """Compute the features of an image.

        Args:
            image: `(B, 3, H, W)` in [0, 1].
            layers: one or several names of layers; nothing deeper than the deepest of them is computed.

        Returns:
            The features `(B, C, h, w)` of each layer, and the image as `"image"`.

        Raises:
            ValueError: for a layer that the network does not have, or an image too small for a layer.
        """
        names = [name for name in dict.fromkeys(names_of(layers)) if name != "image"]
        self.check_layers(names)
        if not names:
            return {"image": image}
        if self.has_tiles(image):
            maps = self.statistics(image, [LayerStatistic(name, whole_features) for name in names])
            return {"image": image, **dict(zip(names, maps, strict=True))}
        return {"image": image, **self._features(image, names)}

    def statistics(self, image: Image, statistics: Sequence[LayerStatistic]) -> list[Tensor]:
        """Compute functions of the features of an image, such as Gram matrices.

        In tiles, a mean over positions is computed without the features of the whole image in memory.

        Args:
            image: `(B, 3, H, W)` in [0, 1].
            statistics: the functions and their layers.

        Raises:
            ValueError: as `encode`, and if the image needs tiles but a layer depends on all of it.
        """
        names = list(dict.fromkeys(each.layer for each in statistics if each.layer != "image"))
        if not (names and self.has_tiles(image)):
            features = self.encode(image, names)
            return [each.of(features) for each in statistics]
        self.check_layers(names)
        compute = self.compute_tiles or partial(map, self.carry_out)
        return tiled_statistics(compute, image, statistics, self.receptive_fields(names), self.tile)

    def in_tiles(self, side: int, compute: ComputeTiles | None = None) -> Self:
        """Return the same network with other tiles.

        Args:
            side: side of the tiles in pixels; 0: no tiles.
            compute: carries out the computation of the tiles with a copy of the network; None: this network does.
        """
        other = copy(self)
        other.tile, other.compute_tiles = side, compute
        return other

    def carry_out(self, task: TileTask) -> list[TileValue] | Image:
        """Carry out the computation of one tile, whose tensors are on the device of the network."""
        return task.carry_out(self._features)

    def bytes_per_pixel(self) -> float:
        """Return the approximate memory of an evaluation of the deepest default layer and its gradient.

        The gradients of a few layers come on top of the activations of all: half as much again with `lite` and VGG-19.
        """
        deepest = max((*self.content_layers, *self.style_layers), key=self.layers.index)
        return 1.5 * traced_bytes_per_pixel(self._features, [deepest], self.device)

    def has_tiles(self, image: Image) -> bool:
        """Return whether an image is larger than a tile."""
        return 0 < self.tile < max(image.shape[-2:])

    def receptive_fields(self, layers: Sequence[str]) -> dict[str, ReceptiveField]:
        """Return the receptive field of each layer.

        Raises:
            ValueError: for a layer that depends on the whole image.
        """
        if any(layer not in self._fields for layer in layers):
            self._fields = {**self._fields, **self._receptive_fields(layers)}
        return {layer: self._fields[layer] for layer in layers}

    _fields: Mapping[str, ReceptiveField] = MappingProxyType({})

    def _receptive_fields(self, layers: Sequence[str]) -> dict[str, ReceptiveField]:
        """Compute what `receptive_fields` returns."""
        return traced_receptive_fields(self._features, layers, self.device)

    def map_shapes(self, shape: tuple[int, int], layers: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return the height and width of the features of each layer, for an image of a height and width in pixels."""
        return traced_map_shapes(self._features, shape, self.receptive_fields(layers), self.device)

    @abstractmethod
    def _features(self, image: Image, layers: Sequence[str]) -> Features:
        """Compute what `encode` returns, without the image, for one or more layers that the network has."""

    @classmethod
    def check_layers(cls, layers: Sequence[str]) -> None:
        """Check that the network has some layers and that no name is repeated.

        Raises:
            ValueError: for a layer that the network does not have, or that is named twice.
        """
        for layer in layers:
            if layer not in cls.layers:
                raise ValueError(f"the backbone has no layer {layer!r}; it has: {', '.join(cls.layers)}")
            if layers.count(layer) > 1:
                raise ValueError(f"the layer {layer} is named twice; name it once")


BACKBONES: Registry[Backbone] = Registry("backbone", "impasto.backbones")


@torch_defaults()
def load_backbone(
    name: str,
    *,
    pooling: Pooling = "max",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    tile: int = 0,
) -> Backbone:
    """Load a backbone.

    Args:
        name: name of a registered backbone.
        pooling: `max`, as published, or `average`.
        device: device of the weights and the features.
        dtype: type of the convolutions and the features: `float32`, `bfloat16` or `float64`.
        tile: longest side in pixels of an image that is encoded at once; 0 encodes every image at once.

    Raises:
        ValueError: for an unknown name, or weights that are missing or of another network.
    """
    backbone = BACKBONES[name](pooling=pooling, device=torch.device(device), dtype=dtype)
    backbone.tile, backbone.device = tile, torch.device(device)
    return backbone


class ChainBackbone(Backbone):
    """A backbone that is a chain of 3x3 convolutions; the normalization is folded into its weights at no cost."""

    mean: ClassVar[tuple[float, float, float]]
    """Mean that is subtracted from the image, RGB in [0, 1]."""
    mean_activations: ClassVar[tuple[float, ...] | None] = None
    """Mean output of each ReLU over typical images; None measures it on bundled images."""

    @abstractmethod
    def convolutions(self) -> list[Convolution]:
        """Return the convolutions from the image up, named as in `layers`, for RGB in [0, 1] minus `mean`."""

    def __init__(self, *, pooling: Pooling, device: torch.device, dtype: torch.dtype) -> None:
        raw = {layer.name: layer for layer in self.convolutions()}
        if self.mean_activations is None:
            means = self._measured_means(raw)
        else:
            means = dict(zip(raw, self.mean_activations, strict=True))
        layers: list[Layer] = []
        input_mean = 1.0
        for name in self.layers:
            if name not in raw:
                layers.append(Pool(name))
                continue
            mean = means[name]
            weight, bias = raw[name].weight * (input_mean / mean), raw[name].bias / mean
            layers.append(replace(raw[name], weight=weight, bias=bias))
            input_mean = mean
        self._mean = torch.tensor(self.mean, device=device).view(1, 3, 1, 1)
        self.chain = Chain(layers, pooling=pooling, device=device, dtype=dtype)

    def _features(self, image: Image, layers: Sequence[str]) -> Features:
        return self.chain(image - self._mean.to(image.dtype), layers)

    def _receptive_fields(self, layers: Sequence[str]) -> dict[str, ReceptiveField]:
        return self.chain.receptive_fields(layers)

    def encoder(self, layer: str) -> Callable[[Image], Tensor]:
        """Return a function from an image to its features of one layer in float32: the encoder of an autoencoder.

        Unlike `encode`, it reflects the borders and has no gradient.
        """
        return partial(self._encode_layer, layer)

    def encode_reflected(self, image: Image, layers: Sequence[str]) -> Features:
        """Compute the features of an image as `encode` does, but with reflected borders and without a gradient.

        Args:
            image: `(B, 3, H, W)` in [0, 1].
            layers: names of the layers.
        """
        return self.chain.encode(image - self._mean.to(image.dtype), layers)

    def _encode_layer(self, layer: str, image: Image) -> Tensor:
        return self.encode_reflected(image, [layer])[layer].float()

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the convolutions, from the image up."""
        return tuple(len(layer.bias) for layer in self.chain.layers if isinstance(layer, Convolution))

    def _measured_means(self, raw: dict[str, Convolution]) -> dict[str, float]:
        layers = [raw.get(name, Pool(name)) for name in self.layers]
        chain = Chain(layers, pooling="max", device=torch.device("cpu"), dtype=torch.float32)
        mean = torch.tensor(self.mean).view(1, 3, 1, 1)
        return mean_activations(
            lambda image: chain(image - mean, list(raw)),
            [tensor for layer in raw.values() for tensor in (layer.weight, layer.bias)],
        )


def load_chain(name: str, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ChainBackbone:
    """Load a backbone that is a chain of convolutions.

    Args:
        name: name of a registered backbone.
        device: device of the weights and the features.
        dtype: type of the convolutions and the features.

    Raises:
        ValueError: as `load_backbone`, and for a backbone that is not a chain of convolutions.
    """
    backbone = load_backbone(name, device=device, dtype=dtype)
    if not isinstance(backbone, ChainBackbone):
        chains = ", ".join(each for each in BACKBONES if issubclass(BACKBONES[each], ChainBackbone))
        raise ValueError(f"backbone {name!r} is not a chain of convolutions; choose from {chains}")
    return backbone


class TorchvisionBackbone(Backbone):
    """A backbone with torchvision's input convention (RGB, ImageNet mean and std), run layer by layer."""

    def __init__(self, *, pooling: Pooling, device: torch.device, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(1, 3, 1, 1)
        self._std = torch.tensor([0.229, 0.224, 0.225], device=device).view(1, 3, 1, 1)
        self._pooling: Pooling = "max"  # the means are measured with max pooling for both kinds of pooling
        self._means = dict.fromkeys(self.layers, 1.0)
        self._means = mean_activations(
            lambda image: self._features(image.to(device), self.layers),
            [tensor.float() for tensor in self.parameters()],
        )
        self._pooling = pooling

    @abstractmethod
    def parameters(self) -> list[Tensor]:
        """Return all weights and biases, in a fixed order."""

    @abstractmethod
    def activations(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the output of each layer in the order of `layers`, each computed when it is requested.

        Args:
            x: normalized pixels `(B, 3, H, W)`, channels last.
        """

    def _features(self, image: Image, layers: Sequence[str]) -> Features:
        x = ((image - self._mean) / self._std).to(self._dtype)
        outputs = zip(self.layers, self.activations(x.contiguous(memory_format=torch.channels_last)), strict=True)
        features: Features = {}
        while len(features) < len(layers):
            name, output = next(outputs)
            if name in layers:
                features[name] = output / self._means[name]
        return features

    def _pool(self, x: Tensor, *, padding: int = 0, ceil_mode: bool = False) -> Tensor:
        pool = F.max_pool2d if self._pooling == "max" else F.avg_pool2d
        return pool(x, 3, stride=2, padding=padding, ceil_mode=ceil_mode)
