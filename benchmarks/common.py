"""Functions that the benchmarks share: images, grades of a saved image, and a description of the machine."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import Backbone, ChainBackbone, load_backbone
from impasto.backbones.chain import Convolution
from impasto.images import fit, load_image, quantize, resize
from impasto.losses.content import ContentLoss
from impasto.losses.gram import GramLoss
from impasto.metrics.reference import SIZES, Reference, load_reference
from impasto.objectives.objective import Objective, match
from impasto.samples import resolve
from impasto.types import Image

Pictures = tuple[Image, Image]
SIX = (
    *(("tubingen", "starry_night"), ("golden_gate", "shipwreck"), ("flowers", "mosaic")),
    *(("lion", "wave_crop"), ("taj_mahal", "the_scream"), ("tubingen", "vg_wheat_field")),
)
"""Pairs of a content image and a style image that most benchmarks use."""


def picture(name: str) -> Path:
    """Return the file of a path, of a bundled sample, or of a test image below IMPASTO_TEST_IMAGES."""
    for kind in ("content", "style"):
        file = Path(os.environ.get("IMPASTO_TEST_IMAGES", "")) / kind / f"{name}.jpg"
        if file.is_file():
            return file
    return resolve(name)


def pair(content: str, style: str, size: int) -> Pictures:
    """Return a content image and a style image `(1, 3, H, W)` with a longer side of `size` pixels."""
    pictures = [load_image(picture(name)) for name in (content, style)]
    first, second = (resize(image, fit((image.shape[-2], image.shape[-1]), size)) for image in pictures)
    return first, second


def load_chain(name: str, dtype: torch.dtype) -> ChainBackbone:
    """Load a backbone that is a chain of convolutions, on the CPU."""
    backbone = load_backbone(name, dtype=dtype)
    if not isinstance(backbone, ChainBackbone):
        raise ValueError(f"backbone {name!r} is not a chain of convolutions; choose vgg19-caffe or tiny")
    return backbone


@torch.no_grad()
def gatys_objective(backbone: ChainBackbone, pictures: Pictures, style_weight: float) -> Objective:
    """Return the default objective of the method `gatys`."""
    content, style = pictures
    layers, deep = backbone.style_layers, backbone.content_layers
    return Objective(
        backbone,
        [
            *match("content", ContentLoss(), [backbone.encode(content, deep)], deep, 1.0),
            *match("style", GramLoss(), [backbone.encode(style, layers)], layers, style_weight),
        ],
    )


def plain_loss(
    backbone: ChainBackbone,
    pictures: Pictures,
    style_weight: float,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Callable[[Image], Tensor]:
    """Return the objective of `gatys`, written directly: one call of PyTorch per layer, and autograd.

    Args:
        backbone: the network; its data type and its device are those of the computation.
        pictures: content image and style image, on the device.
        style_weight: weight of the style loss.
        memory_format: layout of the weights and activations.
    """
    deep, layers = backbone.content_layers[0], backbone.style_layers
    encode = _plain_encoder(backbone, {deep, *layers}, memory_format)

    def gram(features: Tensor) -> Tensor:
        columns = features.flatten(2)[0]
        return (columns @ columns.T / columns.shape[1]).float()

    with torch.no_grad():
        content_features = encode(pictures[0])[deep]
        style_features = encode(pictures[1])
        targets = {layer: gram(style_features[layer]) for layer in layers}

    def loss(image: Image) -> Tensor:
        features = encode(image)
        content = (features[deep] - content_features).float().square().mean()
        style = sum((gram(features[k]) - g).square().sum() / (4 * g.shape[0] ** 2) for k, g in targets.items())
        return content + style_weight * style / len(layers)

    return loss


def _plain_encoder(
    backbone: ChainBackbone, names: set[str], memory_format: torch.memory_format
) -> Callable[[Image], dict[str, Tensor]]:
    """Return a function from an image to the activations of some layers."""
    chain = backbone.chain
    mean = torch.tensor(backbone.mean, device=chain.device).view(1, 3, 1, 1)
    depth = 1 + max(i for i, layer in enumerate(chain.layers) if layer.name in names)
    layers = [
        (layer.name, layer.weight.contiguous(memory_format=memory_format), layer.bias)
        if isinstance(layer, Convolution)
        else (layer.name, None, None)
        for layer in chain.layers[:depth]
    ]

    def encode(image: Image) -> dict[str, Tensor]:
        x, features = (image - mean).to(chain.dtype).contiguous(memory_format=memory_format), {}
        for name, weight, bias in layers:
            x = F.max_pool2d(x, 2) if weight is None else F.relu(F.conv2d(x, weight, bias, padding=1))
            if name in names:
                features[name] = x
        return features

    return encode


@torch.no_grad()
def graded(objective: Objective, image: Image) -> dict[str, float]:
    """Return the content, style and total loss of an image quantized to 8 bits, as it is saved."""
    losses = {name: loss.item() for name, loss in objective(quantize(image.clamp(0, 1))).items()}
    content = sum(loss for name, loss in losses.items() if name.startswith("content/"))
    total = sum(losses.values())
    return {"content": content, "style": total - content, "total": total}


@dataclass(frozen=True)
class Grades:
    """Style share and content loss (relu4_2) of an output at its size and at the smaller ones of 512, 256 and 128."""

    sizes: tuple[int, ...]
    """Longer sides in pixels, from large to small."""
    style_share: tuple[float, ...]
    content: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.shares()}, {self.contents()}"

    def shares(self, digits: int = 1) -> str:
        """Return the style shares in percent, with some digits after the point.

        >>> Grades((512, 256), (0.064, 0.286), (3.44, 3.01)).shares()
        '6.4 / 28.6 %'
        """
        return " / ".join(f"{100 * share:.{digits}f}" for share in self.style_share) + " %"

    def contents(self, digits: int = 2) -> str:
        """Return the content losses, with some digits after the point."""
        return " / ".join(f"{content:.{digits}f}" for content in self.content)


class Grader:
    """Grade outputs of one pair of images and one size by an evaluation network.

    Args:
        content: name of the content image, as for `picture`.
        style: name of the style image.
        size: longer side of the outputs in pixels.
        evaluator: the evaluation network, VGG-19 in most benchmarks.
        content_metric: `gatys_content` (relu4_2) or `content` (relu4_1 and relu5_1).
    """

    def __init__(
        self, content: str, style: str, size: int, evaluator: Backbone, *, content_metric: str = "gatys_content"
    ) -> None:
        self.sizes = (size, *(each for each in SIZES if each < size))
        photo = load_image(picture(content))
        shape = fit((photo.shape[-2], photo.shape[-1]), size)
        self._metrics = ("style_share", content_metric)
        names = [f"{name}@{each}" for name in self._metrics for each in self.sizes]
        self.reference: Reference = load_reference(
            picture(content), picture(style), shape, backbone=evaluator, metrics=names
        )

    def grade(self, output: Image) -> Grades:
        """Return the grades of an output, rounded to 8 bits per channel as in a file."""
        return self._grades(self.reference.evaluate(output.clamp(0, 1)))

    def style_copy(self) -> Grades:
        """Return the grades of the style image stretched to the size of the outputs."""
        return self._grades(self.reference.baselines()["style_copy"])

    def _grades(self, values: dict[str, float]) -> Grades:
        share, content = (tuple(values[f"{name}@{size}"] for size in self.sizes) for name in self._metrics)
        return Grades(self.sizes, share, content)


def median_grades(grades: Sequence[Grades]) -> Grades:
    """Return the median of each grade over several outputs of one size."""
    share, content = (
        tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for rows in ([each.style_share for each in grades], [each.content for each in grades])
    )
    return Grades(grades[0].sizes, share, content)


def machine() -> str:
    """Return processor, number of threads and version of PyTorch in one line."""
    name = str(torch.cpu.get_capabilities().get("cpu_name", platform.machine()))
    features = torch.cpu.get_capabilities()
    bf16 = "AMX bf16" if features.get("amx_bf16") else "AVX-512 bf16" if features.get("avx512_bf16") else "no bf16"
    return f"{name} ({bf16}), {torch.get_num_threads()} threads, torch {torch.__version__}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in lines)


def flat(tensor: Tensor) -> Tensor:
    """Return a tensor in the default memory layout `(B, C, H, W)`."""
    return tensor.contiguous(memory_format=torch.contiguous_format)
