"""A narrow network's first weights, from a wide one: channels are picked, and each layer is fitted in closed form.

Channel j of the narrow network stands for one channel of the teacher, in the teacher's units. So its Gram matrix
approximates a block of the teacher's, and style transfer can use it in the teacher's place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones.chain import Chain, Convolution, Layer
from impasto.backbones.lite import Lite
from impasto.backbones.narrow_vgg import LAYERS, RELUS, NarrowVGG
from impasto.features.moments import second_moment

PLACES = 100_000
"""Places, over all pictures, that a layer is fitted at."""
RIDGE = 1e-4
"""Of the mean squared input, added to the diagonal of the normal equations."""
TOGETHER = 16
"""Pictures that are computed at a time."""
SPENT = 1e-5
"""With less of its energy left a channel is explained; what is left is rounding, which can pass for a find."""


class Student(NarrowVGG):
    """The narrow network, and what each of its channels stands for."""

    gram_units: Tensor
    """One for each style layer: what a squared difference of Gram matrices is multiplied by."""
    scales: Tensor
    """One for each layer, folded into the weights at last."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        for name in RELUS:
            width = self.convolution(name).out_channels
            self.register_buffer(f"picked_{name}", torch.zeros(width, dtype=torch.long))
            self.register_buffer(f"variance_{name}", torch.ones(width))
        self.register_buffer("gram_units", torch.ones(len(Lite.style_layers)))
        self.register_buffer("scales", torch.ones(len(RELUS)))

    def picked(self, name: str) -> Tensor:
        """The teacher's channels that those of a layer stand for."""
        return self.get_buffer(f"picked_{name}")

    def scaled(self, content: float = 1.0) -> list[Layer]:
        """The layers as they are now, each scaled so that its losses are as large as the teacher's.

        Args:
            content: what the layer that keeps the content is scaled with besides.
        """
        scales, below, layers = dict(zip(RELUS, self.scales.tolist(), strict=True)), 1.0, []
        for layer in self.frozen():
            if isinstance(layer, Convolution):
                here = scales[layer.name] * (content if layer.name in Lite.content_layers else 1)
                layer = Convolution(layer.name, layer.weight * (here / below), layer.bias * here)
                below = here
            layers.append(layer)
        return layers


def pick_channels(moment: Tensor, count: int) -> list[int]:
    """The channels that explain the most of all, one after the other (pivoted Cholesky, greedy in explained energy).

    Args:
        moment: second moments of the channels, `(C, C)`.
        count: how many to pick.

    >>> pick_channels(torch.tensor([[4.0, 4.0, 0.0], [4.0, 4.1, 0.0], [0.0, 0.0, 1.0]]), 2)
    [1, 2]
    """
    rest = moment.double().clone()
    picked: list[int] = []
    for _ in range(count):
        explained = rest.square().sum(0) / rest.diagonal().clamp_min(1e-12)
        explained += SPENT * rest.diagonal()  # of two that say the same, the louder one
        explained[rest.diagonal() <= SPENT * moment.diagonal()] = 0
        explained[picked] = -1
        j = int(explained.argmax())
        picked.append(j)
        rest -= torch.outer(rest[:, j], rest[j]) / rest[j, j].clamp_min(1e-12)
    return picked


