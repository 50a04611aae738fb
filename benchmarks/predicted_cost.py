"""Compare the time and memory that `--dry-run` predicts with those of the run.

Every case runs in two processes of its own, through the command line: `impasto stylize --dry-run --json`, then the same
without `--dry-run`. Memory is the peak of the process. The tables of docs/measurements/speed.md:

    python benchmarks/predicted_cost.py            # all cases (40 minutes)
    python benchmarks/predicted_cost.py --quick    # the cases of a few seconds

and that of docs/measurements/large-pictures.md, which has fewer steps at the last size only:

    python benchmarks/predicted_cost.py --tiles --cpu-time
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import machine, picture, table

QUICK = (
    "--method gatys --size 256",
    "--method gatys --size 512 --quality draft",
    "--method sliced --size 256",
    "--method strotss --size 256 --steps 100",
    "--method gpdm --size 256",
    "--method micro --size 1024",
    "--method micro --size 3000",
    "--method adain --size 1024",
    "--method wct --size 1024",
)
LONG = (
    "--method gatys --size 512",
    "--method gatys --size 512 --precision fp32 --quality draft",
    "--method gatys --size 1024 --quality draft --history 10 --steps 60",
    "--method gatys --size 1024 --precision fp32 --steps 48",
    "--method gatys --size 2048 --steps 60 --tile 0",
    "--method gatys --size 2048 --steps 60 --tile 512",
    "--method gatys --size 512 --backbone vgg19-caffe --steps 36",
    "--method bures --size 512 --steps 60",
    "--method mrf --size 512 --steps 36",
    "--method nnst --size 512 --quality draft",
    "--method strotss --size 1024 --steps 60",
    "--method gpdm --size 512",
    "--method micro --size 6000",
    "--method adain --size 2048",
)
SIZES_AND_TILES = ((512, 0), (512, 256), (1024, 0), (1024, 512), (2048, 1024), (4096, 1024))
TILES = (
    *(f"--backbone lite --size {size} --sizes {size} --steps 3 --tile {tile}" for size, tile in SIZES_AND_TILES),
    "--backbone vgg19-caffe --size 512 --sizes 512 --steps 3 --tile 256",
    "--backbone vgg19-caffe --size 1024 --sizes 1024 --steps 3 --tile 512",
)
CONTENT, STYLE = "tubingen", "mosaic"


@dataclass(frozen=True)
class Comparison:
    """One case."""

    flags: str
    predicted_mib: float
    measured_mib: float
    predicted_seconds: float
    measured_seconds: float

    def row(self) -> list[object]:
        """Return the row of the table."""
        memory, seconds = self.predicted_mib / self.measured_mib, self.predicted_seconds / self.measured_seconds
        return [
            f"`{self.flags.removeprefix('--method ')}`",
            *(f"{self.predicted_mib:.0f}", f"{self.measured_mib:.0f}", f"{memory:.2f}"),
            *(f"{self.predicted_seconds:.1f}", f"{self.measured_seconds:.1f}", f"{seconds:.2f}"),
        ]


def run(flags: str, clock: str, *more: str) -> dict[str, float]:
    """Run `impasto stylize` and return the object that it prints; `clock` is the function of `time` that measures."""
    images = [str(picture(name)) for name in (CONTENT, STYLE)]
    program = f"import time; time.perf_counter = time.{clock}; from impasto.cli.dispatch import run; run()"
    command = [sys.executable, "-c", program, "stylize", *images, *flags.split(), "--json", *more]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    values: dict[str, float] = json.loads(output.splitlines()[-1])
    return values


def compare(flags: str, clock: str) -> Comparison:
    """Predict and measure one case."""
    plan = run(flags, clock, "--dry-run")
    with tempfile.TemporaryDirectory() as folder:
        result = run(flags, clock, "-o", str(Path(folder) / "out.png"))
    memory = (plan["peak_memory_mib"], result["peak_memory_mib"])
    return Comparison(flags, *memory, plan["seconds"], result["seconds"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the cases of a few seconds")
    parser.add_argument("--tiles", action="store_true", help="only the cases with and without tiles")
    parser.add_argument("--cpu-time", action="store_true", help="measure processor time, on a busy machine")
    options = parser.parse_args()
    cases = TILES if options.tiles else QUICK if options.quick else (*QUICK, *LONG)
    clock = "process_time" if options.cpu_time else "perf_counter"
    rows = []
    for flags in cases:
        rows.append(compare(flags, clock).row())
        print(*rows[-1], file=sys.stderr, flush=True)
    heads = ["", "MiB predicted", "measured", "ratio", "seconds predicted", "measured", "ratio"]
    print(f"{machine()}\n\n{table(heads, rows)}")


if __name__ == "__main__":
    main()
