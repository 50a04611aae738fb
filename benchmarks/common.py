"""What the benchmarks share: the pictures, the graded loss of a saved picture, and what the machine is."""

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
"""Pairs of test pictures that the benchmarks have in common."""


def picture(name: str) -> Path:
    """A path, a sample's name, or a test picture's name below IMPASTO_TEST_IMAGES."""
    for kind in ("content", "style"):
        file = Path(os.environ.get("IMPASTO_TEST_IMAGES", "")) / kind / f"{name}.jpg"
        if file.is_file():
            return file
    return resolve(name)


def pair(content: str, style: str, size: int) -> Pictures:
    """Content and style, `(1, 3, H, W)`, longer side `size`."""
    pictures = [load_image(picture(name)) for name in (content, style)]
    first, second = (resize(image, fit((image.shape[-2], image.shape[-1]), size)) for image in pictures)
    return first, second


def load_chain(name: str, dtype: torch.dtype) -> ChainBackbone:
    """A backbone that is a chain of convolutions, on the CPU."""
    backbone = load_backbone(name, dtype=dtype)
    if not isinstance(backbone, ChainBackbone):
        raise ValueError(f"backbone {name!r} is not a chain of convolutions; choose vgg19-caffe or tiny")
    return backbone


@torch.no_grad()
def gatys_objective(backbone: ChainBackbone, pictures: Pictures, style_weight: float) -> Objective:
    """The default objective of the method `gatys`."""
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
    """Content, style and total loss of `image` as it is saved, with 8 bits."""
    losses = {name: loss.item() for name, loss in objective(quantize(image.clamp(0, 1))).items()}
    content = sum(loss for name, loss in losses.items() if name.startswith("content/"))
    total = sum(losses.values())
    return {"content": content, "style": total - content, "total": total}


def machine() -> str:
    """The processor, its threads, and the version of torch, in one line."""
    name = str(torch.cpu.get_capabilities().get("cpu_name", platform.machine()))
    features = torch.cpu.get_capabilities()
    bf16 = "AMX bf16" if features.get("amx_bf16") else "AVX-512 bf16" if features.get("avx512_bf16") else "no bf16"
    return f"{name} ({bf16}), {torch.get_num_threads()} threads, torch {torch.__version__}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def flat(tensor: Tensor) -> Tensor:
    """Contiguous in memory as `(B, C, H, W)`: the layout everyone begins with."""
    return tensor.contiguous(memory_format=torch.contiguous_format)
