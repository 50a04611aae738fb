"""A chain of 3x3 convolutions with ReLU, and pooling: the body of the VGG family, run as fast as the device can.

On a CPU the chain is differentiated by hand. oneDNN fuses each convolution with its ReLU, the weights are packed for
it, and the gradient with respect to the input of a convolution is again a convolution, with the kernel turned around.
Elsewhere, and where oneDNN lacks the type of number, plain autograd does the same. A test holds the two to the same
numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.devices import has_onednn

Pooling = Literal["max", "average"]


@dataclass(frozen=True)
class Convolution:
    """3x3 convolution, stride 1, zero padding 1, then ReLU."""

    name: str
    weight: Tensor  # (C_out, C_in, 3, 3)
    bias: Tensor  # (C_out,)


@dataclass(frozen=True)
class Pool:
    """2x2 pooling, stride 2; an odd last row or column is dropped."""

    name: str


Layer = Convolution | Pool


def block_names(convolutions: Sequence[int]) -> tuple[str, ...]:
    """Layer names of a chain with so many convolutions in each block: `relu1_1`, `relu1_2`, `pool1`, ..."""
    names = []
    for block, count in enumerate(convolutions, 1):
        names += [f"relu{block}_{i}" for i in range(1, count + 1)] + [f"pool{block}"]
    return tuple(names)


class Chain:
    """Runs `layers` in order and returns the activations that are asked for, no deeper than the deepest of them.

    Weights are frozen: the only gradient is that of the input. `dtype` is the precision of the convolutions.
    """

    def __init__(self, layers: Iterable[Layer], *, pooling: Pooling, device: torch.device, dtype: torch.dtype) -> None:
        self.layers = [_moved(layer, device, dtype) for layer in layers]
        self.pooling: Pooling = pooling
        self.dtype = dtype
        self.device = device
        self._fused = device.type == "cpu" and has_onednn(dtype)
        self._packed: dict[str, _PackedConvolution] = {}

    def __call__(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Activations `(B, C, H, W)` of the layers called `names`, for normalized pixels `(B, 3, H, W)`.

        Raises `ValueError` where a picture is too small for the deepest layer asked for.
        """
        depth = 1 + max(i for i, layer in enumerate(self.layers) if layer.name in names)
        layers = self.layers[:depth]
        pools = sum(isinstance(layer, Pool) for layer in layers)
        if min(pixels.shape[-2:]) < 2**pools:
            raise ValueError(
                f"a picture of {pixels.shape[-1]}x{pixels.shape[-2]} pixels is too small for layer "
                f"{layers[-1].name}, which needs at least {2**pools} on each side"
            )
        pixels = pixels.to(self.dtype).contiguous(memory_format=torch.channels_last)
        if self._fused and not torch.compiler.is_exporting():
            outputs = _FusedChain.apply(pixels, self, layers, tuple(names))  # type: ignore[no-untyped-call]
            return dict(zip(names, outputs, strict=True))
        return self._plain(pixels, layers, names)

    def _plain(self, x: Tensor, layers: Sequence[Layer], names: Sequence[str]) -> dict[str, Tensor]:
        taps = {}
        for layer in layers:
            if isinstance(layer, Convolution):
                x = F.relu(F.conv2d(x, layer.weight, layer.bias, padding=1))
            else:
                x = F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)
            if layer.name in names:
                taps[layer.name] = x
        return taps

    def packed(self, layer: Convolution) -> _PackedConvolution:
        """The layer's weights in oneDNN's own layout."""
        if layer.name not in self._packed:
            self._packed[layer.name] = _PackedConvolution(layer)
        return self._packed[layer.name]


class _PackedConvolution:
    """A convolution's kernel, and the turned kernel of its gradient, in the layout oneDNN computes with.

    The layout depends on the size of the maps: a kernel packed for another one would be packed anew in every step,
    which takes ten times as long as the convolution itself where pictures are small.
    """

    _geometry = ((1, 1), (1, 1), (1, 1), 1)  # padding, stride, dilation, groups
    _kept = 8  # sizes: as many as one step can look at (octaves), and no more, for VGG-19 fills 50 MB with each in bf16

    def __init__(self, layer: Convolution) -> None:
        self._layer = layer
        self._kernels: dict[torch.Size, Tensor] = {}
        self._turned: dict[torch.Size, Tensor] = {}

    def relu(self, x: Tensor) -> Tensor:
        """ReLU of the convolution of `x`, in one pass."""
        if x.shape not in self._kernels:
            self._keep(self._kernels, x.shape, self._layer.weight)
        run = torch.ops.mkldnn._convolution_pointwise
        kernel, bias = self._kernels[x.shape], self._layer.bias
        return run(x, kernel, bias, *self._geometry, "relu", [], "")  # type: ignore[no-any-return]

    def input_gradient(self, gradient: Tensor, plus: Tensor | None) -> Tensor:
        """Gradient of the input for the `gradient` of the output, added to `plus` in the same pass."""
        if gradient.shape not in self._turned:
            turned = self._layer.weight.flip(2, 3).transpose(0, 1).contiguous()  # (C_in, C_out, 3, 3)
            self._keep(self._turned, gradient.shape, turned)
        run = torch.ops.mkldnn._convolution_pointwise
        kernel = self._turned[gradient.shape]
        if plus is None:
            return run(gradient, kernel, None, *self._geometry, "none", [], "")  # type: ignore[no-any-return]
        added: tuple[Any, ...] = ("add", 1.0, None, [], None)
        return run.binary(gradient, plus, kernel, None, *self._geometry, *added)  # type: ignore[no-any-return]

    def _keep(self, packed: dict[torch.Size, Tensor], size: torch.Size, weight: Tensor) -> None:
        if len(packed) == self._kept:
            del packed[next(iter(packed))]
        pack = torch.ops.mkldnn._reorder_convolution_weight
        packed[size] = pack(weight, *self._geometry, list(size))


