"""Test the setting `polish`: final steps with the losses of VGG-19."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from impasto import Step, stylize

QUICK = {"size": 48, "backbone": "tiny"}


@pytest.fixture
def with_vgg(random_weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(random_weights("vgg19-caffe")))


@pytest.mark.usefixtures("with_vgg")
def test_the_final_steps_start_from_the_best_image_with_the_losses_of_vgg() -> None:
    steps: list[Step] = []
    result = stylize("woodcut", "mosaic", **QUICK, on_step=steps.append, steps=6, polish=4)
    alone = stylize("woodcut", "mosaic", size=48, backbone="vgg19-caffe", steps=1)

    assert [step.index for step in steps] == list(range(1, 11))
    assert {step.total for step in steps} == {10}
    assert [step.stage for step in steps] == [0] * 6 + [1] * 4
    assert result.steps == 10
    assert result.settings["polish"] == 4
    assert result.best > 6  # although the losses of the two networks have different scales
    ratio = steps[6].losses["content/relu4_2"] / max(steps[5].losses["content/relu4_2"], 1e-12)
    assert not 0.99 < ratio < 1.01
    assert set(steps[6].losses) == set(alone.losses)


@pytest.mark.usefixtures("with_vgg")
def test_there_are_no_final_steps_if_the_backbone_is_vgg() -> None:
    result = stylize("woodcut", "mosaic", size=48, backbone="vgg19-caffe", steps=2, polish=3)
    assert result.steps == 2


def test_missing_weights_are_an_error_before_the_first_step() -> None:
    steps: list[Step] = []
    with pytest.raises(ValueError, match="vgg19-caffe"):
        stylize("woodcut", "mosaic", **QUICK, on_step=steps.append, polish=3)
    assert steps == []
