"""Test that no call keeps its networks: a loop over many images needs the memory of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_studio import run_small_experiment
from support import TIMEOUT, no_network_in_a_cycle, sample, write_pictures

import impasto
from impasto.methods import METHODS
from impasto.metrics.evaluate import evaluate
from impasto.studio.history import History
from impasto.studio.queue import JobQueue
from impasto.studio.requests import StylizeRequest
from impasto.training import train
from impasto.training.recipes import RECIPES

TINY: dict[str, Any] = {"backbone": "tiny", "size": 32, "steps": 2}
LAYERS: dict[str, Any] = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1"]}  # need small margins of tiles
QUICK: dict[str, Any] = {"steps": 2, "batch": 2, "crop": 32, "device": "cpu", "precision": "fp32"}


def known_settings(method: str, **settings: Any) -> dict[str, Any]:
    """Return the settings that a method has."""
    names = METHODS[method].Config.__dataclass_fields__
    return {name: value for name, value in settings.items() if name in names}


@pytest.mark.parametrize("method", list(METHODS))
def test_a_call_leaves_no_network_in_a_reference_cycle(method: str) -> None:
    more = known_settings(
        method, **TINY, strength=30, tile=16, **LAYERS, polish=0, near_scales=2, positions=16, rematch_steps=1
    )
    with no_network_in_a_cycle():
        impasto.stylize("woodcut", "mosaic", method, **more)


def test_no_entry_point_leaves_a_network_in_a_reference_cycle(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 2)
    with no_network_in_a_cycle():
        impasto.Stylizer("mosaic", **TINY).stylize("woodcut", on_step=lambda _: False)
    with no_network_in_a_cycle():
        impasto.stylize("woodcut", "mosaic", **TINY, start="micro").save(tmp_path / "out.png")
        impasto.replay(tmp_path / "out.png")
    with no_network_in_a_cycle():
        impasto.stylize_folder(photos, "mosaic", tmp_path / "out", **TINY)
    with no_network_in_a_cycle():
        evaluate(sample(size=32), sample(size=32), sample(size=32), backbone="tiny")
    with no_network_in_a_cycle():
        run_small_experiment(tmp_path / "experiment")


def test_a_job_of_the_studio_leaves_no_network_in_a_reference_cycle(tmp_path: Path) -> None:
    with no_network_in_a_cycle():
        queue = JobQueue(History(tmp_path))
        key = queue.submit(StylizeRequest(content="woodcut", styles=("mosaic",), settings=TINY))
        assert queue.wait(key, TIMEOUT).status == "done"
        queue.close()


@pytest.mark.parametrize("recipe", ["johnson", "micro"])
def test_a_training_leaves_no_network_in_a_reference_cycle(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recipe in RECIPES
    monkeypatch.setattr("impasto.training.recipes.johnson.SHEET", 32)
    monkeypatch.setattr("impasto.training.recipes.base.SHEET", 32)
    photos, paintings = (write_pictures(tmp_path / kind, 2) for kind in ("photos", "paintings"))
    needs = {"johnson": {"style": "inkwash", "style_size": 64, "backbone": "tiny"}, "micro": {"paintings": paintings}}
    with no_network_in_a_cycle():
        train(recipe, output=tmp_path / "run", photos=photos, **QUICK, **needs[recipe])  # type: ignore[arg-type]
