"""Compare a GPU with the CPU: images of all methods, seconds of an evaluation, and memory of large images.

An evaluation of the objective of `gatys` and its gradient is timed as a plain loop of PyTorch in fp32, as that loop in
bf16, with channels last and with `torch.compile`, and as impasto computes it. Where the device is missing, one line
says that nothing has been measured.

    python benchmarks/gpu.py --device cuda
    python benchmarks/gpu.py --device cuda --backbone vgg19      # the network of other implementations
    python benchmarks/gpu.py --device mps --large 2048
    python benchmarks/gpu.py --device cpu --quick                # small images: a test of the script
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from common import Pictures, gatys_objective, pair, plain_loss, table
from torch import Tensor

import impasto
from impasto.backbones.base import load_chain
from impasto.devices import PRECISION_NAMES, peak_memory_mib, pick_device, reset_peak_memory
from impasto.files import reason
from impasto.images import MIN_SIDE, load_image
from impasto.methods import METHODS, configure
from impasto.optim.descent import evaluate
from impasto.samples import resolve

PAIR = ("chelsea", "brushstrokes")
TOLERANCE = 1e-2
"""Largest mean difference of an image of the GPU from that of the CPU, after a few steps in fp32, for a method that
does not enlarge small differences."""
NOISE = 1e-3
"""Standard deviation of noise on the content image, in units of the pixel range: the precision of a convolution in
TF32, in which GPUs compute those of fp32. A method that matches nearest neighbors enlarges it."""
STYLE_WEIGHT = 100.0
QUICK: dict[str, Any] = {"backbone": "tiny", "size": 48, "large": [64], "rounds": 1}
"""Options of `--quick`."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, mps or xpu (default: cuda)")
    parser.add_argument("--backbone", default="lite", help="network, a chain of convolutions (default: lite)")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), help="methods to compare (default: all)")
    parser.add_argument("--size", type=int, default=512, help="longer side of the compared images (default: 512)")
    parser.add_argument("--steps", type=int, default=5, help="steps of the compared images (default: 5)")
    parser.add_argument("--large", type=int, nargs="*", default=[4096, 8192], help="sizes whose memory is measured")
    parser.add_argument("--rounds", type=int, default=9, help="evaluations that are timed, after a first one")
    parser.add_argument("--quick", action="store_true", help="measure tiny images, to test this script")
    options = parser.parse_args(arguments)
    if options.quick:
        vars(options).update(QUICK)
    try:
        device = pick_device(options.device)
        check(options)
    except ValueError as error:
        print(f"gpu: not run: {error}")
        return 2
    try:
        return run(device, options)
    except ValueError as error:  # such as a size that is too small for a method
        print(f"gpu: ended early: {error}")
        return 2


def check(options: argparse.Namespace) -> None:
    """Raise `ValueError` for options that no computation can have."""
    for option, smallest in (("size", MIN_SIDE), ("large", MIN_SIDE), ("steps", 1), ("rounds", 1)):
        value = getattr(options, option)
        if any(each < smallest for each in (value if isinstance(value, list) else [value])):
            raise ValueError(f"{option}: give at least {smallest}, not {value}")
    for name in options.methods:
        configure(name, {})
    load_chain(options.backbone)


def run(device: torch.device, options: argparse.Namespace) -> int:
    """Print all tables, and return the exit status: 1 if a method differs from the CPU."""
    print(f"{device_name(device)}, torch {torch.__version__}\n")
    differing = compare_methods(str(device), options)
    print(f"\nevaluation of gatys with {options.backbone}, {options.size} px:\n")
    rows = list(time_evaluations(device, options))
    print(table(["computation", "seconds", "times as fast as the first", "peak MiB"], rows), flush=True)
    print("\n" + table(["gatys, size", "seconds per evaluation", "peak MiB"], list(large_images(device, options))))
    if options.methods:
        print(f"\n{', '.join(differing)} differ from the CPU" if differing else "\nall methods agree with the CPU")
    return int(bool(differing))


