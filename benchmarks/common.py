"""Functions that the benchmarks share: images, graded losses of a saved image, and a description of the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from impasto.backbones import ChainBackbone, load_backbone
from impasto.images import fit, load_image, quantize, resize
from impasto.losses.content import ContentLoss
from impasto.losses.gram import GramLoss
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


@torch.no_grad()
def graded(objective: Objective, image: Image) -> dict[str, float]:
    """Return the content, style and total loss of an image quantized to 8 bits, as it is saved."""
    losses = {name: loss.item() for name, loss in objective(quantize(image.clamp(0, 1))).items()}
    content = sum(loss for name, loss in losses.items() if name.startswith("content/"))
    total = sum(losses.values())
    return {"content": content, "style": total - content, "total": total}


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