class _FusedChain(torch.autograd.Function):
    """Forward and backward pass of a `Chain` on the CPU."""

    @staticmethod
    def forward(
        ctx: Any, pixels: Tensor, chain: Chain, layers: Sequence[Layer], names: tuple[str, ...]
    ) -> tuple[Tensor, ...]:
        activations = [pixels]  # input of every layer, and the last output
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
        """Walks the layers backwards; `gradient` is always that of the layer's output.

        A ReLU stops the gradient where its output is 0. Below a max pooling that can be asked of the pooled output, a
        quarter of the size: an output of 0 means that all its four inputs were 0.
        """
        chain, layers = ctx.chain, ctx.layers
        inputs, halves = (
            ctx.saved_tensors[: len(layers) + 1],
            dict(zip(ctx.pools, ctx.saved_tensors[len(layers) + 1 :], strict=True)),
        )
        asked = dict(zip(ctx.names, gradients, strict=True))
        gradient = asked[layers[-1].name]
        relu_done = False
        for i in reversed(range(len(layers))):
            layer, x, output = layers[i], inputs[i], inputs[i + 1]
            below = asked.get(layers[i - 1].name) if i > 0 else None
            if isinstance(layer, Convolution):
                if not relu_done:
                    gradient = relu_gradient(gradient, output, in_place=output is not inputs[-1])
                gradient = chain.packed(layer).input_gradient(gradient, below)
                relu_done = False
                continue
            relu_done = chain.pooling == "max" and below is None
            if relu_done:
                gradient = relu_gradient(gradient, output, in_place=output is not inputs[-1])
            if chain.pooling == "max":
                gradient = max_pool_gradient(gradient, x, halves[layer.name])
            else:
                run = torch.ops.aten.avg_pool2d_backward
                gradient = run(gradient, x, [2, 2], [2, 2], [0, 0], False, True, None)
            if below is not None:
                gradient = gradient + below
        return gradient, None, None, None


def relu_gradient(gradient: Tensor, output: Tensor, *, in_place: bool) -> Tensor:
    """The gradient where the ReLU's `output` is above 0, else 0; written over `gradient` if that is ours to change."""
    dtype = gradient.dtype
    gradient, output = ordered(gradient), ordered(output)
    run = torch.ops.aten.threshold_backward
    kept = run.grad_input(gradient, output, 0, grad_input=gradient) if in_place else run(gradient, output, 0)
    return kept.view(dtype)  # type: ignore[no-any-return]


def max_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 max pooling of `(B, C, H, W)`, none of it below 0, and what its gradient needs: the half that pools rows."""
    rows = torch.maximum(*_pairs(ordered(x), 2))
    return torch.maximum(*_pairs(rows, 3)).view(x.dtype), rows


def max_pool_gradient(gradient: Tensor, x: Tensor, rows: Tensor) -> Tensor:
    """Gradient of the input `x` of `max_pool`; where inputs are the same, the left and then the upper one has it."""
    return _to_greater(_to_greater(ordered(gradient), rows, 3), ordered(x), 2).view(x.dtype)


def ordered(x: Tensor) -> Tensor:
    """Numbers of the same bits and, from 0 up, of the same order, that PyTorch is quick to compare and to choose from.

    For bfloat16 these are integers, three times as quick, for others `x` itself.
    """
    return x.view(torch.int16) if x.dtype is torch.bfloat16 else x


def _pairs(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The first and the second of each two along `dim`; an odd last one is left out."""
    whole = x.shape[dim] // 2 * 2
    if dim == 2:
        return x[:, :, 0:whole:2], x[:, :, 1:whole:2]
    return x[..., 0:whole:2], x[..., 1:whole:2]


def _to_greater(gradient: Tensor, x: Tensor, dim: int) -> Tensor:
    """Gradient of `x` for that of the greater of each two along `dim`, which the greater one has alone."""
    first, second = _pairs(x, dim)
    beyond = second - first
    spread = torch.empty_like(x) if x.shape[dim] % 2 == 0 else torch.zeros_like(x)
    mine, other = _pairs(spread, dim)
    rows = dim == 2  # whole rows can be written where they belong; single places are better copied there
    part = torch.ops.aten.threshold_backward.grad_input(gradient, beyond, 0, grad_input=other if rows else beyond)
    if not rows:
        other.copy_(part)
    torch.sub(gradient, part, out=mine)
    return spread


def _moved(layer: Layer, device: torch.device, dtype: torch.dtype) -> Layer:
    if isinstance(layer, Pool):
        return layer
    weight = layer.weight.to(device, dtype).contiguous(memory_format=torch.channels_last)
    return Convolution(layer.name, weight.detach(), layer.bias.to(device, dtype).detach())
