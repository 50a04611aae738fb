"""Initialize a small network from a wide one: select channels and fit each layer in closed form.

Channel j of the narrow network (student) represents one channel of the wide network (teacher), in the units of the
teacher. The Gram matrix of the student therefore approximates a block of that of the teacher, and style transfer can
use the student instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones.chain import Chain, Convolution, Layer
from impasto.backbones.distilled import DistilledBackbone
from impasto.backbones.narrow_vgg import LAYERS, RELUS, LowRankConvolution, NarrowVGG
from impasto.features.moments import second_moment

FIT_POSITIONS = 100_000
"""Number of positions, over all images, to which a layer is fitted."""
RIDGE = 1e-4
"""Ridge penalty, relative to the mean squared input."""
CHUNK = 16
"""Number of images that are computed at a time."""
MIN_ENERGY = 1e-5
"""Fraction of its energy below which a channel counts as explained; the remainder may be rounding errors."""


class Student(NarrowVGG):
    """The narrow network, with the teacher channels that its channels represent."""

    gram_units: Tensor
    """Factor of the squared difference of Gram matrices, for each style layer."""
    scales: Tensor
    """Scale of each layer, which is multiplied into the exported weights."""

    def __init__(self, widths: Sequence[int], ranks: Sequence[tuple[int, int]] = ((0, 0),) * len(RELUS)) -> None:
        """Create a network of random weights with the given widths and ranks."""
        super().__init__(widths, ranks)
        for name, width in zip(RELUS, widths, strict=True):
            self.register_buffer(f"channels_{name}", torch.zeros(width, dtype=torch.long))
            self.register_buffer(f"variance_{name}", torch.ones(width))
        self.register_buffer("gram_units", torch.ones(len(DistilledBackbone.style_layers)))
        self.register_buffer("scales", torch.ones(len(RELUS)))

    def channels(self, name: str) -> Tensor:
        """Return the indices of the teacher channels that the channels of a layer represent."""
        return self.get_buffer(f"channels_{name}")

    def scaled_layers(self, content: float = 1.0) -> list[Layer]:
        """Return the current layers, each scaled so that its losses are as large as those of the teacher.

        Args:
            content: additional factor of the content layer.
        """
        scales, below, layers = dict(zip(RELUS, self.scales.tolist(), strict=True)), 1.0, []
        for layer in self.frozen():
            if isinstance(layer, Convolution):
                here = scales[layer.name] * (content if layer.name in DistilledBackbone.content_layers else 1)
                layer = replace(layer, weight=layer.weight * (here / below), bias=layer.bias * here)
                below = here
            layers.append(layer)
        return layers


def select_channels(moment: Tensor, count: int) -> list[int]:
    """Select the channels that explain most of the energy (greedy pivoted Cholesky decomposition).

    Args:
        moment: second moments of the channels, `(C, C)`.
        count: number of channels to select.

    Returns:
        Indices of the channels, in the order of selection.

    >>> select_channels(torch.tensor([[4.0, 4.0, 0.0], [4.0, 4.1, 0.0], [0.0, 0.0, 1.0]]), 2)
    [1, 2]
    """
    rest = moment.double().clone()
    selected: list[int] = []
    for _ in range(count):
        explained = rest.square().sum(0) / rest.diagonal().clamp_min(1e-12)
        explained += MIN_ENERGY * rest.diagonal()  # of two equivalent channels, prefers the one with more energy
        explained[rest.diagonal() <= MIN_ENERGY * moment.diagonal()] = 0
        explained[selected] = -1
        j = int(explained.argmax())
        selected.append(j)
        rest -= torch.outer(rest[:, j], rest[j]) / rest[j, j].clamp_min(1e-12)
    return selected


@torch.no_grad()
def fit_student(network: Student, teacher: Chain, pixels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Set the weights of the student, layer by layer from the image up.

    Each layer selects channels of the teacher, then fits its convolution by ridge regression from the features of the
    student below to those channels of the teacher before the ReLU. One of low rank has all channels of the teacher. Its
    input has the directions that change the output of the teacher most, and its output the directions of the most
    variance (reduced-rank regression; Zhang et al., Accelerating very deep convolutional networks, arXiv 1505.06798).

    Args:
        network: the student; its weights are set.
        teacher: VGG-19 with max pooling, of any precision.
        pixels: normalized images `(N, 3, H, W)` to fit.
        generator: selects the positions.

    Returns:
        For every layer, the teacher channels that the channels of the student represent.

    Raises:
        ValueError: for a low rank of the output of a layer, or of its input, that lacks channels of the teacher.
    """
    layers = {layer.name: layer for layer in teacher.layers}
    channels: dict[str, Tensor] = {}
    theirs, ours = pixels.to(teacher.dtype), pixels
    for name in LAYERS:
        layer = layers[name]
        if not isinstance(layer, Convolution):
            theirs, ours = F.max_pool2d(theirs, 2), F.max_pool2d(ours, 2)
            continue
        above = _activate(theirs, layer.weight, layer.bias)
        own = network.convolution(name)
        if isinstance(own, LowRankConvolution):
            channels[name] = torch.arange(len(layer.bias))
            ours = _fit_low_rank(own, ours, theirs, layer, generator)
        else:
            channels[name] = torch.tensor(select_channels(_channel_moments(above), own.out_channels))
            weight, bias = _fit(ours, theirs, layer, channels[name], generator)
            own.load_state_dict({"weight": weight, "bias": bias})
            ours = _activate(ours, weight, bias)
        theirs = above
    return channels


