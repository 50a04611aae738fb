"""Test what a result shows and records."""

import io
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest
import torch

import impasto
from impasto.pipeline.result import Result


@pytest.fixture(scope="module")
def result() -> Result:
    return impasto.stylize("woodcut", "mosaic", backbone="tiny", size=32, steps=2, seed=3, device="cpu")


@pytest.mark.parametrize("with_alpha", [False, True])
def test_a_notebook_shows_the_saved_pixels(result: Result, with_alpha: bool, tmp_path: Path) -> None:
    if with_alpha:
        result = replace(result, alpha=torch.linspace(0, 1, 32).expand(1, 1, result.image.shape[-2], 32))
    with (
        PIL.Image.open(result.save(tmp_path / "out.png")) as saved,
        PIL.Image.open(io.BytesIO(result._repr_png_())) as shown,
    ):
        assert shown.format == "PNG"
        assert shown.mode == ("RGBA" if with_alpha else "RGB")
        assert shown.tobytes() == saved.tobytes()


def test_the_seed_steps_and_evaluations_are_those_of_the_record(result: Result) -> None:
    record = result.record()
    assert (result.seed, result.steps) == (3, 2)
    assert (record["seed"], record["steps"], record["evaluations"]) == (result.seed, result.steps, result.evaluations)
    assert [step["step"] for step in record["curve"]] == [1, 2]
    assert "curve" not in result.record(curve=False)


@pytest.mark.parametrize("with_alpha", [False, True])
def test_a_result_converts_to_a_pil_image_with_the_saved_pixels(
    result: Result, with_alpha: bool, tmp_path: Path
) -> None:
    if with_alpha:
        result = replace(result, alpha=torch.linspace(0, 1, 32).expand(1, 1, result.image.shape[-2], 32))
    with PIL.Image.open(result.save(tmp_path / "out.png")) as saved:
        assert result.to_pil().mode == ("RGBA" if with_alpha else "RGB")
        assert result.to_pil().tobytes() == saved.tobytes()


def test_results_are_equal_only_to_themselves_and_can_be_keys(result: Result) -> None:
    other = replace(result)
    assert result == result
    assert result != other
    assert len({result, other, result}) == 2
    step = result.curve[0]
    assert {step: 1}[replace(step)] == 1
