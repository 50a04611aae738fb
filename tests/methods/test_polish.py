"""Polishing: another network finishes what one has painted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from impasto import Step, stylize


def paint(listen: Callable[[Step], bool | None] | None = None, **settings: object):
    return stylize("woodcut", "mosaic", size=48, on_step=listen, backbone="tiny", **settings)  # type: ignore[arg-type]


@pytest.fixture
def with_vgg(random_weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(random_weights("vgg19-caffe")))


@pytest.mark.usefixtures("with_vgg")
def test_polishing_goes_on_from_the_best_picture_with_the_losses_of_vgg() -> None:
    steps: list[Step] = []
    result = paint(lambda step: bool(steps.append(step)) or True, steps=6, polish=4)
    alone = stylize("woodcut", "mosaic", size=48, backbone="vgg19-caffe", steps=1)

    assert [step.index for step in steps] == list(range(1, 11))
    assert {step.total for step in steps} == {10}
    assert [step.stage for step in steps] == [0] * 6 + [1] * 4
    assert result.steps == 10
    assert result.settings["polish"] == 4
    assert result.best > 6  # although the other network's losses were on another scale
    ratio = steps[6].losses["content/relu4_2"] / max(steps[5].losses["content/relu4_2"], 1e-12)
    assert not 0.99 < ratio < 1.01
    assert set(steps[6].losses) == set(alone.losses)


@pytest.mark.usefixtures("with_vgg")
def test_there_is_nothing_to_polish_where_vgg_paints_already() -> None:
    result = stylize("woodcut", "mosaic", size=48, backbone="vgg19-caffe", steps=2, polish=3)
    assert result.steps == 2


def test_missing_weights_are_told_before_anything_is_painted() -> None:
    steps: list[Step] = []
    with pytest.raises(ValueError, match="vgg19-caffe"):
        paint(lambda step: bool(steps.append(step)) or True, polish=3)
    assert steps == []
