"""Measure how well a preview at 256 pixels predicts the result at 1024 pixels: the reduced result against the preview.

Graded with VGG-19 in fp32 at 256 pixels. The scale of the strokes is the geometric mean wavelength of the power
spectrum of the luminance difference between output and content image, relative to the longer side.

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


def stroke_wavelength(output: Image, content: Image) -> float:
    """Return the mean wavelength of the strokes relative to the longer side."""
    added = (luminance(output) - luminance(content))[0, 0]
    power = torch.fft.rfft2(added - added.mean()).abs().square()
    height, width = added.shape
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    frequency = (down.square() + across.square()).sqrt()  # cycles per pixel
    nonzero = frequency > 0
    weight: Tensor = power[nonzero]
    mean = (weight * frequency[nonzero].log()).sum() / weight.sum()
    return math.exp(-mean.item()) / max(height, width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="gatys")
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--loss-scales", type=int, help="number of scales for the loss of the large image")
    parser.add_argument(
        "--near-scales", type=int, default=1, help="number of scales near the output size for the preview"
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
        evaluator = gatys_objective(chain, pictures, 1.0)
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
            losses = graded(evaluator, reduced)
            numbers.append([losses["content"], 100 * losses["style"], stroke_wavelength(reduced, pictures[0])])
            print(f"{content} x {style}, {size}: {result.seconds:.0f} s", flush=True)
        small, large = numbers
        rows.append(
            [f"{content} x {style}", *(f"{a:.3f}, {b:.3f}: {b / a:.2f}" for a, b in zip(small, large, strict=True))]
        )
    print(table(["pair", "content loss", "100 style loss", "stroke wavelength"], rows))


if __name__ == "__main__":
    main()