def device_name(device: torch.device) -> str:
    """Return the name of a device, as far as PyTorch knows it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def compare_methods(device: str, options: argparse.Namespace) -> list[str]:
    """Print the difference and the seconds of every method; return those that differ too much.

    The limit is `TOLERANCE`, or one and a half times what noise on the content image changes on the CPU.
    """
    differing = []
    head = "| method | mean difference | of noise, on the CPU | seconds on the CPU | on the device |"
    print(f"{head}\n| --- | --- | --- | --- | --- |")
    content, style = (load_image(resolve(name)) for name in PAIR)
    noise = NOISE * torch.randn(content.shape, generator=torch.Generator().manual_seed(0))
    for name in options.methods:
        settings = {"size": options.size, "steps": options.steps, "backbone": options.backbone, "precision": "fp32"}
        shared: Any = {key: settings[key] for key in settings.keys() & METHODS[name].Config.__dataclass_fields__}
        reference = impasto.stylize(content, style, name, device="cpu", **shared)
        noisy = impasto.stylize((content + noise).clamp(0, 1), style, name, device="cpu", **shared)
        impasto.stylize(content, style, name, device=device, **shared)  # warm up
        result = impasto.stylize(content, style, name, device=device, **shared)
        difference, of_noise = ((each.image - reference.image).abs().mean().item() for each in (result, noisy))
        seconds = f"{reference.seconds:.2f} | {result.seconds:.2f}"
        print(f"| {name} | {difference:.2g} | {of_noise:.2g} | {seconds} |", flush=True)
        if not difference <= max(TOLERANCE, 1.5 * of_noise):
            differing.append(name)
    return differing


def time_evaluations(device: torch.device, options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Yield name, seconds, speed and peak memory of every way to evaluate the objective of `gatys`."""
    first: float | None = None
    for name, make in evaluations(device, options):
        try:
            seconds, memory = measure(make(), device, options.rounds)
        except Exception as error:  # torch.compile needs a compiler, and has many exceptions of its own
            yield name, f"not available: {reason(error)[:100]}", "", ""
            continue
        first = first or seconds
        yield name, f"{seconds:.4f}", f"{first / seconds:.2f}", f"{memory:.0f}"


def evaluations(
    device: torch.device, options: argparse.Namespace
) -> Iterator[tuple[str, Callable[[], Callable[[], object]]]]:
    """Yield the name of every way to evaluate, and what returns a function that evaluates once."""
    content, style = pair(*PAIR, options.size)
    pictures = content.to(device), style.to(device)
    formats = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}
    for dtype, precision in PRECISION_NAMES.items():
        for layout, memory_format in formats.items():
            for is_compiled in (False, True):
                words = [device, options.backbone, dtype, pictures, memory_format, is_compiled]
                compiled = ", torch.compile" if is_compiled else ""
                yield f"plain loop, {precision}, {layout}{compiled}", lambda words=words: plain(*words)
    for dtype, precision in PRECISION_NAMES.items():
        yield f"impasto, {precision}", lambda dtype=dtype: ours(device, options.backbone, dtype, pictures)


def plain(
    device: torch.device,
    backbone: str,
    dtype: torch.dtype,
    pictures: Pictures,
    memory_format: torch.memory_format,
    is_compiled: bool,
) -> Callable[[], object]:
    """Return a function that evaluates the plain loss and its gradient."""
    loss = plain_loss(load_chain(backbone, device=device, dtype=dtype), pictures, STYLE_WEIGHT, memory_format)
    if is_compiled:
        loss = torch.compile(loss)

    def run() -> Tensor:
        pixels = pictures[0].clone().requires_grad_()
        loss(pixels).backward()
        assert pixels.grad is not None
        return pixels.grad

    return run


def ours(device: torch.device, backbone: str, dtype: torch.dtype, pictures: Pictures) -> Callable[[], object]:
    """Return a function that evaluates the objective as impasto does."""
    objective = gatys_objective(load_chain(backbone, device=device, dtype=dtype), pictures, STYLE_WEIGHT)
    return lambda: evaluate(objective, pictures[0])


def measure(run: Callable[[], object], device: torch.device, rounds: int) -> tuple[float, float]:
    """Return the median seconds and the peak memory in MiB of a function, after a first call."""
    run()
    wait(device)
    reset_peak_memory()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        wait(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times), peak_memory_mib(device)


def wait(device: torch.device) -> None:
    """Wait until the device has computed what was requested."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def large_images(device: torch.device, options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Yield size, seconds per evaluation and peak memory of runs at large sizes, or why one does not fit."""
    for size in options.large:
        reset_peak_memory()
        try:
            result = impasto.stylize(*PAIR, size=size, steps=2, device=str(device), backbone=options.backbone)
        except (MemoryError, RuntimeError, ValueError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            yield f"{size} px", reason(error), ""
            continue
        yield f"{size} px", f"{result.seconds / result.evaluations:.3g}", f"{result.peak_memory_mib:.0f}"


if __name__ == "__main__":
    sys.exit(main())
