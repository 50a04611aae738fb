"""Grade the feed-forward models with VGG-19, and measure their time and memory for large images.

    export IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=...
    python benchmarks/fast_models.py [--grade] [--sheet FILE] [--pairs N] [--large] [--cost] [--faithful] [--tiles]

`--grade` stylizes six pairs at 512 pixels and grades the saved image with VGG-19 in fp32, at 512, 256 and 128 pixels:
style share (style loss with Gram matrices of relu1_1 to relu5_1, relative to that of the content image), content loss
(relu4_2), and CFSD at 512 pixels, then the processor seconds; `--pairs 2` only the first two. Beside them are three
short optimizations whose content loss is at most about that of `micro`. `--large` grades three pairs at 1024, 2048 and
4096 pixels and reduced to 512, 256 and 128 pixels, in bf16 where the processor supports it; CFSD, which compares all
pairs of positions, is computed on the output reduced to 512 pixels. `--cost` stylizes noise of the proportions 4:3,
each size and model in a process of its own, and for comparison a network with the layers of MicroAST (Wang et al., AAAI
2023) and random weights, in fp32 as published. `--faithful` measures how well twenty images at 512 pixels are preserved
at strength 0 (PSNR in dB), and with the image itself as the style (PSNR, also against the output at strength 0, and
SSIM). `--tiles` stylizes noise of 2048x1536 pixels with and without tiles, in fp32, and 8192x8192 pixels with `micro`:
it prints the largest difference, and the memory in addition to the input and the output.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import SIX, Grader, Grades, load_chain, machine, median_grades, pair, picture, table
from torch import Tensor, nn

import impasto
from impasto.devices import peak_memory_mib, pick_dtype
from impasto.images import load_image, quantize, save_image
from impasto.images.contact_sheet import contact_sheet
from impasto.metrics.evaluate import evaluate
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.types import Image

CPU = torch.device("cpu")
MODELS = ("micro", "unrolled", "adain", "wct")
FEW_STEPS: dict[str, dict[str, Any]] = {
    "micro, then 4 steps": {
        "method": "gatys",
        "start": "micro",
        "sizes": (512,),
        "loss_scales": 1,
        "steps": 5,
        "strength": 32,
    },
    "micro, then 4 shallow steps": {
        "method": "gatys",
        "start": "micro",
        "sizes": (512,),
        "loss_scales": 1,
        "steps": 5,
        "style_layers": ("relu1_1", "relu2_1", "relu3_1"),
        "content_layers": ("relu3_1",),
        "style_weight": 60.0,
    },
    "draft": {"method": "gatys", "quality": "draft", "strength": 32},
}
"""Settings of three short optimizations; the first image counts as one of the steps."""
PICTURES = 20
LONGER_SIDES = (512, 1024, 2048, 4096)
MICRO_AST = "layers of MicroAST"
Figures = tuple[Grades, float, float]
"""Grades, CFSD and processor seconds."""


class MicroAst(nn.Module):
    """Network with the layers of MicroAST at inference, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 16, 9, padding=4, padding_mode="reflect"), *_separable(16, 32), *_separable(32, 64)
        )
        self.levels = nn.ModuleList(nn.Sequential(_conv(64), nn.ReLU(), _conv(64)) for _ in range(2))
        self.decoder = nn.ModuleList(nn.Sequential(_conv(64), nn.ReLU(), _conv(64)) for _ in range(2))
        self.up = nn.ModuleList(nn.Sequential(*_separable(64 // 2**i, 32 // 2**i, stride=1)) for i in range(2))
        self.output = nn.Conv2d(16, 3, 9, padding=4, padding_mode="reflect")

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        (first, x), (style_first, style_second) = self._levels(content), self._levels(style)
        for block, own, other in zip(self.decoder, (x, first), (style_second, style_first), strict=True):
            x = block(_adain(own, other) + x)
        for up in self.up:
            x = up(F.interpolate(x, scale_factor=2.0, mode="bilinear"))
        return self.output(x)  # type: ignore[no-any-return]

    def _levels(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.encoder(image)
        first = x + self.levels[0](x)
        return first, first + self.levels[1](first)


def _conv(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")


def _separable(inputs: int, outputs: int, stride: int = 2) -> list[nn.Module]:
    deep = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, padding_mode="reflect")
    return [deep, nn.ReLU(), nn.Conv2d(inputs, outputs, 1), nn.ReLU()]


def _adain(content: Tensor, style: Tensor) -> Tensor:
    style_std, style_mean = torch.std_mean(style, (2, 3), keepdim=True)
    content_std, content_mean = torch.std_mean(content, (2, 3), keepdim=True)
    return (content - content_mean) / (content_std + 1e-5) * style_std + style_mean


def grade_all(sheet: Path | None, pairs: int) -> None:
    """Print the figures of the first pairs at 512 pixels, and save a contact sheet."""
    evaluator = load_chain("vgg19-caffe", torch.float32)
    columns = {**{model: {"method": model} for model in MODELS}, **FEW_STEPS}
    rows: list[list[str]] = []
    figures: dict[str, list[Figures]] = {model: [] for model in columns}
    images: list[list[Image | None]] = []
    for content, style in SIX[:pairs]:
        grader = Grader(content, style, 512, evaluator)
        images.append([*pair(content, style, 512)])
        row = [f"{content} x {style}"]
        for model, settings in columns.items():
            image, seconds = _stylized(content, style, **settings, size=512)
            cfsd = evaluate(picture(content), picture(style), image, backbone=evaluator, metrics=["cfsd"])["cfsd"]
            figures[model].append((grader.grade(image), cfsd, seconds))
            row.append(_summary(*figures[model][-1]))
            images[-1].append(image)
        rows.append(row)
        print(*row, sep=" | ", flush=True)
    rows.append(["median", *(_summary(*_medians(figures[model])) for model in columns)])
    print(table(["pair", *columns], rows))
    if sheet is not None:
        save_image(contact_sheet(images, column_names=["content", "style", *columns], cell=384), sheet)


def grade_large() -> None:
    """Print the medians of three pairs at each larger size."""
    evaluator = load_chain("vgg19-caffe", pick_dtype("auto", CPU))
    exact = load_chain("vgg19-caffe", torch.float32)
    rows = []
    for size in LONGER_SIDES[1:]:
        figures: dict[str, list[Figures]] = {model: [] for model in MODELS}
        for content, style in SIX[:3]:
            grader = Grader(content, style, size, evaluator)
            for model in MODELS:
                pictures, name = (picture(content), picture(style)), f"cfsd@{LONGER_SIDES[0]}"
                image, seconds = _stylized(content, style, method=model, size=size)
                cfsd = evaluate(*pictures, image, backbone=exact, metrics=[name])[name]
                figures[model].append((grader.grade(image), cfsd, seconds))
        rows.append([size, *(_summary(*_medians(figures[model])) for model in MODELS)])
        print(*rows[-1], flush=True)
    print(table(["longer side", *MODELS], rows))


def _stylized(content: str, style: str, **settings: Any) -> tuple[Image, float]:
    """Return the output of a pair, and its processor seconds."""
    began = time.process_time()
    image = impasto.stylize(picture(content), picture(style), **settings).image
    return image, time.process_time() - began


def _summary(grades: Grades, cfsd: float, seconds: float) -> str:
    return f"{grades}, {cfsd:.2e}, {seconds:.1f} s"


def _medians(figures: list[Figures]) -> Figures:
    grades, cfsd, seconds = zip(*figures, strict=True)
    return median_grades(grades), statistics.median(cfsd), statistics.median(seconds)


def faithful() -> None:
    """Print how well the models preserve images at strength 0, and with the image itself as the style."""
    root = Path(os.environ["IMPASTO_TEST_IMAGES"])
    files = [*sorted((root / "content").glob("*.jpg")), *sorted((root / "style").glob("*.jpg"))]
    names = [*(resolve(name) for name in (*CONTENTS, *list(STYLES)[:6])), *files][:PICTURES]
    columns: dict[str, list[float]] = {}
    rows = []
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        photo = load_image(name, size=512)
        cells = [name.stem]
        for model in MODELS:
            unstyled = impasto.stylize(photo, other, model, size=512, strength=0).image
            itself = impasto.stylize(photo, photo, model, size=512).image
            ssim = evaluate(photo, photo, itself, metrics=["ssim"])["ssim"]
            values = {
                "0": psnr(unstyled, photo),
                "itself": psnr(itself, photo),
                "itself to 0": psnr(itself, unstyled),
                "SSIM": ssim,
            }
            for what, value in values.items():
                columns.setdefault(f"{model}: {what}", []).append(value)
                cells.append(f"{value:.3f}" if what == "SSIM" else f"{value:.1f}")
        rows.append(cells)
    medians = [statistics.median(values) for values in columns.values()]
    rows.append(["median", *(f"{value:.3f}" if value < 1 else f"{value:.1f}" for value in medians)])
    print(table(["picture", *columns], rows))


def psnr(image: Image, truth: Image) -> float:
    """Return the peak signal-to-noise ratio in dB of an image quantized to 8 bits."""
    return -10 * math.log10((quantize(image.clamp(0, 1)) - truth).square().mean().item())


def cost_all() -> None:
    """Print time and memory of each model at each size; each runs in a process of its own."""
    rows = []
    for model in (MICRO_AST, *MODELS):
        row = [model]
        for longer in LONGER_SIDES:
            command = [sys.executable, __file__, "--one", model, str(longer)]
            row.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        rows.append(row)
    print(table(["model", *(f"{each}x{each * 3 // 4}" for each in LONGER_SIDES)], rows))


@torch.no_grad()
def cost_one(model: str, longer: int) -> None:
    """Print the time of the second of two runs and the peak memory."""
    photo, style = torch.rand(1, 3, longer * 3 // 4, longer), torch.rand(1, 3, longer * 3 // 4, longer)
    network = MicroAst().eval()
    for _ in range(2):
        started = time.perf_counter()
        if model == MICRO_AST:
            network(photo, style)
        else:
            impasto.stylize(photo, style, model, size=longer)
        seconds = time.perf_counter() - started
    print(f"{seconds:.2f} s, {peak_memory_mib(torch.device('cpu')):.0f} MiB")


def tiles_all() -> None:
    """Print how much tiles change the output, and the memory for a very large image."""
    rows = []
    for model in (*MODELS, "johnson"):
        blobs = F.interpolate(torch.rand(1, 3, 96, 128), size=(1536, 2048), mode="bicubic")
        photo = (blobs + 0.05 * torch.randn(blobs.shape)).clamp(0, 1)
        untiled, tiled = (
            impasto.stylize(photo, resolve("mosaic"), model, size=2048, tile=tile, precision="fp32").image
            for tile in (0, 768)
        )
        rows.append([model, f"{(untiled - tiled).abs().max().item():.1e}"])
    print(table(["model", "largest difference, 2048x1536"], rows))
    command = [sys.executable, __file__, "--huge"]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


@torch.no_grad()
def huge() -> None:
    """Print time and memory for 8192x8192 pixels with `micro`."""
    photo = torch.rand(1, 3, 8192, 8192)
    impasto.stylize(photo[..., :64, :64].clone(), resolve("mosaic"), "micro", size=64)
    before = peak_memory_mib(CPU)
    started = time.perf_counter()
    output = impasto.stylize(photo, resolve("mosaic"), "micro", size=0, max_pixels=2**27).image
    output_size = output.numel() * output.element_size() / 2**20
    seconds, above = time.perf_counter() - started, peak_memory_mib(CPU) - before - output_size
    height, width = output.shape[-2:]
    print(f"micro, {width}x{height}: {above:.0f} MiB in addition to input and output, {seconds:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grade", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--faithful", action="store_true")
    parser.add_argument("--tiles", action="store_true")
    parser.add_argument("--huge", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--sheet", type=Path, help="file of a contact sheet of the graded images")
    parser.add_argument("--pairs", type=int, default=len(SIX), help="number of pairs of --grade")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        cost_one(arguments.one[0], int(arguments.one[1]))
        return
    if arguments.huge:
        huge()
        return
    print(machine())
    chosen = (arguments.grade, arguments.large, arguments.cost, arguments.faithful, arguments.tiles)
    run_all = not any(chosen)
    if arguments.grade or run_all:
        grade_all(arguments.sheet, arguments.pairs)
    if arguments.large or run_all:
        grade_large()
    if arguments.cost or run_all:
        cost_all()
    if arguments.faithful or run_all:
        faithful()
    if arguments.tiles or run_all:
        tiles_all()


if __name__ == "__main__":
    main()
