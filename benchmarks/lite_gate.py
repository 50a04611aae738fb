"""The gate of the bundled network: what `lite` paints, graded by VGG-19, beside random features and VGG-19 itself.

Each pair is painted by `impasto stylize` with its default settings, and the picture as saved with 8 bits is graded by
VGG-19 in fp32: style loss (Gram matrices of relu1_1 to relu5_1) as a share of the content picture's own, and content
loss (relu4_2).

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/lite_gate.py [--all] [--sheet FILE]

`--all` paints all pairs of the test pictures. `--weights FILE` tries other weights, of any widths, that
`impasto train lite` left behind; `--stamp` writes the medians into the metadata of the weights that were graded.
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

import torch
from common import SIX, Pictures, gatys_objective, graded, load_chain, machine, pair, picture, table
from safetensors import safe_open
from safetensors.torch import save

from impasto import stylize
from impasto.backbones import BACKBONES
from impasto.backbones.chain import Convolution
from impasto.backbones.lite import Lite
from impasto.cli.memory import keep_freed_memory
from impasto.config import Precision
from impasto.devices import pick_dtype
from impasto.files import write_atomically
from impasto.images import load_image, save_image
from impasto.images.contact_sheet import contact_sheet
from impasto.objectives.objective import Objective
from impasto.optim.descent import evaluate
from impasto.types import Image

PRECISIONS: tuple[Precision, ...] = ("bf16", "fp32")

Grades = tuple[float, float, float]
"""Style share (0 to 1), content loss, seconds."""


@BACKBONES.add("random")
class Random(Lite):
    """`lite` with nothing learned: random weights (He et al. 2015), brought to a mean activation of 1."""

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


def grade(judge: Objective, content: Image, painted: Image, seconds: float) -> Grades:
    mine, identity = graded(judge, painted), graded(judge, content)
    return mine["style"] / identity["style"], mine["content"], seconds


def paint(backbone: str, content: str, style: str, size: int, near_scales: int) -> tuple[Image, float]:
    """The picture and its seconds, weights being loaded already."""
    began = time.perf_counter()
    image = stylize(picture(content), picture(style), backbone=backbone, size=size, near_scales=near_scales).image
    return image, time.perf_counter() - began


def seconds_per_evaluation(backbone: str, pictures: Pictures, precision: Precision) -> float:
    objective = gatys_objective(load_chain(backbone, pick_dtype(precision, torch.device("cpu"))), pictures, 100.0)
    times = []
    for _ in range(9):
        began = time.perf_counter()
        evaluate(objective, pictures[0])
        times.append(time.perf_counter() - began)
    return min(times)


def cell(grades: Grades) -> str:
    share, content, seconds = grades
    return f"{share:.1%} / {content:.2f} / {seconds:.0f} s"


def medians(column: Sequence[Grades]) -> Grades:
    share, content, seconds = (statistics.median(values) for values in zip(*column, strict=True))
    return share, content, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--all", action="store_true", help="every content with every style")
    parser.add_argument("--only-lite", action="store_true")
    parser.add_argument(
        "--near-scales", type=int, default=1, help="how often a picture is judged at nearly its own size"
    )
    parser.add_argument("--weights", type=Path, help="a lite.safetensors to use in place of the bundled one")
    parser.add_argument("--speed", action="store_true", help="compare single evaluations alone")
    parser.add_argument("--stamp", action="store_true")
    parser.add_argument("--sheet", type=Path, help="where to save all pictures side by side")
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    if options.weights:
        Lite.bundled = options.weights
    if options.speed:
        print(machine(), f"; {options.size} pixels", sep="", flush=True)
        speed(pair(*SIX[0], options.size))
        return
    folder = Path(os.environ["IMPASTO_TEST_IMAGES"])
    contents, styles = (sorted(path.stem for path in (folder / kind).glob("*.jpg")) for kind in ("content", "style"))
    pairs = list(itertools.product(contents, styles)) if options.all else SIX
    networks = ["lite"] if options.only_lite else ["lite", "random", "vgg19-caffe"]
    plain = load_chain("vgg19-caffe", torch.float32)
    print(machine(), f"; {options.size} pixels, style share / content loss / seconds", sep="", flush=True)
    columns: dict[str, list[Grades]] = {name: [] for name in networks}
    rows, pictures = [], []
    for content, style in pairs:
        scaled = pair(content, style, options.size)
        judge = gatys_objective(plain, scaled, 1.0)
        painted = []
        for name in networks:
            image, seconds = paint(name, content, style, options.size, options.near_scales)
            columns[name].append(grade(judge, scaled[0], image, seconds))
            painted.append(image)
        rows.append([f"{content} x {style}", *(cell(columns[name][-1]) for name in networks)])
        pictures.append([load_image(picture(style), size=options.size), *painted])
        print(" | ".join(rows[-1]), flush=True)
    rows.append(["median", *(cell(medians(columns[name])) for name in networks)])
    print(table(["pair", *networks], rows))
    if options.stamp:
        stamp(Lite.bundled, {name: medians(columns[name]) for name in networks}, len(pairs), options.size)
    if options.sheet:
        save_image(contact_sheet(pictures, column_names=["style", *networks], cell=384), options.sheet)
    if not options.only_lite:
        verdict(medians(columns["lite"]), medians(columns["vgg19-caffe"]), pair(*pairs[0], options.size))


def stamp(path: Path, found: dict[str, Grades], pairs: int, size: int) -> None:
    """Writes the medians into the metadata of a weights file."""
    with safe_open(path, "pt") as stored:
        about, state = stored.metadata(), {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    about["gate"] = json.dumps(
        {
            "pictures": f"{pairs} pairs at {size} pixels, graded by VGG-19",
            **{
                name: {"style share": round(share, 4), "content loss": round(loss, 3)}
                for name, (share, loss, _) in found.items()
            },
        }
    )
    write_atomically(path, save(state, metadata=about))


def speed(pictures: Pictures) -> None:
    """Seconds of one evaluation, in turns, so that both see the same neighbors on the machine."""
    for precision in PRECISIONS:
        pairs = [
            [seconds_per_evaluation(name, pictures, precision) for name in ("vgg19-caffe", "lite")] for _ in range(3)
        ]
        slow, fast = map(min, zip(*pairs, strict=True))
        told = f"VGG-19 {slow:.3f}, lite {fast:.3f}: {slow / fast:.1f}x faster"
        print(f"seconds per evaluation, precision {precision}: {told}", flush=True)


def verdict(mine: Grades, vgg: Grades, pictures: Pictures) -> None:
    print(f"median style share {mine[0]:.1%}: at most 6% {mine[0] <= 0.06}, at most 3% {mine[0] <= 0.03}")
    print(f"content loss {mine[1] / vgg[1]:.2f}x that of VGG-19: at most 1.3x {mine[1] <= 1.3 * vgg[1]}")
    speed(pictures)
    print(f"seconds until converged, medians: {vgg[2]:.0f} and {mine[2]:.1f}: {vgg[2] / mine[2]:.1f}x sooner")


if __name__ == "__main__":
    main()
