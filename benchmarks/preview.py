"""Measure how well a preview at 256 pixels predicts the output at 1024 pixels.

The large output is reduced to 256 pixels and compared with the preview. VGG-19 in fp32 grades both at 256 and at 128
pixels: content loss (relu4_2) and style share (style loss relative to that of the content image). The stroke wavelength
is the geometric mean wavelength of the power spectrum of the luminance difference between output and content image,
relative to the longer side.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/preview.py [--loss-scales 1] [--near-scales 2]
"""

from __future__ import annotations

import argparse
import math

import torch
from common import SIX, Grader, load_chain, machine, pair, picture, table
from torch import Tensor

from impasto import stylize
from impasto.allocator import keep_freed_memory
from impasto.backbones import ChainBackbone
from impasto.images import luminance, resize
from impasto.types import Image

PREVIEW_SIZE = 256
Figures = tuple[float, ...]
"""Content loss at 256 and 128 pixels, style share in percent at both sizes, and stroke wavelength."""


def stroke_wavelength(output: Image, content: Image) -> float:
    """Return the geometric mean wavelength of the brush strokes, relative to the longer side."""
    added = (luminance(output) - luminance(content))[0, 0]
    power = torch.fft.rfft2(added - added.mean()).abs().square()
    height, width = added.shape
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    frequency = (down.square() + across.square()).sqrt()  # cycles per pixel
    nonzero = frequency > 0
    weight: Tensor = power[nonzero]
    mean = (weight * frequency[nonzero].log()).sum() / weight.sum()
    return math.exp(-mean.item()) / max(height, width)


def measure(chain: ChainBackbone, content: str, style: str, options: argparse.Namespace) -> tuple[Figures, Figures]:
    """Return the figures of the preview of a pair, and those of the large output reduced to its size."""
    photo, _ = pair(content, style, PREVIEW_SIZE)
    grader = Grader(content, style, PREVIEW_SIZE, chain)
    shared = {"method": options.method, "backbone": options.backbone, "style_scale": options.style_scale}
    preview = {} if options.near_scales == 1 else {"near_scales": options.near_scales}
    full = {} if options.loss_scales is None else {"loss_scales": options.loss_scales}

    def figures(size: int, settings: dict[str, int]) -> Figures:
        result = stylize(picture(content), picture(style), size=size, **shared, **settings)
        print(f"{content} x {style}, {size}: {result.seconds:.0f} s", flush=True)
        reduced = resize(result.image, (photo.shape[-2], photo.shape[-1]))
        grades = grader.grade(reduced)
        return *grades.content, *(100 * share for share in grades.style_share), stroke_wavelength(reduced, photo)

    return figures(PREVIEW_SIZE, preview), figures(options.large, full)


def main() -> None:
    """Print the figures of each pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="gatys")
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--loss-scales", type=int, help="number of scales for the loss of the large output")
    parser.add_argument("--near-scales", type=int, default=1, help="scales near the output size, for the preview")
    parser.add_argument("--large", type=int, default=1024, help="longer side of the large output in pixels")
    parser.add_argument("--pairs", type=int, default=3, help="number of pairs")
    parser.add_argument("--style-scale", type=float, default=1.0)
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    sizes = f"{options.large} pixels against {PREVIEW_SIZE}"
    print(machine(), f"; {options.method}, {options.backbone}, {sizes}", sep="")
    chain = load_chain("vgg19-caffe", torch.float32)
    rows = []
    for content, style in SIX[: options.pairs]:
        small, large = measure(chain, content, style, options)
        cells = [f"{a:.3f}, {b:.3f}: {b / a:.2f}" for a, b in zip(small, large, strict=True)]
        rows.append([f"{content} x {style}", *cells])
    names = [f"{name} at {size}" for name in ("content loss", "style share (%)") for size in (PREVIEW_SIZE, 128)]
    print(table(["pair", *names, "stroke wavelength"], rows))


if __name__ == "__main__":
    main()
