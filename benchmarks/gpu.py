"""Compare a GPU with the CPU: images of all methods, seconds per evaluation in both precisions, memory of large images.

Where the device is missing, one line says that nothing has been measured. No figures of it have been published yet.

    python benchmarks/gpu.py --device cuda
    python benchmarks/gpu.py --device mps --large 2048
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import torch

import impasto
from impasto.devices import pick_device
from impasto.methods import METHODS

PAIR = ("chelsea", "brushstrokes")
TOLERANCE = 1e-2
"""Largest mean difference of an image of the GPU from that of the CPU, after a few steps in fp32."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, mps or xpu (default: cuda)")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="methods to compare (default: all)")
    parser.add_argument("--size", type=int, default=512, help="longer side of the compared images (default: 512)")
    parser.add_argument("--steps", type=int, default=5, help="steps of the compared images (default: 5)")
    parser.add_argument("--large", type=int, nargs="*", default=[4096, 8192], help="sizes whose memory is measured")
    options = parser.parse_args(arguments)
    try:
        device = str(pick_device(options.device))
    except ValueError as error:
        print(f"gpu: not run: {error}")
        return 2
    print(f"{device_name(device)}, torch {torch.__version__}\n")
    differing = compare_methods(device, options.methods, options.size, options.steps)
    time_evaluations(device, options.size)
    for size in options.large:
        result = impasto.stylize(*PAIR, size=size, steps=2, device=device)
        print(
            f"{size} px: {result.seconds / result.evaluations:.3g} s per evaluation, {result.peak_memory_mib:.0f} MiB"
        )
    print(f"\n{', '.join(differing)} differ from the CPU" if differing else "\nall methods agree with the CPU")
    return int(bool(differing))


def device_name(device: str) -> str:
    """Return the name of a device, as far as PyTorch knows it."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def compare_methods(device: str, methods: Sequence[str], size: int, steps: int) -> list[str]:
    """Print the difference and the seconds of every method; return those that differ too much."""
    differing = []
    print("| method | mean difference | seconds on the CPU | on the device |\n| --- | --- | --- | --- |")
    for name in methods:
        shared: dict[str, Any] = {"size": size, "precision": "fp32"}
        if "steps" in METHODS[name].Config.__dataclass_fields__:
            shared["steps"] = steps
        reference = impasto.stylize(*PAIR, name, device="cpu", **shared)
        impasto.stylize(*PAIR, name, device=device, **shared)  # warm up
        result = impasto.stylize(*PAIR, name, device=device, **shared)
        difference = (result.image - reference.image).abs().mean().item()
        print(f"| {name} | {difference:.2g} | {reference.seconds:.2f} | {result.seconds:.2f} |", flush=True)
        if not difference <= TOLERANCE:
            differing.append(name)
    print()
    return differing


def time_evaluations(device: str, size: int) -> None:
    """Print the seconds per evaluation of `gatys` in both precisions."""
    for precision in ("fp32", "bf16"):
        seconds = []
        for _ in range(3):
            result = impasto.stylize(*PAIR, size=size, steps=20, device=device, precision=precision)
            seconds.append(result.seconds / result.evaluations)
        print(f"gatys, {size} px, {precision}: {min(seconds):.4f} s per evaluation")


if __name__ == "__main__":
    sys.exit(main())
