"""Measure seconds per step and peak memory of the default method at large sizes, in tiles and without.

Each measurement is a process of its own, which stylizes a content image that has the size of the output. It takes a few
steps at this size only; the loss has all of its scales. The seconds are processor time between the first and the last
step, divided by the number of evaluations; a step that diverges takes two of them. The peak memory is that of the
process from the opened file to the written one, the images, the optimizer and PyTorch included.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/any_size.py [--sizes 512 1024] [--backbones lite]

With `--workers 1 2`, the tiles are computed by each of these numbers of processes. The seconds are wall time then, and
the peak memory is the sum of those of all processes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import machine, picture, table

from impasto import stylize
from impasto.allocator import keep_freed_memory
from impasto.devices import peak_memory_mib
from impasto.images import fit, load_image, resize, save_image
from impasto.types import Step

CONTENT, STYLE = "tubingen", "starry_night"
UNTILED_PIXELS = {"lite": 2**22, "vgg19-caffe": 2**20}
"""Pixels of the largest image that is measured without tiles."""


def measure(backbone: str, size: int, tile: int, steps: int, workers: int) -> dict[str, Any]:
    """Stylize in this process, and with workers; return seconds per step, peak memory in GiB, and pixels."""
    keep_freed_memory(of_any_size=True)  # as the command does
    marks: list[tuple[float, float, int]] = []
    of_workers: list[float] = []

    def on_step(step: Step) -> None:
        marks.append((time.process_time(), time.perf_counter(), step.evaluations))
        of_workers[:] = [peak_of_process(each.pid) for each in multiprocessing.active_children()]

    settings = {"backbone": backbone, "size": size, "sizes": (size,), "steps": steps, "tile": tile, "workers": workers}
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder) / "content.bmp"
        subprocess.run([sys.executable, __file__, "--content", str(content), str(size)], check=True)
        result = stylize(content, picture(STYLE), on_step=on_step, max_pixels=2**31, **settings)
        save_image(result.image, Path(folder) / "output.png")
    height, width = result.image.shape[-2:]
    (cpu, wall, evaluations), (last_cpu, last_wall, last) = marks[0], marks[-1]
    return {
        "seconds": (last_cpu - cpu) / (last - evaluations),
        "wall": (last_wall - wall) / (last - evaluations),
        "gib": (peak_memory_mib(torch.device("cpu")) + sum(of_workers)) / 1024,
        "pixels": height * width,
        "size": f"{width}x{height}",
    }


def peak_of_process(pid: int | None) -> float:
    """Return the peak memory of another process in MiB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def write_content(path: Path, size: int) -> None:
    """Write the content image at a size; another process does it, so that its memory is not measured."""
    content = load_image(picture(CONTENT))
    save_image(resize(content, fit((content.shape[-2], content.shape[-1]), size)), path)


def in_new_process(*arguments: object) -> dict[str, Any] | None:
    """Return the measurement of a new process; None if it ended with an error."""
    command = [sys.executable, __file__, "--measure", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1:], file=sys.stderr)
        return None
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Print one row for each network and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--backbones", nargs="+", default=list(UNTILED_PIXELS))
    parser.add_argument("--tile", type=int, default=1024, help="side of the tiles in pixels")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", help="numbers of processes to compare")
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--content", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.content:
        write_content(Path(options.content[0]), int(options.content[1]))
        return
    if options.measure:
        backbone, *numbers = options.measure
        print(json.dumps(measure(backbone, *map(int, numbers))))
        return
    print(machine(), f"tiles of {options.tile} pixels", sep="; ", flush=True)
    if options.workers:
        compare_workers(options)
        return
    rows = []
    for backbone in options.backbones:
        for size in options.sizes:
            rows.append(row(backbone, size, options.tile, options.steps))
            print(*rows[-1], sep=" | ", flush=True)
    names = ["network", "size", "s/step", "in tiles", "ratio", "s/megapixel in tiles", "GiB", "GiB in tiles"]
    print(table(names, rows))


def compare_workers(options: argparse.Namespace) -> None:
    """Print one row for each network, size and number of processes."""
    rows = []
    for backbone in options.backbones:
        for size in options.sizes:
            for workers in options.workers:
                found = in_new_process(backbone, size, options.tile, options.steps, workers)
                cells = [found["size"], str(workers), f"{found['wall']:.2f}", f"{found['gib']:.2f}"] if found else []
                rows.append([backbone, *cells])
                print(*rows[-1], sep=" | ", flush=True)
    print(table(["network", "size", "processes", "s/step", "GiB"], rows))


def row(backbone: str, size: int, tile: int, steps: int) -> list[str]:
    """Return the cells of one network and size."""
    tiled = in_new_process(backbone, size, tile if size > tile else size // 2, steps, 1)
    whole = in_new_process(backbone, size, 0, steps, 1) if size * size * 3 // 4 <= UNTILED_PIXELS[backbone] else None
    cells = [backbone, tiled["size"] if tiled else str(size)]
    cells += [f"{whole['seconds']:.2f}" if whole else "", f"{tiled['seconds']:.2f}" if tiled else ""]
    cells.append(f"{tiled['seconds'] / whole['seconds']:.2f}" if tiled and whole else "")
    cells.append(f"{1e6 * tiled['seconds'] / tiled['pixels']:.2f}" if tiled else "")
    return cells + [f"{each['gib']:.2f}" if each else "" for each in (whole, tiled)]


if __name__ == "__main__":
    main()
