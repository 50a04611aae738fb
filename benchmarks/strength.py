"""Measure the effect of one `strength` with different networks, sizes and starts, graded with VGG-19 in fp32.

Style share: style loss of the output relative to that of the content image. Content share: content loss of the output
relative to that of the style image stretched to the size of the content image. Both are graded at the size of the
output and at the smaller ones of 512, 256 and 128 pixels. The table also shows the ratio of each value at the size of
the output to the mean of its column.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/strength.py [--strength 50] [--sizes 256 512 1024]
"""

from __future__ import annotations

import argparse
import statistics

import torch
from common import Grader, Grades, load_chain, machine, picture, table

from impasto import stylize
from impasto.allocator import keep_freed_memory

NETWORKS, STARTS = ("lite", "vgg19-caffe"), ("content", "noise")


def columns(grades: Grades, copy: Grades) -> tuple[tuple[float, ...], ...]:
    """Return content loss, content share and style share of an output, each at every size."""
    share = tuple(own / other for own, other in zip(grades.content, copy.content, strict=True))
    return grades.content, share, grades.style_share


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
    found: dict[tuple[str, int, str], tuple[tuple[float, ...], ...]] = {}
    evaluator = load_chain("vgg19-caffe", torch.float32)
    for size in options.sizes:
        grader = Grader(options.content, options.style, size, evaluator)
        copy = grader.style_copy()
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
                )
                found[network, size, start] = columns(grader.grade(result.image), copy)
                print(network, size, start, *map(_text, found[network, size, start]), flush=True)
    means = [statistics.mean(values[0] for values in column) for column in zip(*found.values(), strict=True)]
    rows = [
        [*key, *(f"{_text(each)} ({each[0] / mean:.2f})" for each, mean in zip(values, means, strict=True))]
        for key, values in found.items()
    ]
    print(table(["network", "size", "start", "content loss", "content share", "style share"], rows))


def _text(values: tuple[float, ...]) -> str:
    return " / ".join(f"{value:.3g}" for value in values)


if __name__ == "__main__":
    main()