@torch.no_grad()
def take_over(network: Student, teacher: Chain, pixels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Gives `network` its first weights; returns which channel of the teacher each of its channels stands for.

    Layer by layer, from the picture up: picks the teacher's channels, then fits the convolution by ridge regression
    from the network's own features below to what the teacher has in those channels before its ReLU.

    Args:
        teacher: VGG-19 with max pooling, of any precision.
        pixels: normalized pictures `(N, 3, H, W)` to fit on.
    """
    layers = {layer.name: layer for layer in teacher.layers}
    picked: dict[str, Tensor] = {}
    theirs, ours = pixels.to(teacher.dtype), pixels
    for name in LAYERS:
        layer = layers[name]
        if not isinstance(layer, Convolution):
            theirs, ours = F.max_pool2d(theirs, 2), F.max_pool2d(ours, 2)
            continue
        above = _activated(theirs, layer.weight, layer.bias)
        own = network.convolution(name)
        picked[name] = torch.tensor(pick_channels(_second_moment(above), own.out_channels))
        weight, bias = _fit(ours, theirs, layer, picked[name], generator)
        own.load_state_dict({"weight": weight, "bias": bias})
        ours = _activated(ours, weight, bias)
        theirs = above
    return picked


@torch.no_grad()
def measure(network: Student, teacher: Chain, pixels: Tensor, picked: dict[str, Tensor]) -> None:
    """Fills in what the losses are measured in, and the scales of the layers.

    The scales make the Gram loss of a style layer between two pictures as large as the teacher's on average, and the
    content loss of the other layers, so that a weight means the same with both.
    """
    parts = [teacher(part, RELUS) for part in torch.split(pixels, 16)]
    differences, whole = [], []
    scales = dict.fromkeys(RELUS, 1.0)
    for name in RELUS:
        network.picked(name).copy_(picked[name])
        block = torch.cat([part[name][:, picked[name]] for part in parts]).float()
        variance = block.var((0, 2, 3))
        network.get_buffer(f"variance_{name}").copy_((variance + variance.mean()) / 2)
        full = torch.cat([part[name].float().var((2, 3)) for part in parts])
        scales[name] = float((full.mean() / block.var((2, 3)).mean()).sqrt())
        if name in Lite.style_layers:
            gram = second_moment(block)
            differences.append((gram - gram.flip(0)).square().mean())  # a photograph and a painting each
            gram = torch.cat([second_moment(part[name]) for part in parts])
            whole.append((gram - gram.flip(0)).square().mean())
            scales[name] = float((whole[-1] / differences[-1]) ** 0.25)
    theirs, ours = torch.stack(whole), torch.stack(differences)
    # Half of it weighs the layers alike, half as a painting's loss does.
    network.gram_units.copy_(0.5 / (len(ours) * ours) + 0.5 * (theirs / ours) / theirs.sum())
    network.scales.copy_(torch.tensor([scales[name] for name in RELUS]))


def _fit(
    ours: Tensor, theirs: Tensor, layer: Convolution, picked: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weight and bias from `ours` below to the picked channels of the teacher's `layer`, by ridge regression."""
    weight, bias = layer.weight[picked].float(), layer.bias[picked].float()
    side = 9 * ours.shape[1] + 1
    square, mixed = torch.zeros(side, side, dtype=torch.float64), torch.zeros(side, len(picked), dtype=torch.float64)
    for own, their in zip(torch.split(ours, TOGETHER), torch.split(theirs, TOGETHER), strict=True):
        wanted = _convolved(their.float(), weight, bias).flatten(2)  # (B, width, H*W)
        patches = F.unfold(own.float(), 3, padding=1)  # (B, 9*C, H*W)
        patches = torch.cat([patches, patches.new_ones(len(patches), 1, patches.shape[-1])], 1)
        each = max(1, PLACES // len(ours))
        places = torch.randperm(patches.shape[-1], generator=generator)[:each]
        x = patches[..., places].transpose(1, 2).reshape(-1, side)
        y = wanted[..., places].transpose(1, 2).reshape(-1, len(picked))
        square += (x.T @ x).double()
        mixed += (x.T @ y).double()
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    solution = torch.linalg.solve(square, mixed).float()  # (9*C + 1, width)
    return solution[:-1].T.reshape(len(picked), -1, 3, 3), solution[-1]


def _activated(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.cat([_convolved(part, weight, bias).relu_() for part in torch.split(x, TOGETHER)])


def _convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x.to(weight.dtype).contiguous(memory_format=torch.channels_last), weight, bias, padding=1)


def _second_moment(features: Tensor) -> Tensor:
    """`(C, C)`, over all places of all pictures."""
    total = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for part in torch.split(features, TOGETHER):
        columns = part.float().transpose(0, 1).flatten(1)  # (C, B*H*W)
        total += (columns @ columns.T).double()
    return total / (features.numel() / features.shape[1])
