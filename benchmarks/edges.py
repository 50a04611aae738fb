"""What the term `edge_weight` holds of faces and lines, and what it costs in style; graded by VGG-19 in fp32.

IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/edges.py [--sheet edges.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from common import gatys_objective, graded, load_chain, machine, pair, picture, table

from impasto import load_image, save_image, stylize
from impasto.cli.memory import keep_freed_memory
from impasto.images.contact_sheet import contact_sheet
from impasto.losses.laplacian import LaplacianLoss
from impasto.metrics.evaluate import evaluate
from impasto.types import Image

PAIRS = (("astronaut", "starry_night"), ("flowers", "mosaic"), ("lion", "wave_crop"), ("taj_mahal", "the_scream"))
WEIGHTS = (0.0, 100.0, 1000.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    print(machine(), f"; {options.backbone}, {options.size} pixels", sep="")
    chain, loss = load_chain("vgg19-caffe", torch.float32), LaplacianLoss()
    rows, pictures = [], []
    for content, style in PAIRS:
        judge = gatys_objective(chain, pair(content, style, options.size), 1.0)
        photograph = pair(content, style, options.size)[0]
        own = graded(judge, photograph)["style"]
        row: list[Image | None] = [photograph]
        for weight in WEIGHTS:
            result = stylize(
                picture(content), picture(style), size=options.size, backbone=options.backbone, edge_weight=weight
            )
            edges = loss.distance(loss.statistic(result.image), loss.statistic(photograph)).item()
            ssim = evaluate(picture(content), picture(style), result.image, metrics=["ssim"])["ssim"]
            share = graded(judge, result.image)["style"] / own
            rows.append([f"{content} x {style}", f"{weight:g}", f"{1000 * edges:.2f}", f"{ssim:.3f}", f"{share:.1%}"])
            print(*rows[-1], flush=True)
            row.append(result.image)
        pictures.append([*row, load_image(picture(style), size=options.size)])
    print(table(["pair", "edge_weight", "edges lost (x 1000)", "SSIM", "style share"], rows))
    if options.sheet:
        names = ["photograph", *(f"edge_weight {weight:g}" for weight in WEIGHTS), "style"]
        save_image(contact_sheet(pictures, column_names=names, cell=options.size), options.sheet)


if __name__ == "__main__":
    main()
