"""Compare all methods: a contact sheet, or a table of metrics on layers that no method optimizes.

The table grades the saved images of six pairs with VGG-19 in fp32 and shows medians; content loss and style share also
at the sizes of 512, 256 and 128 pixels that are below the output. For each style weight of `gatys` it lists the other
rows that are at least as good in content and in style, and better in one of them.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/methods.py --sheet methods.png [--backbone lite]
    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/methods.py --table [--backbone lite]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import SIX, machine, picture, table

from impasto import load_image, save_image, stylize
from impasto.allocator import keep_freed_memory
from impasto.backbones import load_backbone
from impasto.images.contact_sheet import contact_sheet
from impasto.methods import METHODS
from impasto.metrics.evaluate import evaluate_with_baselines
from impasto.metrics.reference import with_sizes
from impasto.types import Image

UNSEEN = {"content": ("relu3_3", "relu4_3"), "style": ("relu1_2", "relu2_2", "relu3_2", "relu4_3")}
"""Layers for the metrics: no method optimizes them by default, except strotss, whose hypercolumns contain some."""
GRADED = {"content": ("content", "ssim"), "style": ("sliced_wasserstein", "style", "gram", "style_share")}
WEIGHTS = ("gatys 10", "gatys 100", "gatys 1000")
ROWS: dict[str, dict[str, Any]] = {
    **{f"gatys {weight}": {"method": "gatys", "style_weight": weight, "steps": 120} for weight in (10, 100, 1000)},
    **{
        f"bures {weight}": {"method": "bures", "style_weight": weight, "steps": 120} for weight in (3, 30, 60, 100, 300)
    },
    **{f"sliced {weight}": {"method": "sliced", "style_weight": weight, "steps": 120} for weight in (5, 7, 50)},
    "mrf": {"method": "mrf", "steps": 60},
    "strotss": {"method": "strotss", "steps": 200},
    "nnst": {"method": "nnst"},
    "gpdm": {"method": "gpdm"},
}
"""Settings of the rows: the matching methods have the same number of steps, the others are shortened too."""
Grades = dict[str, float]


def stylize_pair(
    content: str, style: str, size: int, settings: Mapping[str, Any], backbone: str
) -> tuple[Image, float]:
    """Return the stylized image and the time in seconds, at one loss scale unless the settings say otherwise.

    Settings that the method does not have are left out.
    """
    names = {"method", *METHODS[settings["method"]].Config.__dataclass_fields__}
    known = {
        name: value for name, value in {"backbone": backbone, "loss_scales": 1, **settings}.items() if name in names
    }
    started = time.perf_counter()
    result = stylize(picture(content), picture(style), size=size, **known)
    return result.image, time.perf_counter() - started


def sheet(file: Path, backbone: str, size: int, pairs: int, steps: int | None) -> None:
    names = [name for name in METHODS if METHODS[name].any_style]
    rows = []
    for content, style in SIX[:pairs]:
        row: list[Image | None] = [load_image(picture(style), size=size)]
        for name in names:
            settings = {"method": name} | ({"steps": steps} if steps else {})
            image, seconds = stylize_pair(content, style, size, settings, backbone)
            row.append(image)
            print(f"{content} x {style}, {name}: {seconds:.1f} s", flush=True)
        rows.append(row)
    save_image(contact_sheet(rows, column_names=["style", *names], cell=size), file)


def grades(content: str, style: str, output: Image, evaluator: Any) -> dict[str, Grades]:
    """Return the metrics of the output, of the content image itself and of the style image itself."""
    pictures, longer_side = (picture(content), picture(style)), max(output.shape[-2:])
    parts = [
        evaluate_with_baselines(
            *pictures, output, backbone=evaluator, layers=UNSEEN[kind], metrics=with_sizes(GRADED[kind], longer_side)
        )
        for kind in UNSEEN
    ]
    return {role: {name: value for part in parts for name, value in part[role].items()} for role in parts[0]}


def compare(backbone: str, size: int, pairs: int, only: Sequence[str]) -> None:
    evaluator = load_backbone("vgg19-caffe")
    found: dict[str, list[Grades]] = {}
    for content, style in SIX[:pairs]:
        for name in only or ROWS:
            settings = ROWS[name]
            image, seconds = stylize_pair(content, style, size, settings, backbone)
            graded = grades(content, style, image, evaluator)
            found.setdefault(name, []).append({**graded["output"], "seconds": seconds})
            if name == WEIGHTS[0]:
                for role in ("identity", "style_copy"):
                    found.setdefault(role, []).append({**graded[role], "seconds": 0.0})
            print(f"{content} x {style}, {name}: {seconds:.1f} s", flush=True)
    medians = {
        name: {key: statistics.median(each[key] for each in rows) for key in rows[0]} for name, rows in found.items()
    }
    report(medians)


def report(medians: Mapping[str, Grades]) -> None:
    columns = [name for name in next(iter(medians.values())) if name != "seconds"]
    print(
        table(
            ["method", *columns, "seconds"],
            [[name, *(f"{row[key]:.3f}" for key in columns), f"{row['seconds']:.1f}"] for name, row in medians.items()],
        )
    )
    for weight in (weight for weight in WEIGHTS if weight in medians):
        reference = medians[weight]
        better = [
            name
            for name, row in medians.items()
            if name in ROWS
            and not name.startswith("gatys")
            and row["content"] <= reference["content"]
            and row["sliced_wasserstein"] <= reference["sliced_wasserstein"]
            and (row["content"] < reference["content"] or row["sliced_wasserstein"] < reference["sliced_wasserstein"])
        ]
        print(f"at least as good as {weight} in content and in style, and better in one: {', '.join(better) or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--size", type=int, help="longer side in pixels (default: 384, 256 for the table)")
    parser.add_argument("--pairs", type=int, help="number of pairs (default: 3 for the sheet, 6 for the table)")
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=[], help="rows of the table")
    parser.add_argument("--steps", type=int, help="steps of every method in the sheet (default: those of the method)")
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    print(machine(), f"; {options.backbone}", sep="")
    if options.sheet:
        sheet(options.sheet, options.backbone, options.size or 384, options.pairs or 3, options.steps)
    if options.table:
        compare(options.backbone, options.size or 256, options.pairs or 6, options.only)


if __name__ == "__main__":
    main()