@torch.no_grad()
def measure_units(network: Student, teacher: Chain, pixels: Tensor, channels: dict[str, Tensor]) -> None:
    """Set the units of the losses and the scales of the layers of a student.

    The scales make the Gram loss between two images as large as that of the teacher on average, for style layers, and
    the content loss for the other layers, so that a weight means the same with both networks.

    Args:
        network: the student; its buffers are set.
        teacher: VGG-19 with max pooling.
        pixels: normalized images `(N, 3, H, W)`, photographs in the first half and paintings in the second.
        channels: the channels from `fit_student`.
    """
    parts = [teacher(part, RELUS) for part in torch.split(pixels, 16)]
    block_losses, full_losses = [], []
    scales = dict.fromkeys(RELUS, 1.0)
    for name in RELUS:
        network.channels(name).copy_(channels[name])
        block = torch.cat([part[name][:, channels[name]] for part in parts]).float()
        variance = block.var((0, 2, 3))
        network.get_buffer(f"variance_{name}").copy_((variance + variance.mean()) / 2)
        full = torch.cat([part[name].float().var((2, 3)) for part in parts])
        scales[name] = float((full.mean() / block.var((2, 3)).mean()).sqrt())
        if name in DistilledBackbone.style_layers:
            gram = second_moment(block)
            block_losses.append((gram - gram.flip(0)).square().mean())  # pairs of a photograph and a painting
            gram = torch.cat([second_moment(part[name]) for part in parts])
            full_losses.append((gram - gram.flip(0)).square().mean())
            scales[name] = float((full_losses[-1] / block_losses[-1]) ** 0.25)
    theirs, ours = torch.stack(full_losses), torch.stack(block_losses)
    # One half weights the layers equally, the other half as the style loss of the teacher does.
    network.gram_units.copy_(0.5 / (len(ours) * ours) + 0.5 * (theirs / ours) / theirs.sum())
    network.scales.copy_(torch.tensor([scales[name] for name in RELUS]))


