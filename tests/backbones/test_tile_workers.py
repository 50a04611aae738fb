"""Tiles that worker processes compute: the values of one process bit for bit, also after a worker was killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from support import noise, start_forks
from torch import Tensor

from impasto.backbones import Backbone, load_backbone
from impasto.backbones.tile_workers import TileWorkers
from impasto.backbones.tiling import LayerStatistic
from impasto.cli import main
from impasto.executors import LocalProcesses
from impasto.images import load_image
from impasto.methods import METHODS, Method, configure, optimizing
from impasto.methods.matching import Matching
from impasto.objectives.matching import MatchingObjective, ObjectiveSettings, style_losses
from impasto.optim.descent import evaluate
from impasto.pipeline import memory
from impasto.pipeline.trial import WORKER_MEMORY, CountedTrial, count_trial
from impasto.regions.subject import Region, Style, Subject

SHAPE = (61, 74)
SETTINGS: dict[str, Any] = {"content_layers": ("relu3_1",), "style_layers": ("relu1_1", "relu3_1"), "tv_weight": 1.0}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Compute with one thread, as each of the workers does."""
    start_forks()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def workers() -> Iterator[TileWorkers]:
    with TileWorkers(LocalProcesses(), 2) as found:
        yield found


def load(dtype: torch.dtype = torch.float32) -> Backbone:
    return load_backbone("tiny", dtype=dtype)


def subject() -> Subject:
    """Return a subject with two regions that have soft borders."""
    styles = [Style(noise(1, 3, 50, 70, seed=seed), 1.0) for seed in (2, 3)]
    ramp = torch.linspace(-1, 2, SHAPE[1]).clamp(0, 1).expand(1, 1, *SHAPE)
    regions = (Region((styles[0],), "left", ramp), Region((styles[1],), "right", 1 - ramp))
    return Subject(noise(1, 3, *SHAPE, seed=1), regions)


def loss_and_gradient(backbone: Backbone, loss: str) -> tuple[dict[str, float], Tensor]:
    objective = MatchingObjective(backbone, subject(), ObjectiveSettings(style_loss=loss, **SETTINGS))
    return evaluate(objective, noise(1, 3, *SHAPE, seed=5))


def check_same(workers: TileWorkers, loss: str, dtype: torch.dtype = torch.float32) -> None:
    backbone = load(dtype)
    losses, gradient = loss_and_gradient(backbone.in_tiles(32), loss)
    found = loss_and_gradient(backbone.in_tiles(32, workers.compute(partial(load, dtype))), loss)
    assert found[0] == losses
    assert found[1].equal(gradient)


def die(features: Tensor) -> Tensor:
    os.kill(os.getpid(), signal.SIGKILL)
    return features


@pytest.mark.parametrize("loss", [loss for loss in style_losses() if loss != "patches"])
def test_losses_and_gradient_are_those_of_one_process_bit_for_bit(loss: str, workers: TileWorkers) -> None:
    check_same(workers, loss)


def test_each_task_is_computed_with_its_network(workers: TileWorkers) -> None:
    check_same(workers, "gram", torch.bfloat16)


def test_a_worker_that_was_killed_is_replaced_and_the_values_are_the_same(workers: TileWorkers) -> None:
    check_same(workers, "gram")
    children = multiprocessing.active_children()
    assert len(children) == 2
    assert children[0].pid is not None
    os.kill(children[0].pid, signal.SIGKILL)
    check_same(workers, "gram")


def test_a_tile_that_ends_every_worker_is_a_one_line_error() -> None:
    image = noise(1, 3, *SHAPE, seed=5)
    with TileWorkers(LocalProcesses(), 1) as workers:
        backbone = load().in_tiles(32, workers.compute(load))
        with pytest.raises(ValueError, match="too little memory: give fewer workers, or smaller tiles") as caught:
            backbone.statistics(image, [LayerStatistic("relu1_1", die, is_mean=True)])
    assert "\n" not in str(caught.value)


