"""Run a chain of 3x3 convolutions with ReLU, and pooling: the architecture of the VGG family.

On a CPU the gradient is implemented without autograd: oneDNN fuses each convolution with its ReLU, the weights are
packed for oneDNN, and the gradient of the input of a convolution is a convolution with the flipped kernel. On other
devices, and where oneDNN lacks the data type, autograd computes the same values. A test compares both.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.backbones.receptive_field import ReceptiveField
from impasto.devices import has_onednn, torch_defaults
from impasto.features.borders import pad_reflect

Pooling = Literal["max", "average"]


@dataclass(frozen=True, eq=False)
class Convolution:
    """3x3 convolution with stride 1 and zero padding 1, followed by a ReLU.

    One of low rank has two 1x1 convolutions as well, which make it R instead of C channels wide (Kim et al.,
    Compression of deep convolutional neural networks, ICLR 2016, arXiv 1511.06530: a Tucker decomposition).
    """

    name: str
    weight: Tensor  # (C_out, C_in, 3, 3), or (R_out, R_in, 3, 3)
    bias: Tensor  # (C_out,)
    reduce: Tensor | None = None  # (R_in, C_in, 1, 1), before the 3x3 convolution
    expand: Tensor | None = None  # (C_out, R_out, 1, 1), after it

    def kernels(self) -> list[Tensor]:
        """Return the kernels in the order of their use; the bias and the ReLU follow the last one."""
        return [kernel for kernel in (self.reduce, self.weight, self.expand) if kernel is not None]

    def __call__(self, x: Tensor, padding: int = 1) -> Tensor:
        """Return the ReLU of the convolution of `x` with a border of `padding` zeros."""
        *linear, last = self.kernels()
        for kernel in linear:
            x = F.conv2d(x, kernel, padding=padding * (kernel.shape[-1] // 2))
        return F.relu(F.conv2d(x, last, self.bias, padding=padding * (last.shape[-1] // 2)))


@dataclass(frozen=True)
class Pool:
    """2x2 pooling with stride 2; an odd last row or column is dropped."""

    name: str


Layer = Convolution | Pool


def block_names(convolutions: Sequence[int]) -> tuple[str, ...]:
    """Return the layer names of a chain: `relu1_1`, `relu1_2`, `pool1`, ...

    Args:
        convolutions: number of convolutions in each block.

    >>> block_names((2, 1))
    ('relu1_1', 'relu1_2', 'pool1', 'relu2_1', 'pool2')
    """
    names = []
    for block, count in enumerate(convolutions, 1):
        names += [f"relu{block}_{i}" for i in range(1, count + 1)] + [f"pool{block}"]
    return tuple(names)


class TooSmallError(ValueError):
    """Raised for an image that is too small for a layer.

    Args:
        shape: height and width of the image in pixels.
        layer: name of the layer.
        needed: smallest height and width for this layer.
    """

    def __init__(self, shape: tuple[int, int], layer: str, needed: int) -> None:
        self.shape, self.layer, self.needed = shape, layer, needed
        super().__init__(
            f"a picture of {shape[1]}x{shape[0]} pixels is too small for layer {layer}, which needs at least {needed} "
            "on each side; choose a larger size or other layers"
        )


class Chain:
    """A frozen chain of layers; the only gradient is that of the input.

    Args:
        layers: convolutions and poolings, from the image up.
        pooling: `max` or `average`.
        device: device of the weights and activations.
        dtype: type of the convolutions and activations.
        fused: use the fused kernels; None: where they work.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        pooling: Pooling,
        device: torch.device,
        dtype: torch.dtype,
        fused: bool | None = None,
    ) -> None:
        self.layers = [_to(layer, device, dtype) for layer in layers]
        self.pooling: Pooling = pooling
        self.dtype = dtype
        self.device = device
        self._fused = device.type == "cpu" and has_fused_kernels(dtype) if fused is None else fused
        self._packed: dict[str, _PackedConvolution] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the weights in the memory layout of oneDNN, which cannot be copied."""
        return {**self.__dict__, "_packed": {}}

    def __call__(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Compute the activations of some layers, and nothing deeper than the deepest of them.

        Args:
            pixels: normalized pixels `(B, 3, H, W)`.
            names: names of layers.

        Returns:
            The activations `(B, C, h, w)` of each layer.

        Raises:
            ValueError: for an image that is too small for the deepest layer.
        """
        layers = self._layers_up_to(names, pixels)
        pixels = pixels.to(self.dtype).contiguous(memory_format=torch.channels_last)
        if self._fused and not torch.compiler.is_exporting():
            outputs = _FusedChain.apply(pixels, self, layers, tuple(names))  # type: ignore[no-untyped-call]
            return dict(zip(names, outputs, strict=True))
        return self._autograd(pixels, layers, names)

    def receptive_fields(self, names: Sequence[str]) -> dict[str, ReceptiveField]:
        """Return the receptive field of some layers, in pixels."""
        field, fields = ReceptiveField(), {}
        for layer in self.layers:
            field = field.through(2, stride=2) if isinstance(layer, Pool) else field.through(3, padding=1)
            fields[layer.name] = field
        return {name: fields[name] for name in names}

    @torch.no_grad()
    def encode(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Compute the activations `(B, C, h, w)` of some layers with reflected borders, and without a gradient.

        A border of zeros is an edge around the image, which a decoder paints as a frame.

        Args:
            pixels: normalized pixels `(B, 3, H, W)`.
            names: names of the layers.

        Raises:
            ValueError: for an image that is too small for a layer.
        """
        activations = {}
        x = pixels.to(self.dtype).contiguous(memory_format=torch.channels_last)
        is_fused = self._fused and not torch.compiler.is_exporting()
        for layer in self._layers_up_to(names, pixels):
            if isinstance(layer, Pool):
                x = max_pool(x)[0] if is_fused and self.pooling == "max" else self._pool(x)
            elif is_fused:
                x = self.packed(layer).relu(pad_reflect(x), padding=0)
            else:
                x = layer(pad_reflect(x), padding=0)
            if layer.name in names:
                activations[layer.name] = x
        return activations

    def _layers_up_to(self, names: Sequence[str], pixels: Tensor) -> list[Layer]:
        """Return the layers up to the deepest of `names`, or raise `ValueError` if the image is too small for it."""
        depth = 1 + max(i for i, layer in enumerate(self.layers) if layer.name in names)
        layers = self.layers[:depth]
        pools = sum(isinstance(layer, Pool) for layer in layers)
        if min(pixels.shape[-2:]) < 2**pools:
            raise TooSmallError((pixels.shape[-2], pixels.shape[-1]), layers[-1].name, 2**pools)
        return layers

    def _autograd(self, x: Tensor, layers: Sequence[Layer], names: Sequence[str]) -> dict[str, Tensor]:
        activations = {}
        for layer in layers:
            x = layer(x) if isinstance(layer, Convolution) else self._pool(x)
            if layer.name in names:
                activations[layer.name] = x
        return activations

    def _pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)

    def packed(self, layer: Convolution) -> _PackedConvolution:
        """Return the weights of a layer in the memory layout of oneDNN."""
        if layer.name not in self._packed:
            self._packed[layer.name] = _PackedConvolution(layer)
        return self._packed[layer.name]


@cache
def has_fused_kernels(dtype: torch.dtype) -> bool:
    """Return whether the fused kernels give the activations and the gradient of autograd on this CPU.

    They are private operators of PyTorch, which a release may remove or change; then autograd replaces them, with a
    warning. The check takes a few milliseconds.
    """
    if not has_onednn(dtype):
        return False
    try:
        with torch_defaults():
            works = all(_equals_autograd(pooling, dtype) for pooling in get_args(Pooling))
    except (AttributeError, RuntimeError, TypeError):
        works = False
    if not works:
        text = f"PyTorch {torch.__version__} has no fused convolutions for {dtype} as impasto knows them"
        warnings.warn(f"{text}: stylization is slower; a newer impasto may know them", stacklevel=2)
    return works


def _equals_autograd(pooling: Pooling, dtype: torch.dtype) -> bool:
    """Compare the fused kernels with autograd on a chain that uses all of them, at an odd size."""
    weights = [torch.arange(16.0 * below * 9).sin().view(16, below, 3, 3) / 4 for below in (3, 16, 16)]
    factor = torch.arange(256.0).cos().view(16, 16, 1, 1) / 4
    first, second, third = (
        Convolution(f"relu{i}", each, each.mean((1, 2, 3)), *((factor, factor) if i == 2 else ()))
        for i, each in enumerate(weights)
    )
    pixels = torch.arange(3.0 * 9 * 7).cos().view(1, 3, 9, 7).requires_grad_()
    found = []
    for fused in (True, False):
        settings: dict[str, Any] = {"pooling": pooling, "device": pixels.device, "dtype": dtype, "fused": fused}
        maps = Chain([first, second, Pool("pool"), third], **settings)(pixels, ["relu0", "relu2"])
        (gradient,) = torch.autograd.grad(torch.stack([each.float().sum() for each in maps.values()]).sum(), pixels)
        found.append([gradient, *(each.float() for each in maps.values())])
    tolerance = 1e-4 if dtype is torch.float32 else 0.1
    pairs = zip(*found, strict=True)
    return all(bool((ours - theirs).abs().max() <= tolerance * theirs.abs().max()) for ours, theirs in pairs)


class _PackedConvolution:
    """The kernels of a convolution in the memory layout of oneDNN."""

    def __init__(self, layer: Convolution) -> None:
        self._kernels = [_PackedKernel(kernel) for kernel in layer.kernels()]
        self._bias = layer.bias

    def relu(self, x: Tensor, padding: int = 1) -> Tensor:
        """Return the ReLU of the convolution of `x` with a border of `padding` zeros."""
        *linear, last = self._kernels
        for kernel in linear:
            x = kernel(x, None, padding, "none")
        return last(x, self._bias, padding, "relu")

    def input_gradient(self, gradient: Tensor, addend: Tensor | None) -> Tensor:
        """Return the gradient of the input for that of the output before the ReLU, plus `addend`."""
        first, *others = self._kernels
        for kernel in reversed(others):
            gradient = kernel.input_gradient(gradient, None)
        return first.input_gradient(gradient, addend)


_Maps = tuple[torch.Size, int]
"""Size of the input of a convolution, `(B, C, H, W)`, and width of the border of zeros that it adds."""


class _PackedKernel:
    """A kernel, and the flipped kernel of its gradient, in the memory layout of oneDNN.

    The layout depends on the size of the maps and on their border of zeros. A kernel packed for others would be packed
    again in every step, which takes ten times as long as the convolution of a small image.
    """

    _geometry = ((1, 1), (1, 1), 1)  # stride, dilation, groups
    _max_sizes = 8  # one step uses at most 8 sizes (loss scales); VGG-19 takes 50 MB for each in bf16

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight
        self._border = weight.shape[-1] // 2
        self._kernels: dict[_Maps, Tensor] = {}
        self._flipped: dict[_Maps, Tensor] = {}

    def __call__(self, x: Tensor, bias: Tensor | None, padding: int, activation: str) -> Tensor:
        """Return the convolution and its activation, computed in one pass; a 1x1 kernel needs no padding."""
        maps = x.shape, padding * self._border
        if maps not in self._kernels:
            self._pack(self._kernels, maps, self._weight.to(x.device))
        run = torch.ops.mkldnn._convolution_pointwise
        kernel, sides = self._kernels[maps], (maps[1],) * 2
        return run(x, kernel, bias, sides, *self._geometry, activation, [], "")  # type: ignore[no-any-return]

    def input_gradient(self, gradient: Tensor, addend: Tensor | None) -> Tensor:
        """Return the gradient of the input for the gradient of the output, plus `addend`, in one pass."""
        maps = gradient.shape, self._border
        if maps not in self._flipped:
            flipped = self._weight.flip(2, 3).transpose(0, 1).contiguous()  # (C_in, C_out, k, k)
            self._pack(self._flipped, maps, flipped.to(gradient.device))
        run = torch.ops.mkldnn._convolution_pointwise
        kernel, sides = self._flipped[maps], (self._border,) * 2
        if addend is None:
            return run(gradient, kernel, None, sides, *self._geometry, "none", [], "")  # type: ignore[no-any-return]
        add: tuple[Any, ...] = ("add", 1.0, None, [], None)
        return run.binary(gradient, addend, kernel, None, sides, *self._geometry, *add)  # type: ignore[no-any-return]

    def _pack(self, packed: dict[_Maps, Tensor], maps: _Maps, weight: Tensor) -> None:
        """Pack a weight for some maps, and delete the oldest packed weight if there are too many."""
        if len(packed) == self._max_sizes:
            del packed[next(iter(packed))]
        (size, border), pack = maps, torch.ops.mkldnn._reorder_convolution_weight
        packed[maps] = pack(weight, (border,) * 2, *self._geometry, list(size))


class _FusedChain(torch.autograd.Function):
    """Forward and backward pass of a `Chain` on the CPU, with fused kernels."""

    @staticmethod
    def forward(
        ctx: Any, pixels: Tensor, chain: Chain, layers: Sequence[Layer], names: tuple[str, ...]
    ) -> tuple[Tensor, ...]:
        activations = [pixels]  # the input of every layer and the last output
        halves = {}
        for layer in layers:
            x = activations[-1]
            if isinstance(layer, Convolution):
                activations.append(chain.packed(layer).relu(x))
            elif chain.pooling == "max":
                pooled, halves[layer.name] = max_pool(x)
                activations.append(pooled)
            else:
                activations.append(F.avg_pool2d(x, 2))
        ctx.save_for_backward(*activations, *halves.values())
        ctx.chain, ctx.layers, ctx.names, ctx.pools = chain, layers, names, tuple(halves)
        outputs = dict(zip((layer.name for layer in layers), activations[1:], strict=True))
        return tuple(outputs[name] for name in names)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Compute the gradient of the pixels; in the loop, `gradient` is that of the layer's output.

        The gradient of a ReLU is 0 where its output is 0. Before a max pooling this is tested on the pooled output, a
        quarter of the size: a pooled output of 0 means that all four inputs are 0.
        """
        chain, layers = ctx.chain, ctx.layers
        inputs, halves = (
            ctx.saved_tensors[: len(layers) + 1],
            dict(zip(ctx.pools, ctx.saved_tensors[len(layers) + 1 :], strict=True)),
        )
        given = dict(zip(ctx.names, gradients, strict=True))
        gradient = given[layers[-1].name]
        relu_done = False
        for i in reversed(range(len(layers))):
            layer, x, output = layers[i], inputs[i], inputs[i + 1]
            input_given = given.get(layers[i - 1].name) if i > 0 else None
            if isinstance(layer, Convolution):
                if not relu_done:
                    gradient = relu_gradient(gradient, output, in_place=output is not inputs[-1])
                gradient = chain.packed(layer).input_gradient(gradient, input_given)
                relu_done = False
                continue
            relu_done = chain.pooling == "max" and input_given is None
            if relu_done:
                gradient = relu_gradient(gradient, output, in_place=output is not inputs[-1])
            if chain.pooling == "max":
                gradient = max_pool_gradient(gradient, x, halves[layer.name])
            else:
                run = torch.ops.aten.avg_pool2d_backward
                gradient = run(gradient, x, [2, 2], [2, 2], [0, 0], False, True, None)
            if input_given is not None:
                gradient = gradient + input_given
        return gradient, None, None, None


def relu_gradient(gradient: Tensor, output: Tensor, *, in_place: bool) -> Tensor:
    """Return the gradient of the input of a ReLU.

    Args:
        gradient: gradient of the output.
        output: output of the ReLU.
        in_place: overwrite `gradient`.
    """
    dtype = gradient.dtype
    gradient, output = as_comparable(gradient), as_comparable(output)
    run = torch.ops.aten.threshold_backward
    result = run.grad_input(gradient, output, 0, grad_input=gradient) if in_place else run(gradient, output, 0)
    return result.view(dtype)  # type: ignore[no-any-return]


def max_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Pool non-negative maps with 2x2 max pooling.

    Args:
        x: `(B, C, H, W)`, >= 0.

    Returns:
        The pooled maps `(B, C, H // 2, W // 2)`, and the maps pooled over rows only, which the gradient needs.
    """
    rows = torch.maximum(*_pairs(as_comparable(x), 2))
    return torch.maximum(*_pairs(rows, 3)).view(x.dtype), rows


def max_pool_gradient(gradient: Tensor, x: Tensor, rows: Tensor) -> Tensor:
    """Return the gradient of the input `x` of `max_pool`; of equal inputs the left, then the upper one receives it."""
    return _unpool_pairs(_unpool_pairs(as_comparable(gradient), rows, 3), as_comparable(x), 2).view(x.dtype)


def as_comparable(x: Tensor) -> Tensor:
    """Reinterpret non-negative bf16 as int16: the order is the same and comparisons are three times faster.

    Tensors of another type are returned unchanged.
    """
    return x.view(torch.int16) if x.dtype is torch.bfloat16 else x


def _pairs(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the first and the second of each pair along `dim`, without an odd last one."""
    even = x.shape[dim] // 2 * 2
    if dim == 2:
        return x[:, :, 0:even:2], x[:, :, 1:even:2]
    return x[..., 0:even:2], x[..., 1:even:2]


def _unpool_pairs(gradient: Tensor, x: Tensor, dim: int) -> Tensor:
    """Return the gradient of `x` for the gradient of the maximum of each pair along `dim`."""
    first, second = _pairs(x, dim)
    excess = second - first
    result = torch.empty_like(x) if x.shape[dim] % 2 == 0 else torch.zeros_like(x)
    result_first, result_second = _pairs(result, dim)
    rows = dim == 2  # rows are written directly to the result; single positions are copied, which is faster
    run = torch.ops.aten.threshold_backward.grad_input
    part = run(gradient, excess, 0, grad_input=result_second if rows else excess)
    if not rows:
        result_second.copy_(part)
    torch.sub(gradient, part, out=result_first)
    return result


def _to(layer: Layer, device: torch.device, dtype: torch.dtype) -> Layer:
    if isinstance(layer, Pool):
        return layer

    def moved(kernel: Tensor) -> Tensor:
        return kernel.to(device, dtype).contiguous(memory_format=torch.channels_last).detach()

    reduce, expand = (None if kernel is None else moved(kernel) for kernel in (layer.reduce, layer.expand))
    return Convolution(layer.name, moved(layer.weight), layer.bias.to(device, dtype).detach(), reduce, expand)
