"""Measure the effect of one `strength` with different networks, sizes and starts, graded with VGG-19 in fp32.

Style share: style loss of the output relative to that of the content image. Content share: content loss of the output
relative to that of the style image stretched to the size of the content image. The table also shows the ratio of each
value to the mean of its column.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/strength.py [--strength 50] [--sizes 256 512 1024]
"""

from __future__ import annotations

import argparse
import statistics

import torch
from common import Pictures, gatys_objective, graded, load_chain, machine, pair, picture, table

from impasto import stylize
from impasto.cli.memory import keep_freed_memory
from impasto.images import resize
from impasto.types import Image

NETWORKS, STARTS = ("lite", "vgg19-caffe"), ("content", "noise")


def shares(pictures: Pictures, output: Image) -> tuple[float, float, float, float]:
    """Return content loss, style loss, content share and style share of an output."""
    content, style = pictures
    evaluator = gatys_objective(load_chain("vgg19-caffe", torch.float32), pictures, 1.0)
    losses, identity = graded(evaluator, output), graded(evaluator, content)
    copy = graded(evaluator, resize(style, (content.shape[-2], content.shape[-1])))
    return losses["content"], losses["style"], losses["content"] / copy["content"], losses["style"] / identity["style"]


def main() -> None:
    """Print the losses and shares of each network, size and start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", default="tubingen")
    parser.add_argument("--style", default="starry_night")
    parser.add_argument("--method", default="gatys")
    parser.add_argument("--strength", type=float, default=50)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=STARTS)
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    print(machine(), f"; {options.content} x {options.style}, {options.method}, strength {options.strength:g}", sep="")
    found: dict[tuple[str, int, str], tuple[float, float, float, float]] = {}
    for size in options.sizes:
        pictures = pair(options.content, options.style, size)
        for network in options.networks:
            for start in options.starts:
                result = stylize(
                    picture(options.content),
                    picture(options.style),
                    options.method,
                    backbone=network,
                    size=size,
                    start=start,
                    strength=options.strength,
                    tolerance=0.01,
                )
                found[network, size, start] = values = shares(pictures, result.image)
                print(network, size, start, *(f"{value:.4f}" for value in values), flush=True)
    means = [statistics.mean(column) for column in zip(*found.values(), strict=True)]
    rows = [
        [*key, *(f"{value:.3g} ({value / mean:.2f})" for value, mean in zip(values, means, strict=True))]
        for key, values in found.items()
    ]
    head = ["network", "size", "start", "content loss", "style loss", "content share", "style share"]
    print(table(head, rows))


if __name__ == "__main__":
    main()
