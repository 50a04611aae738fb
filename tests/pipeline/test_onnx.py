"""`impasto export`: a model as ONNX paints what the model paints."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import impasto
from impasto.cli import main
from impasto.images import load_image, save_image
from impasto.pipeline.onnx import export
from impasto.samples import resolve

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "model",
    ["micro", pytest.param("adain", marks=pytest.mark.slow), pytest.param("johnson-mosaic", marks=pytest.mark.slow)],
)
def test_an_exported_model_paints_the_same_at_sizes_it_was_not_traced_at(model: str, tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(str(export(model, tmp_path / "model.onnx")))
    method, _, name = model.partition("-")
    for size in (97, 130):
        photo, style = load_image(resolve("woodcut"), size=size), load_image(resolve(name or "brushstrokes"), size=size)
        fed = {"content": photo.numpy()} | ({} if name else {"style": style.numpy()})
        (painted,) = session.run(None, fed)
        ours = impasto.stylize(photo, style, method, size=size, precision="fp32", device="cpu").image
        assert np.abs(painted - ours.numpy()).max() < 1e-4
        assert (ours - photo).abs().mean() > 0.01
    if model == "micro":
        _the_example_paints_with_it(tmp_path)


def _the_example_paints_with_it(folder: Path) -> None:
    """In a process of its own, without torch."""
    save_image(torch.rand(1, 3, 60, 81), folder / "photo.png")
    script = [
        str(ROOT / "examples" / "paint_onnx.py"),
        "model.onnx",
        "photo.png",
        "photo.png",
        "out.png",
        "--size",
        "81",
    ]
    subprocess.run([sys.executable, *script], cwd=folder, check=True)
    assert load_image(folder / "out.png").shape == (1, 3, 60, 81)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["export", "wct", "-o", "m.onnx"], "unknown model 'wct'; choose from adain, micro, johnson-"),
        (["export", "micro", "-o", "m.pt"], "a model is written as .onnx"),
        (["export", "micro"], "the output is missing; give -o FILE.onnx"),
        (["export", "-o", "m.onnx"], "give one MODEL of"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
