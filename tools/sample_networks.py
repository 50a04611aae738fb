"""Train the networks of `micro` that are bundled for single sample styles.

    OMP_NUM_THREADS=1 python tools/sample_networks.py [NAME ...] [--photos DIR] [--folder DIR]

Each takes about twelve minutes on one core. The files contain the tensors that differ from those of `micro`, the
settings, and whether photographs were used. `--photos` selects 100; the bundled files were trained with the 500 of
BSDS500 and one of each class of ImageNet, which are not part of the project. That of charcoal is older, of 150 steps.
`python benchmarks/adapt.py --samples` grades the networks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from impasto.methods.micro import MicroMethod
from impasto.networks.adapted_styles import KEY, sample_metadata
from impasto.networks.sample_networks import BASE, FOLDER
from impasto.networks.weights_io import read_metadata, read_tensors, save_tensors
from impasto.samples import STYLES
from impasto.training.adapt import adapt

STEPS = 1000
"""Training steps for each style."""
CONTENT_WEIGHT = 0.1
"""Weight of the content loss where `CONTENT_WEIGHTS` has no other one."""
CONTENT_WEIGHTS = {
    "brushstrokes": 0.3,
    "cubist": 0.2,
    "geometric": 0.2,
    "inkwash": 0.25,
    "mosaic": 0.2,
    "ukiyoe": 0.15,
}
"""Weight of the content loss by the name of the style."""


def train(name: str, photos: str | None, folder: Path) -> Path:
    """Train the network of a sample style and write its file; return the path."""
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / f"{name}.safetensors"
        adapt(name, whole, photos=photos, steps=STEPS, content_weight=CONTENT_WEIGHTS.get(name, CONTENT_WEIGHT))
        base, tensors = dict(read_tensors(MicroMethod.bundled)), dict(read_tensors(whole))
        changed = {key: tensor for key, tensor in tensors.items() if not torch.equal(tensor, base[key])}
        of_sample = {KEY: sample_metadata(name), BASE: MicroMethod.bundled.name, "license": "MIT"}
        metadata = {**read_metadata(whole), **of_sample}
        return save_tensors(changed, folder / f"micro-{name}.safetensors", metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="sample styles (default: all)")
    parser.add_argument("--photos", metavar="DIR", help="folder of photographs (default: samples)")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="folder of the files (default: the bundled weights)"
    )
    arguments = parser.parse_args()
    for name in arguments.names or STYLES:
        began = time.process_time()
        file = train(name, arguments.photos, arguments.folder)
        print(f"{file.name}: {file.stat().st_size / 1e6:.2f} MB, {time.process_time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
