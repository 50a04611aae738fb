"""Test that an exported ONNX model gives the output of the method, and that wrong requests are errors."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags
from PIL import Image as PILImage
from support import no_network_in_a_cycle
from torch import Tensor

import impasto
from impasto.cli import main
from impasto.images import load_image
from impasto.pipeline.onnx import export, onnx_model
from impasto.samples import resolve

ROOT = Path(__file__).parents[2]
MODELS = ("micro", "adain", "johnson-mosaic")
CASES = ((97, 20.0), (130, 50.0), (64, 100.0))
"""Sizes in pixels and strengths."""


def inputs_and_output(model: str, size: int, strength: float) -> tuple[dict[str, Tensor], Tensor]:
    """Return the inputs of a model, and the output of its method for them."""
    method, _, name = model.partition("-")
    content = load_image(resolve("woodcut"), size=size)
    style = load_image(resolve(name or "brushstrokes"), size=size)
    settings = {} if name else {"strength": strength}
    output = impasto.stylize(content, style, method, size=size, precision="fp32", device="cpu", **settings).image
    assert (output - content).abs().mean() > 0.01
    inputs = {} if name else {"style": style, "strength": torch.tensor(strength)}
    return {"content": content} | inputs, output


@pytest.mark.parametrize("model", MODELS)
def test_the_exported_network_gives_the_output_of_the_method(model: str) -> None:
    network, names = onnx_model(model)
    for size, strength in CASES:
        inputs, output = inputs_and_output(model, size, strength)
        assert list(inputs) == names
        with torch.no_grad():
            assert (network(*inputs.values()) - output).abs().max() < 1e-4


def test_the_network_of_a_sample_style_gives_the_output_of_the_method() -> None:
    network, names = onnx_model("micro-mosaic")
    assert names == ["content", "strength"]
    settings = {"size": 512, "tile": 0, "precision": "fp32", "device": "cpu"}  # the size of the style
    content = load_image(resolve("woodcut"), size=512)
    for strength in (20.0, 80.0):
        output = impasto.stylize(content, "mosaic", "micro", strength=strength, **settings).image
        with torch.no_grad():
            assert (network(content, torch.tensor(strength)) - output).abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_an_exported_model_gives_the_output_of_the_method_at_sizes_and_strengths_that_were_not_traced(
    model: str, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    with no_network_in_a_cycle():
        file = export(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(file))
    for size, strength in CASES:
        inputs, output = inputs_and_output(model, size, strength)
        (stylized,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        assert np.abs(stylized - output.numpy()).max() < 1e-4
    if model == "micro":
        assert file.stat().st_size < 1_500_000  # weights in fp16; 3.5 MB before
        assert b"site-packages" not in file.read_bytes()
    _run_example(tmp_path, style="-" if session.get_inputs()[1:] == [] else "content.jpg")


@pytest.mark.slow
def test_the_example_gives_a_model_for_one_style_its_strength(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    export("micro-mosaic", tmp_path / "model.onnx")
    outputs = [_run_example(tmp_path, "-", "--strength", strength) for strength in ("0", "50")]
    assert np.abs(outputs[0] - outputs[1]).mean() > 0.05


def _run_example(folder: Path, style: str, *words: str) -> np.ndarray:
    """Return the output of the example script for a photograph of a phone, which is stored turned by 90 degrees."""
    exif = PILImage.Exif()
    exif[ExifTags.Base.Orientation] = 6
    colors = np.random.default_rng(0).integers(0, 255, (60, 81, 3), np.uint8)
    PILImage.fromarray(colors).save(folder / "content.jpg", exif=exif)
    script = ROOT / "examples" / "stylize_onnx.py"  # without torch
    given = ["model.onnx", "content.jpg", style, "out.png", "--size", "81", *words]
    subprocess.run([sys.executable, str(script), *given], cwd=folder, check=True)
    output = load_image(folder / "out.png")
    assert output.shape == (1, 3, 81, 60)
    return output.numpy()


def test_an_export_that_cannot_be_written_keeps_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr("impasto.pipeline.onnx.onnx_bytes", network_in_a_cycle)
    monkeypatch.setattr("impasto.pipeline.onnx.write_atomically", fill)
    with no_network_in_a_cycle(), pytest.raises(ValueError, match="the disk is full"):
        export("johnson-mosaic", tmp_path / "model.onnx")


def network_in_a_cycle(network: Any, *_: object) -> bytes:
    """Leave a network in a reference cycle, as `torch.export` does."""
    network.itself = [network]
    return b""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "wct", "-o", "m.onnx"], "unknown model 'wct'; choose from adain, micro, micro-"),
        (["export", "micro", "-o", "m.pt"], "a model is written as .onnx"),
        (["export", "micro"], "the output is missing; give -o FILE.onnx"),
        (["export", "-o", "m.onnx"], "give one MODEL of"),
    ],
)
def test_a_wrong_request_is_a_one_line_error(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
