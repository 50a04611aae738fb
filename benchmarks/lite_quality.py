"""Grade the results of the bundled network `lite` with VGG-19, beside random features and VGG-19 itself.

Each pair is stylized by `impasto stylize` with the default settings. The image as saved with 8 bits is graded with
VGG-19 in fp32, at its size and at the smaller ones of 512, 256 and 128 pixels: style share (style loss with Gram
matrices of relu1_1 to relu5_1, relative to that of the content image) and content loss (relu4_2).

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/lite_quality.py [--all] [--sheet FILE]

`--all` stylizes all pairs of the test images. `--weights FILE` uses other weights that `impasto train lite` wrote, of
any widths; `--stamp` writes the medians into the metadata of the graded weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from common import (
    SIX,
    Grader,
    Grades,
    Pictures,
    gatys_objective,
    load_chain,
    machine,
    median_grades,
    pair,
    picture,
    table,
)
from safetensors import safe_open
from safetensors.torch import save

from impasto import stylize
from impasto.allocator import keep_freed_memory
from impasto.backbones import BACKBONES
from impasto.backbones.chain import Convolution
from impasto.backbones.lite import Lite
from impasto.config import Precision
from impasto.devices import pick_dtype
from impasto.files import write_atomically
from impasto.images import load_image, save_image
from impasto.images.contact_sheet import contact_sheet
from impasto.optim.descent import evaluate
from impasto.types import Image

PRECISIONS: tuple[Precision, ...] = ("bf16", "fp32")

Graded = tuple[Grades, float]
"""Grades and seconds."""
Columns = dict[str, list[Graded]]
"""Grades of all pairs for each network."""


@BACKBONES.add("random")
class Random(Lite):
    """`lite` with random weights (He et al. 2015), scaled to a mean activation of 1."""

    summary = "random weights in the shape of lite"
    mean_activations = None

    def convolutions(self) -> list[Convolution]:
        generator = torch.Generator().manual_seed(0)
        return [
            Convolution(
                layer.name,
                torch.randn(layer.weight.shape, generator=generator) * (2 / layer.weight[0].numel()) ** 0.5,
                torch.zeros_like(layer.bias),
            )
            for layer in super().convolutions()
        ]


def stylize_pair(backbone: str, content: str, style: str, size: int, near_scales: int) -> tuple[Image, float]:
    """Return the stylized image and the time in seconds, including the time to load the weights."""
    started = time.perf_counter()
    one_size: dict[str, Any] = {"loss_scales": 1, "tolerance": 0.02 if backbone == "lite" else 0.01}
    pictures = picture(content), picture(style)
    image = stylize(*pictures, backbone=backbone, size=size, near_scales=near_scales, **one_size).image
    return image, time.perf_counter() - started


def seconds_per_evaluation(backbone: str, pictures: Pictures, precision: Precision) -> float:
    objective = gatys_objective(load_chain(backbone, pick_dtype(precision, torch.device("cpu"))), pictures, 100.0)
    times = []
    for _ in range(9):
        started = time.perf_counter()
        evaluate(objective, pictures[0])
        times.append(time.perf_counter() - started)
    return min(times)


def cell(found: Graded) -> str:
    grades, seconds = found
    return f"{grades}, {seconds:.0f} s"


def medians(column: Sequence[Graded]) -> Graded:
    grades, seconds = zip(*column, strict=True)
    return median_grades(grades), statistics.median(seconds)


def grade_pairs(pairs: Sequence[tuple[str, str]], networks: Sequence[str], options: argparse.Namespace) -> Columns:
    """Print a table of all pairs and save their contact sheet; return the grades of each network."""
    plain = load_chain("vgg19-caffe", torch.float32)
    columns: Columns = {name: [] for name in networks}
    rows, images = [], []
    for content, style in pairs:
        grader = Grader(content, style, options.size, plain)
        outputs = []
        for name in networks:
            image, seconds = stylize_pair(name, content, style, options.size, options.near_scales)
            columns[name].append((grader.grade(image), seconds))
            outputs.append(image)
        rows.append([f"{content} x {style}", *(cell(columns[name][-1]) for name in networks)])
        images.append([load_image(picture(style), size=options.size), *outputs])
        print(" | ".join(rows[-1]), flush=True)
    rows.append(["median", *(cell(medians(columns[name])) for name in networks)])
    print(table(["pair", *networks], rows))
    if options.sheet:
        save_image(contact_sheet(images, column_names=["style", *networks], cell=384), options.sheet)
    return columns


def all_pairs() -> list[tuple[str, str]]:
    """Return all pairs of a content image and a style image below IMPASTO_TEST_IMAGES."""
    folder = Path(os.environ["IMPASTO_TEST_IMAGES"])
    contents, styles = (sorted(path.stem for path in (folder / kind).glob("*.jpg")) for kind in ("content", "style"))
    return list(itertools.product(contents, styles))


def main() -> None:
    """Grade the pairs, or only measure the time of an evaluation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--all", action="store_true", help="stylize all content images with all style images")
    parser.add_argument("--pairs", type=int, help="number of pairs (default: all six, or all with --all)")
    parser.add_argument("--only-lite", action="store_true")
    parser.add_argument("--near-scales", type=int, default=1, help="scales near the output size for the loss")
    parser.add_argument("--weights", type=Path, help="lite.safetensors to use instead of the bundled one")
    parser.add_argument("--speed", action="store_true", help="only compare the time of single evaluations")
    parser.add_argument("--stamp", action="store_true")
    parser.add_argument("--sheet", type=Path, help="file of a contact sheet of all images")
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    if options.weights:
        Lite.bundled = options.weights
    print(machine(), f"; {options.size} pixels", sep="", flush=True)
    if options.speed:
        speed(pair(*SIX[0], options.size))
        return
    pairs = (all_pairs() if options.all else SIX)[: options.pairs]
    print("style share and content loss at each size, seconds", flush=True)
    columns = grade_pairs(pairs, ["lite"] if options.only_lite else ["lite", "random", "vgg19-caffe"], options)
    if options.stamp:
        stamp(Lite.bundled, {name: medians(grades) for name, grades in columns.items()}, len(pairs), options.size)
    if not options.only_lite:
        print_comparison(medians(columns["lite"]), medians(columns["vgg19-caffe"]), pair(*pairs[0], options.size))