def _fit(
    ours: Tensor, theirs: Tensor, layer: Convolution, channels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Fit a convolution by ridge regression.

    Args:
        ours: features of the student below the layer.
        theirs: features of the teacher below the layer.
        layer: the layer of the teacher.
        channels: channels of the layer to fit.
        generator: selects the positions.

    Returns:
        Weight and bias.
    """
    _, solution = _regression(ours, theirs, layer, channels, generator)
    weight = solution[:-1].T.reshape(len(channels), -1, 3, 3)
    return weight.float(), solution[-1].float()


def _fit_low_rank(
    own: LowRankConvolution, ours: Tensor, theirs: Tensor, layer: Convolution, generator: torch.Generator
) -> Tensor:
    """Set the weights of a convolution of low rank and return its features; the arguments are those of `_fit`."""
    if own.expand.out_channels != len(layer.bias):
        raise ValueError(f"{layer.name} is of low rank and needs all {len(layer.bias)} channels of the teacher")
    if own.reduce is not None:
        if ours.shape[1] != layer.weight.shape[1]:
            raise ValueError(f"{layer.name} has an input of low rank and needs all channels of the layer below")
        own.reduce.weight.copy_(_input_directions(layer.weight, _channel_moments(ours), own.reduce.out_channels))
    reduced = ours if own.reduce is None else torch.cat([own.reduce(part) for part in torch.split(ours, CHUNK)])
    square, solution = _regression(reduced, theirs, layer, torch.arange(len(layer.bias)), generator)
    mean = square[-1] / square[-1, -1]
    predicted = solution.T @ (square - torch.outer(mean, square[-1])) @ solution  # (C, C), of the outputs of the fit
    directions = torch.linalg.eigh(predicted)[1][:, -own.core.out_channels :]  # (C, rank)
    center = mean[:-1] @ solution[:-1]
    own.core.weight.copy_((solution[:-1] @ directions).T.reshape(own.core.weight.shape))
    own.expand.weight.copy_(directions[:, :, None, None])
    assert own.expand.bias is not None
    own.expand.bias.copy_(solution[-1] + center - center @ directions @ directions.T)
    return torch.cat([own(part).relu_() for part in torch.split(ours, CHUNK)])


def _input_directions(weight: Tensor, moments: Tensor, rank: int) -> Tensor:
    """Return the directions of the input, `(rank, C, 1, 1)`, that change the output of a convolution most."""
    moments = moments.double()
    energies, axes = torch.linalg.eigh(moments + RIDGE * moments.diagonal().mean() * torch.eye(len(moments)))
    root, inverse = ((axes * energies**power) @ axes.T for power in (0.5, -0.5))
    effect = root @ weight.double().transpose(0, 1).flatten(1)  # (C, 9 * C_out)
    directions = torch.linalg.eigh(effect @ effect.T)[1][:, -rank:]
    reduction: Tensor = directions.T @ inverse
    return reduction[:, :, None, None]


def _regression(
    ours: Tensor, theirs: Tensor, layer: Convolution, channels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the second moments of the patches, `(9*C + 1, 9*C + 1)`, and the solution of the ridge regression.

    The last row is that of the bias; the arguments are those of `_fit`.
    """
    weight, bias = layer.weight[channels].float(), layer.bias[channels].float()
    side = 9 * ours.shape[1] + 1
    square, mixed = torch.zeros(side, side, dtype=torch.float64), torch.zeros(side, len(channels), dtype=torch.float64)
    for own, their in zip(torch.split(ours, CHUNK), torch.split(theirs, CHUNK), strict=True):
        target = _convolve(their.float(), weight, bias).flatten(2)  # (B, width, H*W)
        patches = F.unfold(own.float(), 3, padding=1)  # (B, 9*C, H*W)
        patches = torch.cat([patches, patches.new_ones(len(patches), 1, patches.shape[-1])], 1)
        each = max(1, FIT_POSITIONS // len(ours))
        positions = torch.randperm(patches.shape[-1], generator=generator)[:each]
        x = patches[..., positions].transpose(1, 2).reshape(-1, side)
        y = target[..., positions].transpose(1, 2).reshape(-1, len(channels))
        square += (x.T @ x).double()
        mixed += (x.T @ y).double()
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    return square, torch.linalg.solve(square, mixed)  # (9*C + 1, width)


def _activate(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.cat([_convolve(part, weight, bias).relu_() for part in torch.split(x, CHUNK)])


def _convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x.to(weight.dtype).contiguous(memory_format=torch.channels_last), weight, bias, padding=1)


def _channel_moments(features: Tensor) -> Tensor:
    """Return the second moments `(C, C)` over all positions of all images."""
    total = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for part in torch.split(features, CHUNK):
        columns = part.float().transpose(0, 1).flatten(1)  # (C, B*H*W)
        total += (columns @ columns.T).double()
    return total / (features.numel() / features.shape[1])
