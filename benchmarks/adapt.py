"""Adapt `micro` to the styles of the six pairs, and grade it before and after with VGG-19.

    export IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=...
    python benchmarks/adapt.py [--styles NAME ...] [--folder DIR] [--sheet FILE] [--photos DIR] [--steps N]
    python benchmarks/adapt.py --samples [--styles NAME ...] [--sheet FILE]

The content images of the pairs are not among those of the training: bundled samples and drawn shapes, or `--photos`.
Prints for each pair the wall time and the processor time of the adaptation, and style share and content loss (relu4_2)
at 512, 256 and 128 pixels before and after. `--folder` keeps the adapted networks, and uses those that it contains.
`--sheet` draws content, style, `micro`, the adapted network and `gatys`. `--samples` grades the bundled networks of the
sample styles instead: medians over three photographs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import SIX, Grader, Grades, load_chain, machine, median_grades, pair, picture, table

import impasto
from impasto.devices import pick_dtype
from impasto.images import save_image
from impasto.images.contact_sheet import contact_sheet
from impasto.methods.micro import ANY_STYLE
from impasto.networks.sample_networks import sample_networks
from impasto.samples import STYLES, installed_file
from impasto.types import Image

SIZE = 512
PHOTOGRAPHS = ("golden_gate", "lion", "tubingen")
"""Content images of `--samples`."""
COLUMNS = ["content", "style", "micro", "adapted", "gatys"]
SAMPLE_COLUMNS = ["content", "style", "micro", "its own", "gatys"]


def adapted(style: str, folder: Path, settings: dict[str, Any]) -> tuple[Path, str]:
    """Return the file of an adapted network and its times; the times of an existing file are not known."""
    file = folder / f"{style}.safetensors"
    if file.exists():
        return file, "-"
    wall, cpu = time.perf_counter(), time.process_time()
    impasto.adapt(picture(style), file, **settings)
    return file, f"{time.perf_counter() - wall:.0f} s, {time.process_time() - cpu:.0f} s"


def compare(styles: list[str], folder: Path, sheet: Path | None, settings: dict[str, Any]) -> None:
    """Adapt, grade and print; draw the sheet."""
    evaluator = load_chain("vgg19-caffe", pick_dtype("auto", torch.device("cpu")))
    rows: list[list[str]] = []
    grades: tuple[list[Grades], list[Grades]] = ([], [])
    images: list[list[Image | None]] = []
    for content, style in (each for each in SIX if each[1] in styles):
        grader = Grader(content, style, SIZE, evaluator)
        file, times = adapted(style, folder, settings)
        before = impasto.stylize(picture(content), picture(style), "micro", size=SIZE).image
        after = impasto.stylize(picture(content), method="micro", size=SIZE, weights=file).image
        for values, image in zip(grades, (before, after), strict=True):
            values.append(grader.grade(image))
        rows.append([f"{content} x {style}", times, str(grades[0][-1]), str(grades[1][-1])])
        print(*rows[-1], sep=" | ", flush=True)
        images.append([*pair(content, style, SIZE), before, after])
        if sheet is not None:
            images[-1].append(impasto.stylize(picture(content), picture(style), size=SIZE).image)
            save_image(contact_sheet(images, column_names=COLUMNS, cell=SIZE), sheet)
    rows.append(["median", "", *(str(median_grades(each)) for each in grades)])
    print(table(["pair", "wall time, processor time", "micro", "adapted"], rows))


def compare_samples(styles: list[str], sheet: Path | None) -> None:
    """Grade the networks of sample styles and print; draw the sheet."""
    evaluator = load_chain("vgg19-caffe", pick_dtype("auto", torch.device("cpu")))
    rows: list[list[str]] = []
    images: list[list[Image | None]] = []
    for style in styles:
        runs = [{"weights": ANY_STYLE}, {"weights": style}]
        grades: list[list[Grades]] = [[] for _ in runs]
        file = str(installed_file(STYLES[style]))  # a test image may have the same name
        for content in PHOTOGRAPHS:
            grader = Grader(content, file, SIZE, evaluator)
            images.append([*pair(content, file, SIZE)])
            for settings, values in zip(runs, grades, strict=True):
                result = impasto.stylize(picture(content), file, "micro", size=SIZE, **settings)
                values.append(grader.grade(result.image))
                images[-1].append(result.image)
            if sheet is not None:
                is_first = content == PHOTOGRAPHS[0]  # an optimization takes long
                images[-1].append(impasto.stylize(picture(content), file, size=SIZE).image if is_first else None)
                save_image(contact_sheet(images, column_names=SAMPLE_COLUMNS, cell=SIZE), sheet)
        rows.append([style, *(str(median_grades(values)) for values in grades)])
        print(*rows[-1], sep=" | ", flush=True)
    print(table(["style", "micro", "its own network"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [style for _, style in SIX]
    parser.add_argument(
        "--styles", nargs="+", help="styles (default: those of the pairs, or all samples with a network)"
    )
    parser.add_argument("--samples", action="store_true", help="grade the bundled networks of sample styles")
    parser.add_argument("--folder", type=Path, help="folder of the adapted networks")
    parser.add_argument("--sheet", type=Path, help="file of a contact sheet")
    parser.add_argument("--photos", help="folder of photographs for the training")
    parser.add_argument("--steps", type=int, help="training steps for each style")
    parser.add_argument("--threads", type=int, help="threads of PyTorch")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    settings = {"photos": arguments.photos, "steps": arguments.steps}
    print(machine(), flush=True)
    if arguments.samples:
        compare_samples(arguments.styles or [*sample_networks()], arguments.sheet)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        given = {name: value for name, value in settings.items() if value is not None}
        compare(arguments.styles or names, folder, arguments.sheet, given)


if __name__ == "__main__":
    main()