def stamp(path: Path, found: dict[str, Graded], pairs: int, size: int) -> None:
    """Write the medians into the metadata of a weights file."""
    with safe_open(path, "pt") as stored:
        metadata, state = stored.metadata(), {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    metadata["quality"] = json.dumps(
        {
            "pictures": f"{pairs} pairs at {size} pixels, graded by VGG-19",
            **{
                name: {
                    "sizes": grades.sizes,
                    "style share": [round(share, 4) for share in grades.style_share],
                    "content loss": [round(loss, 3) for loss in grades.content],
                }
                for name, (grades, _) in found.items()
            },
        }
    )
    write_atomically(path, save(state, metadata=metadata))


def speed(pictures: Pictures) -> None:
    """Print the time of one evaluation; the networks alternate, so that other processes disturb both equally."""
    for precision in PRECISIONS:
        pairs = [
            [seconds_per_evaluation(name, pictures, precision) for name in ("vgg19-caffe", "lite")] for _ in range(3)
        ]
        slow, fast = map(min, zip(*pairs, strict=True))
        summary = f"VGG-19 {slow:.3f}, lite {fast:.3f}: {slow / fast:.1f}x faster"
        print(f"seconds per evaluation, precision {precision}: {summary}", flush=True)


def print_comparison(lite: Graded, vgg: Graded, pictures: Pictures) -> None:
    share, content = lite[0].style_share[0], lite[0].content[0] / vgg[0].content[0]
    print(f"median style share {share:.1%}: at most 6% {share <= 0.06}, at most 3% {share <= 0.03}")
    print(f"content loss {content:.2f}x that of VGG-19: at most 1.3x {content <= 1.3}")
    speed(pictures)
    print(f"seconds until converged, medians: {vgg[1]:.0f} and {lite[1]:.1f}: {vgg[1] / lite[1]:.1f}x sooner")


if __name__ == "__main__":
    main()
