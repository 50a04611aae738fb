"""Compare the time that the usual implementation and impasto need to reach the same loss, in one run.

(a) The usual implementation: fp32, NCHW, one scale, pixels clamped in the closure, torch.optim.LBFGS (lr 1, history
    100, no line search), one evaluation per step.
(b) impasto: what `impasto stylize` runs.

Both are graded by the fp32 loss of the image as saved with 8 bits. The time of the optimizer is measured, not that of
the grading.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/time_to_loss.py [--speed] [--precision fp32]

`--speed` only measures the time of an evaluation. The environment variable ONEDNN_MAX_CPU_ISA=avx512_core_bf16 disables
the matrix units (AMX) of the processor.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import get_args

import torch
import torch.nn.functional as F
from common import Pictures, gatys_objective, graded, load_chain, machine, pair, plain_loss, table
from torch import Tensor

from impasto.allocator import keep_freed_memory
from impasto.backbones import ChainBackbone
from impasto.backbones.chain import Convolution
from impasto.config import Precision
from impasto.devices import pick_dtype
from impasto.objectives.objective import Objective
from impasto.optim.descent import descend, evaluate
from impasto.types import Image

STYLE_WEIGHT = 100.0


@dataclass(frozen=True)
class Mark:
    """Loss of a run after a number of evaluations and seconds."""

    evaluations: int
    seconds: float
    loss: float


def usual_run(backbone: ChainBackbone, pictures: Pictures, steps: int) -> Iterator[tuple[int, float, Image]]:
    """Run (a); yield evaluations, seconds and image after each step."""
    loss = plain_loss(backbone, pictures, STYLE_WEIGHT)
    pixels = pictures[0].clone().requires_grad_()
    optimizer = torch.optim.LBFGS([pixels], lr=1, max_iter=1, history_size=100, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        with torch.no_grad():
            pixels.clamp_(0, 1)
        optimizer.zero_grad()
        value = loss(pixels)
        value.backward()
        return value

    seconds = 0.0
    for step in range(1, steps + 1):
        started = time.perf_counter()
        optimizer.step(closure)
        seconds += time.perf_counter() - started
        yield step, seconds, pixels.detach().clamp(0, 1)


def impasto_run(objective: Objective, start: Image, steps: int) -> Iterator[tuple[int, float, Image]]:
    """Run (b); yield evaluations, seconds and image after each step."""
    seconds, started = 0.0, time.perf_counter()
    for step in descend(objective, start, steps=steps):
        seconds += time.perf_counter() - started
        yield step.evaluations, seconds, step.image()
        started = time.perf_counter()


def watch(run: Iterator[tuple[int, float, Image]], evaluator: Objective, every: int) -> list[Mark]:
    marks = []
    for evaluations, seconds, image in run:
        if evaluations % every == 0:
            marks.append(Mark(evaluations, seconds, graded(evaluator, image)["total"]))
    return marks


def first_below(marks: list[Mark], loss: float) -> Mark | None:
    return next((mark for mark in marks if mark.loss <= loss), None)


def flops(backbone: ChainBackbone, height: int, width: int) -> float:
    """Return the floating-point operations of the convolutions of one evaluation, forward and backward."""
    total, names = 0.0, {*backbone.style_layers, *backbone.content_layers}
    for layer in backbone.chain.layers:
        if isinstance(layer, Convolution):
            total += 2 * 2 * layer.weight.numel() * height * width
        else:
            height, width = height // 2, width // 2
        names.discard(layer.name)
        if not names:
            return total
    raise AssertionError


def best_rate(backbone: ChainBackbone, image: Image, rounds: int = 7) -> tuple[str, float]:
    """Return name and GFLOP/s of the fastest convolution, forward or backward, when all are run in sequence."""
    times: dict[str, list[float]] = {}
    work: dict[str, float] = {}
    for _ in range(rounds):
        x = (image - torch.tensor(backbone.mean).view(1, 3, 1, 1)).to(backbone.chain.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        for layer in backbone.chain.layers:
            if not isinstance(layer, Convolution):
                x = F.max_pool2d(x, 2)
                continue
            packed = backbone.chain.packed(layer)
            started = time.perf_counter()
            x = packed.relu(x)
            middle = time.perf_counter()
            packed.input_gradient(x, None)
            times.setdefault(layer.name, []).append(middle - started)
            times.setdefault(f"{layer.name} back", []).append(time.perf_counter() - middle)
            work[layer.name] = work[f"{layer.name} back"] = 2 * layer.weight.numel() * x.shape[-1] * x.shape[-2]
    rates = {name: work[name] / statistics.median(seconds) / 1e9 for name, seconds in times.items()}
    name = max(rates, key=lambda key: rates[key])
    return name, rates[name]


def seconds_per_evaluation(run: Callable[[], object], rounds: int = 9) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def compare_evaluations(plain: ChainBackbone, fast: ChainBackbone, pictures: Pictures) -> None:
    loss, objective = plain_loss(plain, pictures, STYLE_WEIGHT), gatys_objective(fast, pictures, STYLE_WEIGHT)

    def usual_evaluation() -> None:
        pixels = pictures[0].clone().requires_grad_()
        loss(pixels).backward()

    slow, quick = [], []
    for _ in range(2):  # alternating, so that other processes disturb both equally
        slow.append(seconds_per_evaluation(usual_evaluation, 5))
        quick.append(seconds_per_evaluation(lambda: evaluate(objective, pictures[0])))
    a, b = min(slow), min(quick)
    work = flops(fast, pictures[0].shape[-2], pictures[0].shape[-1]) / 1e9
    name, best = best_rate(fast, pictures[0])
    print(f"seconds per evaluation: (a) {a:.3f}, (b) {b:.3f}: {a / b:.1f}x faster")
    print(f"one evaluation is {work:.0f} GFLOP: (a) {work / a:.0f} GFLOP/s, (b) {work / b:.0f} GFLOP/s")
    print(
        f"best convolution in this run: {name}, {best:.0f} GFLOP/s; (b) reaches {work / b / best:.0%} of it", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", default="tubingen")
    parser.add_argument("--style", default="starry_night")
    parser.add_argument("--backbone", default="vgg19-caffe")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--usual-steps", type=int, default=1000)
    parser.add_argument("--impasto-steps", type=int, default=600)
    parser.add_argument("--speed", action="store_true", help="only compare the time of single evaluations")
    parser.add_argument("--precision", choices=get_args(Precision), default="auto", help="precision of (b)")
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    pictures = pair(options.content, options.style, options.size)
    plain = load_chain(options.backbone, torch.float32)
    fast = load_chain(options.backbone, pick_dtype(options.precision, torch.device("cpu")))
    evaluator = gatys_objective(plain, pictures, STYLE_WEIGHT)
    print(machine(), f"; {options.content} x {options.style}, {pictures[0].shape[-1]}x{pictures[0].shape[-2]}", sep="")
    compare_evaluations(plain, fast, pictures)
    if options.speed:
        return

    ours = watch(
        impasto_run(gatys_objective(fast, pictures, STYLE_WEIGHT), pictures[0], options.impasto_steps), evaluator, 5
    )
    usual = watch(usual_run(plain, pictures, options.usual_steps), evaluator, 20)
    report(usual, ours)


def report(usual: list[Mark], ours: list[Mark]) -> None:
    selected = (20, 40, 60, 100, 160, 200, 300, 400, 500, 600, 800, 1000)
    rows = []
    for count in selected:
        cells: list[str] = [str(count)]
        for marks in (usual, ours):
            mark = next((m for m in marks if m.evaluations == count), None)
            cells += [f"{mark.loss:.3f}", f"{mark.seconds:.1f}"] if mark else ["", ""]
        if any(cells[1:]):
            rows.append(cells)
    print(table(["evaluations", "(a) loss", "(a) seconds", "(b) loss", "(b) seconds"], rows))
    for text, factor, until in (
        ("loss of (a) after 300 steps", 1.0, 300),
        ("within 5% of the best loss of (a) in all its steps", 1.05, usual[-1].evaluations),
    ):
        if until > usual[-1].evaluations:
            continue
        done = [mark for mark in usual if mark.evaluations <= until]
        a = replace(done[-1], loss=min(mark.loss for mark in done))  # without a line search it can increase
        b = first_below(ours, factor * a.loss)
        goal = f"{text} ({factor * a.loss:.3f})"
        if b is None:
            print(f"{goal}: (b) did not reach it in {ours[-1].evaluations} evaluations")
            continue
        print(f"{goal}: (a) {a.evaluations} evaluations, {a.seconds:.0f} s; (b) {b.evaluations}, {b.seconds:.1f} s:")
        print(f"    {a.seconds / b.seconds:.1f}x sooner")


if __name__ == "__main__":
    main()
