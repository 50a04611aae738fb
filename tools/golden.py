"""Record the exact outputs of about eighty small runs, or compare the current code with such a record.

    python tools/golden.py record build/golden.json    before a refactor
    python tools/golden.py check build/golden.json     after each step of it

A record holds the SHA-256 of the float32 pixels, the losses, the number of steps and the reason for stopping of every
run. All runs use fp32 and one thread, so that the outputs are identical bit for bit on the same machine with the same
version of PyTorch. They are not identical on another processor: a record is never committed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import impasto
from impasto.metrics.evaluate import evaluate
from impasto.training import train
from impasto.weights import find

Outcome = dict[str, Any]
Case = Callable[[Path], Outcome]
CASES: dict[str, Case] = {}
TWO = ["mosaic", "brushstrokes"]
SHORT = {"size": 64, "steps": 6}


def case(name: str) -> Callable[[Case], Case]:
    """Register a run under a name."""

    def register(run: Case) -> Case:
        assert name not in CASES, name
        CASES[name] = run
        return run

    return register


def stylized(name: str, method: str, style: Any = "mosaic", content: str = "woodcut", **settings: Any) -> None:
    """Register a run of `impasto.stylize`; a setting that is a function receives the folder of the inputs."""

    def run(folder: Path) -> Outcome:
        given = {key: value(folder) if callable(value) else value for key, value in settings.items()}
        return outcome(impasto.stylize(content, style, method, precision="fp32", device="cpu", **given))

    CASES[name] = run


def outcome(result: Any) -> Outcome:
    """Return what is compared of a result."""
    return {
        "pixels": sha256(result.image.contiguous().numpy().tobytes()),
        "shape": list(result.image.shape),
        "losses": result.losses,
        "curve": [sum(each.losses.values()) for each in result.curve],
        "steps": result.steps,
        "evaluations": result.evaluations,
        "stopped": result.stopped,
    }


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def draw_inputs(folder: Path) -> None:
    """Write the masks and the pictures that the runs read."""
    rng = np.random.default_rng(0)
    label_map = np.zeros((77, 96, 3), np.uint8)
    label_map[:, 48:] = (255, 40, 40)
    Image.fromarray(label_map).save(folder / "label_map.png")
    ramp = np.tile(np.linspace(0, 255, 96), (77, 1)).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "left.png")
    Image.fromarray(255 - ramp).save(folder / "right.png")
    (folder / "photos").mkdir()
    for i in range(4):
        low = Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8))
        low.resize((256, 192), Image.Resampling.BICUBIC).save(folder / "photos" / f"{i}.png")
    low.resize((96, 72), Image.Resampling.BICUBIC).save(folder / "start.png")


def within(name: str) -> Callable[[Path], str]:
    """Return a function from the folder of the inputs to the path of one of them."""
    return lambda folder: str(folder / name)


for backbone in ("tiny", "lite"):
    for method in ("gatys", "bures", "sliced", "mrf", "strotss", "nnst"):
        stylized(f"{method}/{backbone}", method, backbone=backbone, **SHORT)
stylized("gpdm", "gpdm", **SHORT)
for method in ("micro", "unrolled", "adain", "wct"):
    stylized(method, method, size=96)
    stylized(f"{method}/tiles", method, size=96, tile=64)
    stylized(f"{method}/two-styles", method, style=TWO, style_mix=[0.7, 0.3], size=64)
    stylized(f"{method}/strength", method, size=64, strength=30)
    stylized(f"{method}/mask", method, style=TWO, size=64, mask=within("label_map.png"), region_strength=[1, 0.5])
stylized("johnson", "johnson", style="mosaic", size=96)
stylized("johnson/luminance", "johnson", style="brushstrokes", size=64, color="luminance", style_scale=2)

for color in ("luminance", "moments", "histogram"):
    stylized(f"gatys/color-{color}", "gatys", color=color, **SHORT)
for optimizer in ("adam", "rmsprop"):
    stylized(f"gatys/{optimizer}", "gatys", optimizer=optimizer, **SHORT)
for start in ("style", "noise", "micro"):
    stylized(f"gatys/start-{start}", "gatys", start=start, **SHORT)
stylized("gatys/start-file", "gatys", start=within("start.png"), **SHORT)
stylized("gatys/converged", "gatys", size=64, tolerance=0.2, backbone="tiny")
stylized("gatys/paper", "gatys", preset="paper", **SHORT)
stylized("gatys/two-styles", "gatys", style=TWO, style_mix=[0.7, 0.3], **SHORT)
stylized(
    "gatys/coarse-from-one-style",
    "gatys",
    style=TWO,
    style_mix=[1, 0],
    style_mix_fine=[0, 1],
    **SHORT,
)
stylized("gatys/sizes", "gatys", sizes=[48, 96], steps=8)
stylized("gatys/own-size", "gatys", size=0, sizes=[], steps=1, backbone="tiny")
stylized("gatys/pyramid", "gatys", pyramid=4, **SHORT)
stylized("gatys/pyramid-adam", "gatys", pyramid=4, optimizer="adam", **SHORT)
stylized("gatys/strength", "gatys", strength=70, **SHORT)
stylized("gatys/loss-scales", "gatys", loss_scales=2, size=96, steps=6)
stylized("gatys/near-scales", "gatys", near_scales=3, **SHORT)
stylized("gatys/large", "gatys", backbone="tiny", size=520, steps=4)
stylized("gatys/average-pooling", "gatys", pooling="average", **SHORT)
stylized("gatys/covariance", "gatys", style_loss="covariance", **SHORT)
stylized("gatys/moments", "gatys", style_loss="moments", **SHORT)
stylized("gatys/smooth", "gatys", edge_weight=30, tv_weight=100, **SHORT)
stylized("gatys/style-scale", "gatys", style_scale=2, **SHORT)
stylized("gatys/layers", "gatys", content_layers=["relu3_1"], style_layers=["relu1_1", "relu2_1"], **SHORT)
stylized("gatys/layer-weights", "gatys", layer_weights=[5, 4, 3, 2, 1], **SHORT)
stylized("gatys/mask", "gatys", style=TWO, mask=within("label_map.png"), region_strength=[1, 0.3], **SHORT)
stylized(
    "gatys/soft-masks",
    "gatys",
    style=TWO,
    mask=lambda folder: [str(folder / "left.png"), str(folder / "right.png")],
    **SHORT,
)
stylized(
    "gatys/style-mask",
    "gatys",
    mask=within("label_map.png"),
    style_mask=within("label_map.png"),
    region_style_scale=[1, 2],
    feather=0.1,
    **SHORT,
)
stylized("bures/adam", "bures", optimizer="adam", strength=40, **SHORT)
stylized("bures/paper", "bures", preset="paper", **SHORT)
stylized("sliced/two-styles", "sliced", style=TWO, **SHORT)
stylized("mrf/paper", "mrf", preset="paper", **SHORT)
stylized("strotss/mask", "strotss", style=TWO, mask=within("label_map.png"), size=128, steps=8)
stylized("strotss/strength", "strotss", strength=80, color="luminance", **SHORT)
stylized("nnst/two-styles", "nnst", style=TWO, size=96, steps=6, rematch_steps=3)
stylized("nnst/mask", "nnst", style=TWO, mask=within("label_map.png"), strength=20, size=96, steps=6)
stylized("nnst/paper", "nnst", preset="paper", **SHORT)
stylized("gpdm/sizes", "gpdm", sizes=[32, 64], steps=6, optimizer="lbfgs", patch_size=5, projections=16, stride=1)
stylized("gpdm/two-styles", "gpdm", style=TWO, size=64, steps_per_size=2, strength=80)
if find("vgg19-caffe") is not None:
    stylized("gatys/vgg19", "gatys", backbone="vgg19-caffe", **SHORT)
    stylized("gatys/polish", "gatys", polish=3, **SHORT)
    stylized("strotss/polish", "strotss", polish=2, **SHORT)


@case("folder")
def folder_of_photographs(folder: Path) -> Outcome:
    """Stylize a folder and return the pixels of the saved files."""
    output = folder / "stylized"
    settings = {"backbone": "tiny", "size": 48, "steps": 2, "precision": "fp32", "device": "cpu"}
    done = impasto.stylize_folder(folder / "photos", "mosaic", output, **settings)
    files = sorted(each.output for each in done)
    return {file.name: sha256(np.asarray(Image.open(file)).tobytes()) for file in files}


@case("replay")
def replay(folder: Path) -> Outcome:
    """Replay a saved picture from its record."""
    settings = {"backbone": "tiny", "size": 64, "steps": 5, "start": "noise", "seed": 3, "precision": "fp32"}
    impasto.stylize("woodcut", "brushstrokes", color="moments", **settings).save(folder / "first.png")
    return outcome(impasto.replay(folder / "first.png"))


@case("metrics")
def metrics(folder: Path) -> Outcome:
    """Grade one picture by every metric."""
    torch.manual_seed(0)
    output = folder / "photos" / "0.png"
    return {name: repr(value) for name, value in evaluate("woodcut", "mosaic", output, backbone="lite").items()}


def trained(recipe: str, **settings: Any) -> None:
    """Register a training of two steps."""

    def run(folder: Path) -> Outcome:
        photos = folder / "photos"
        output = folder / f"trained-{recipe}"
        paintings = {} if recipe in ("johnson", "wct") else {"paintings": photos}
        result = train(
            recipe,
            output=output,
            photos=photos,
            steps=2,
            batch=2,
            crop=64,
            precision="fp32",
            device="cpu",
            **paintings,
            **settings,
        )
        return {"losses": result.losses}

    CASES[f"train/{recipe}"] = run


trained("adain")
trained("johnson", style="mosaic")
trained("micro")
trained("unrolled")
trained("wct")
if find("vgg19-caffe") is not None:
    trained("lite", fit_pictures=2, widths=[8, 8, 16, 16, 16, 16, 16, 16, 32, 32, 32, 32, 32])


def run_all(names: list[str]) -> dict[str, Outcome]:
    """Run the named cases and return their outcomes."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    outcomes: dict[str, Outcome] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            draw_inputs(Path(folder))
            try:
                outcomes[name] = json.loads(json.dumps(CASES[name](Path(folder))))
            except Exception as error:
                outcomes[name] = {"error": f"{type(error).__name__}: {error}".replace(folder, "")}
    return outcomes


def main() -> int:
    """Record or check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["record", "check"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="run only the cases whose names contain one of these")
    options = parser.parse_args()
    names = [name for name in CASES if not options.only or any(part in name for part in options.only)]
    outcomes = run_all(names)
    failed = [f"{name}: {each['error']}" for name, each in outcomes.items() if "error" in each]
    if options.action == "record":
        options.file.parent.mkdir(parents=True, exist_ok=True)
        options.file.write_text(json.dumps(outcomes, indent=1))
        print("\n".join([*failed, f"recorded {len(outcomes)} runs, {len(failed)} failed"]))
        return 1 if failed else 0
    recorded = json.loads(options.file.read_text())
    different = [name for name in names if name not in recorded or outcomes[name] != recorded[name]]
    for name in different:
        was, now = recorded.get(name, {}), outcomes[name]
        keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        print(f"{name}: " + "; ".join(f"{key} {was.get(key)} -> {now.get(key)}"[:200] for key in keys))
    print(f"{len(names) - len(different)} of {len(names)} runs are identical")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