def test_the_command_with_workers_writes_the_pixels_of_one_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: set[int] = set()
    carry_out = TileWorkers._carry_out

    def counted(self: TileWorkers, load: bytes, tasks: Any) -> Any:
        counts.add(self.count)
        return carry_out(self, load, tasks)

    monkeypatch.setattr(TileWorkers, "_carry_out", counted)
    words = ["stylize", "woodcut", "mosaic", "--backbone", "tiny", "--size", "90", "--steps", "6", "--tile", "48"]
    words += ["--content-layers", "relu3_1", "--style-layers", "relu1_1", "relu3_1"]
    for workers in ("1", "2"):
        assert main([*words, "--workers", workers, "-o", str(tmp_path / f"{workers}.png")]) == 0
    one, two = (load_image(tmp_path / f"{workers}.png") for workers in ("1", "2"))
    assert two.equal(one)
    assert counts == {2}
    capsys.readouterr()
    peaks = []
    for workers in ("1", "2"):
        assert main([*words, "--workers", workers, "--dry-run", "--json"]) == 0
        peaks.append(json.loads(capsys.readouterr().out.splitlines()[-1])["peak_memory_mib"])
    assert peaks[1] > peaks[0] + 2 * WORKER_MEMORY / 2**20


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("tile", ["auto", "1024"])
def test_an_image_that_is_one_tile_is_computed_in_one_process_and_a_line_says_so(
    tile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = multiprocessing.active_children()
    words = ["stylize", "woodcut", "mosaic", "--backbone", "tiny", "--size", "64", "--steps", "2", "--tile", tile]
    assert main([*words, "--workers", "2", "-o", str(tmp_path / "out.png")]) == 0
    assert "workers: the run computes 64x51 pixels without tiles, in one process\n" in capsys.readouterr().err
    assert multiprocessing.active_children() == before


def test_the_plan_counts_the_memory_of_the_workers_and_divides_the_time_of_the_tiles() -> None:
    one, two = counted(), counted(2)
    assert 0.8 * one.peak < two.peak - 2 * WORKER_MEMORY < 2.5 * one.peak
    assert two.stages[0].step < 0.6 * one.stages[0].step


def in_workers(workers: int, **settings: Any) -> Method:
    settings = {"backbone": "tiny", "size": 200, "steps": 2, "tile": 96, "loss_scales": 1, **settings}
    method = METHODS["gatys"](configure("gatys", settings))
    assert isinstance(method, Matching)
    if workers > 1:
        return method.in_workers(TileWorkers(LocalProcesses(), workers))
    assert method.networks  # reads them, as workers do
    return method


def test_the_networks_of_the_workers_are_counted_in_a_run_that_continues() -> None:
    resumed = in_workers(2)  # an interrupted run has a side of the tiles, so that `resolved` reads no network
    assert resumed.loaded == ["networks"]


@cache
def counted(workers: int = 1, **settings: Any) -> CountedTrial:
    with pytest.MonkeyPatch.context() as many_cores:
        many_cores.setattr("impasto.executors.processes.available_cores", lambda: 64)
        found = count_trial(in_workers(workers, **settings), subject(), 2)
    assert found is not None
    return found


def test_the_plan_counts_no_more_workers_than_there_are_tiles() -> None:
    assert counted(64).local_workers == 6
    assert counted(64) == counted(6)
    assert counted(3).stages == counted(4).stages  # twice three tiles at a time, or four and two
    assert counted(6).stages[0].step < counted(4).stages[0].step < counted(2).stages[0].step
    assert counted(64, size=64) == counted(size=64)  # one tile, which no worker computes


def refusal(**settings: Any) -> str:
    """Return what a refusal of a run advises; nothing if the run fits."""
    workers = settings.pop("workers", 1)
    settings = {"size": 200, "backbone": "tiny", "steps": 2, "loss_scales": 1, **SETTINGS, **settings}
    method = METHODS["gatys"](configure("gatys", settings))
    if workers > 1:
        method = method.in_workers(TileWorkers(LocalProcesses(), workers))
    try:
        memory.check_memory("gatys", method.resolved(subject().content), subject())
    except ValueError as error:
        return str(error).partition("available; ")[2]
    return ""


@pytest.mark.parametrize(("free", "tile"), [(16, None), (28, None), (24, 64)])
def test_each_change_that_a_refusal_names_is_enough(
    free: int, tile: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.pipeline.trial.WORKER_MEMORY", 2**22)
    for name, value in (("SMALLEST_TILE", 32), ("TILE_STEP", 16), ("MARGINS", 8), ("TILE_FRACTION", 0.5)):
        monkeypatch.setattr(optimizing, name, value)
    for module in (memory, optimizing):
        monkeypatch.setattr(module, "free_memory", lambda device: (memory.CODE_MIB + free) * memory.MIB)
    advice = refusal(tile=tile, workers=8)
    assert "workers" in advice
    changes = re.findall(r"(leave out --workers|(?:--(?:workers|size|tile) \d+ ?)+)", advice)
    for change in changes:
        words = "--workers 1" if change.startswith("leave") else change
        given = {name: int(value) for name, value in re.findall(r"--(\w+) (\d+)", words)}
        assert refusal(**{"tile": tile, "workers": 8, **given}) == "", given
