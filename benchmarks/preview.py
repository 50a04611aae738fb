"""Whether a preview at 256 pixels predicts the picture at 1024: the large one, reduced, against the small one.

Graded by VGG-19 in fp32 at 256 pixels. Stroke: the wavelength of what painting added to the photograph's luminance, as
a share of the longer side: the geometric mean over its power spectrum.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/preview.py [--method gatys] [--loss-scales 1]
    [--near-scales 2]
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import torch
from common import SIX, gatys_objective, graded, load_chain, machine, pair, picture, table
from torch import Tensor

from impasto import stylize
from impasto.cli.memory import keep_freed_memory
from impasto.images import luminance, resize
from impasto.types import Image


def style_scale(painted: Image, content: Image) -> float:
    """Wavelength of the strokes, as a share of the longer side."""
    added = (luminance(painted) - luminance(content))[0, 0]
    power = torch.fft.rfft2(added - added.mean()).abs().square()
    height, width = added.shape
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    frequency = (down.square() + across.square()).sqrt()  # cycles a pixel
    seen = frequency > 0
    weight: Tensor = power[seen]
    mean = (weight * frequency[seen].log()).sum() / weight.sum()
    return math.exp(-mean.item()) / max(height, width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="gatys")
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--loss-scales", type=int, help="sizes at which the large picture is judged")
    parser.add_argument(
        "--near-scales", type=int, default=1, help="how often the preview is judged at nearly its own size"
    )
    parser.add_argument("--large", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--style-scale", type=float, default=1.0)
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    print(machine(), f"; {options.method}, {options.backbone}, {options.large} pixels against 256", sep="")
    chain = load_chain("vgg19-caffe", torch.float32)
    preview = {} if options.near_scales == 1 else {"near_scales": options.near_scales}
    full = {} if options.loss_scales is None else {"loss_scales": options.loss_scales}
    rows = []
    for content, style in SIX[: options.pairs]:
        pictures = pair(content, style, 256)
        judge = gatys_objective(chain, pictures, 1.0)
        numbers = []
        for size in (256, options.large):
            more: dict[str, Any] = preview if size == 256 else full
            result = stylize(
                picture(content),
                picture(style),
                options.method,
                backbone=options.backbone,
                size=size,
                style_scale=options.style_scale,
                **more,
            )
            reduced = resize(result.image, (pictures[0].shape[-2], pictures[0].shape[-1]))
            losses = graded(judge, reduced)
            numbers.append([losses["content"], 100 * losses["style"], style_scale(reduced, pictures[0])])
            print(f"{content} x {style}, {size}: {result.seconds:.0f} s", flush=True)
        small, large = numbers
        rows.append(
            [f"{content} x {style}", *(f"{a:.3f}, {b:.3f}: {b / a:.2f}" for a, b in zip(small, large, strict=True))]
        )
    print(table(["pair", "content loss", "100 style loss", "style_scale"], rows))


if __name__ == "__main__":
    main()
