"""Measure how many edges `edge_weight` preserves and how much style it costs, graded with VGG-19 in fp32.

The style share is that at the size of the output and at the smaller ones of 512, 256 and 128 pixels.

IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/edges.py [--sheet edges.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from common import Grader, load_chain, machine, pair, picture, table

from impasto import load_image, save_image, stylize
from impasto.allocator import keep_freed_memory
from impasto.images.contact_sheet import contact_sheet
from impasto.losses.laplacian import LaplacianLoss
from impasto.metrics.evaluate import evaluate
from impasto.types import Image

PAIRS = (("astronaut", "starry_night"), ("flowers", "mosaic"), ("lion", "wave_crop"), ("taj_mahal", "the_scream"))
WEIGHTS = (0.0, 100.0, 1000.0)


def main() -> None:
    """Print the edges lost and the style share for each weight, and save a contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="number of pairs")
    parser.add_argument("--sheet", type=Path, help="file of a contact sheet of all images")
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    print(machine(), f"; {options.backbone}, {options.size} pixels", sep="")
    chain, loss = load_chain("vgg19-caffe", torch.float32), LaplacianLoss()
    rows, images = [], []
    for content, style in PAIRS[: options.pairs]:
        grader = Grader(content, style, options.size, chain)
        original = pair(content, style, options.size)[0]
        row: list[Image | None] = [original]
        for weight in WEIGHTS:
            result = stylize(
                *(picture(content), picture(style)),
                size=options.size,
                backbone=options.backbone,
                loss_scales=1,
                edge_weight=weight,
            )
            edges = loss.distance(loss.statistic(result.image), loss.statistic(original)).item()
            ssim = evaluate(picture(content), picture(style), result.image, metrics=["ssim"])["ssim"]
            shares = grader.grade(result.image).shares()
            rows.append([f"{content} x {style}", f"{weight:g}", f"{1000 * edges:.2f}", f"{ssim:.3f}", shares])
            print(*rows[-1], flush=True)
            row.append(result.image)
        images.append([*row, load_image(picture(style), size=options.size)])
    print(table(["pair", "edge_weight", "edges lost (x 1000)", "SSIM", "style share"], rows))
    if options.sheet:
        names = ["content", *(f"edge_weight {weight:g}" for weight in WEIGHTS), "style"]
        save_image(contact_sheet(images, column_names=names, cell=options.size), options.sheet)


if __name__ == "__main__":
    main()
