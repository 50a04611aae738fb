"""Compute the receptive fields of the layers of a network from the convolutions and poolings that it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.types import Features, Image

PROBE = 128
"""Side of the image with which the layers are traced, in pixels."""


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels that a position of a feature map depends on, along one side.

    Position `p` depends on pixels from `stride * p + first` to `stride * p + last`.
    """

    stride: int = 1
    first: int = 0
    last: int = 0

    def through(self, kernel: int, stride: int = 1, padding: int = 0) -> ReceptiveField:
        """Return the receptive field of the output of a convolution or pooling of these features."""
        return ReceptiveField(
            self.stride * stride, self.first - self.stride * padding, self.last + self.stride * (kernel - 1 - padding)
        )

    def joined(self, other: ReceptiveField) -> ReceptiveField | None:
        """Return the receptive field of the sum of two features; None where their positions do not correspond."""
        if self.stride != other.stride:
            return None
        return ReceptiveField(self.stride, min(self.first, other.first), max(self.last, other.last))

    @property
    def before(self) -> int:
        """Pixels before a block of positions that it depends on."""
        return max(0, -self.first)

    @property
    def after(self) -> int:
        """Pixels after a block of positions, `stride` pixels for each, that it depends on."""
        return max(0, self.last - self.stride + 1)


@torch.no_grad()
def traced_receptive_fields(
    encode: Callable[[Image, Sequence[str]], Features], layers: Sequence[str], device: torch.device
) -> dict[str, ReceptiveField]:
    """Return the receptive field of each layer, from the operations that an encoding of a small image runs.

    Args:
        encode: function from an image and the names of layers to their features.
        layers: names of the layers.
        device: device of the network.

    Raises:
        ValueError: for a layer that depends on the whole image, or in a way that is not known.
    """
    image = torch.zeros(1, 3, PROBE, PROBE, device=device)
    tracer = _Tracer(image)
    with tracer:
        features = encode(image, layers)
    fields = {layer: tracer.field(features[layer]) for layer in layers}
    known = {layer: field for layer, field in fields.items() if field is not None}
    if len(known) < len(fields):
        layer = next(layer for layer in fields if layer not in known)
        raise ValueError(f"tile: layer {layer} depends on the whole image, which cannot be tiled; give --tile 0")
    return known


@torch.no_grad()
def traced_map_shapes(
    encode: Callable[[Image, Sequence[str]], Features],
    shape: tuple[int, int],
    fields: Mapping[str, ReceptiveField],
    device: torch.device,
) -> dict[str, tuple[int, int]]:
    """Return the height and width of each layer's features, from an encoding of a small image.

    Args:
        encode: function from an image and the names of layers to their features.
        shape: height and width of the image in pixels.
        fields: receptive field of each layer.
        device: device of the network.
    """
    stride = math.lcm(*(field.stride for field in fields.values()))
    small = [length if length < PROBE else PROBE + (length - PROBE) % stride for length in shape]
    features = encode(torch.zeros(1, 3, *small, device=device), list(fields))
    added = [length - each for length, each in zip(shape, small, strict=True)]
    return {
        layer: (
            features[layer].shape[-2] + added[0] // field.stride,
            features[layer].shape[-1] + added[1] // field.stride,
        )
        for layer, field in fields.items()
    }


@torch.no_grad()
def traced_bytes_per_pixel(
    encode: Callable[[Image, Sequence[str]], Features], layers: Sequence[str], device: torch.device
) -> float:
    """Return the memory of all intermediate results of an encoding, in bytes for each pixel of the image."""
    image = torch.zeros(1, 3, PROBE, PROBE, device=device)
    encode(image, layers)  # the first time, weights are prepared too
    counter = _Counter()
    with counter:
        encode(image, layers)
    return counter.count / PROBE**2


def margins(fields: Iterable[ReceptiveField]) -> tuple[int, int, int]:
    """Return the pixels before and after a tile that its positions depend on, and the common stride."""
    fields = list(fields)
    strides = [field.stride for field in fields]
    return max(field.before for field in fields), max(field.after for field in fields), math.lcm(*strides)


class _Counter(TorchFunctionMode):
    """Collect the memory of all results of functions.

    A `TorchDispatchMode` would see the same, but its first use imports the compiler of PyTorch, for almost 2 s.
    """

    def __init__(self) -> None:
        super().__init__()
        self._storages: dict[int, torch.UntypedStorage] = {}

    @property
    def count(self) -> int:
        """Number of bytes."""
        return sum(storage.nbytes() for storage in self._storages.values())

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for each in _tensors([output]):
            storage = each.untyped_storage()
            self._storages[storage.data_ptr()] = storage  # keeps it, so that no other one gets its address
        return output


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follow the receptive field of an image through the operations of PyTorch."""

    def __init__(self, image: Image) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found: dict[int, tuple[Tensor, ReceptiveField | None]] = {id(image): (image, ReceptiveField())}

    def field(self, tensor: Tensor) -> ReceptiveField | None:
        """Return the receptive field of a tensor; None where it is not known."""
        return self._found.get(id(tensor), (tensor, None))[1]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        inputs = [each for each in _tensors(args) if id(each) in self._found]
        if inputs:
            field = self._output_field(func, args, inputs)
            for each in _tensors([output]):
                self._found[id(each)] = (each, field)  # keeps the tensor, so that no other one gets its id
        return output

    def _output_field(self, func: Any, args: Sequence[Any], inputs: Sequence[Tensor]) -> ReceptiveField | None:
        field = self.field(inputs[0])
        aten = torch.ops.aten
        for other in map(self.field, inputs[1:]):
            field = None if field is None or other is None else field.joined(other)
        if field is None:
            return None
        if func is aten.convolution.default:
            _, weight, _, strides, paddings, dilations, transposed, *_ = args
            kernels = tuple((size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilations, strict=True))
            return None if transposed else _through(field, kernels, strides, paddings)
        if func in (aten.max_pool2d_with_indices.default, aten.avg_pool2d.default):
            kernels, strides, paddings = (_pair(args[i] if len(args) > i else ()) for i in (1, 2, 3))
            return _through(field, kernels, strides or kernels, paddings or (0, 0))
        copies = (aten.clone.default, aten._to_copy.default, aten.cat.default, aten.detach.default)
        return field if func in copies or torch.Tag.pointwise in func.tags else None


def _through(
    field: ReceptiveField, kernels: Sequence[int], strides: Sequence[int], paddings: Sequence[int]
) -> ReceptiveField | None:
    """Return the receptive field after a convolution or pooling; None where both sides differ."""
    sides = {(k, s, p) for k, s, p in zip(kernels, strides, paddings, strict=True)}
    return field.through(*sides.pop()) if len(sides) == 1 else None


def _pair(values: Sequence[int]) -> tuple[int, ...]:
    """Return the values of both sides, where one may stand for both; empty where none is given."""
    return tuple(values) * 2 if len(values) == 1 else tuple(values)


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among values and within their lists and tuples."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found
