"""Train a network by a recipe, or resume a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from impasto.config import check_settings
from impasto.devices import pick_device, torch_defaults
from impasto.files import check_unused, check_writable
from impasto.training.checkpoint import read_checkpoint, run_identity
from impasto.training.datasets import Dataset
from impasto.training.distributed import Processes, local_device, process_group, this_process
from impasto.training.loop import TrainingRun
from impasto.training.recipes import RECIPES, Recipe, TrainingConfig
from impasto.training.session import OnStep, Stopped, TrainingSession
from impasto.training.snapshots import CURVES, SHEET

CHECKPOINT = "checkpoint.pt"
"""Name of the checkpoint in the output folder."""


@dataclass(frozen=True)
class Trained:
    """The outcome of a session of a training."""

    output: Path | None
    """File with the averaged weights at the end of the session; None in all processes but the first."""
    recipe: str
    steps: int
    """Steps done so far, in all sessions."""
    total: int
    """Steps of the whole training."""
    seconds: float
    """Wall time of the steps, in all sessions."""
    losses: dict[str, float]
    """Terms of the last step."""
    stopped: Stopped


def train(
    recipe: str,
    *,
    output: str | Path,
    photos: str | Path | None = None,
    paintings: str | Path | None = None,
    minutes: float | None = None,
    save_every: float = 60.0,
    on_step: OnStep | None = None,
    **settings: Any,
) -> Trained:
    """Train by a recipe, or resume the training in the folder `output`.

    Args:
        recipe: name of a recipe.
        output: folder of the checkpoint, the curves, the contact sheet and the exported weights.
        photos: folder of photographs, used as content images; at least one of the two folders is needed.
        paintings: folder of paintings, used as style images.
        minutes: time limit of this session, which ends with a checkpoint; None: no limit.
        save_every: seconds between two checkpoints.
        on_step: called with every step; returning False ends the session with a checkpoint.
        settings: settings of the recipe.

    Raises:
        ValueError: in one line, for wrong arguments, other files in `output`, or a loss that is not finite.
    """
    kind = RECIPES[recipe]
    config = check_settings(kind.Config, recipe, settings)
    device = pick_device(local_device(config.device))
    this_process().samples(config.batch)
    data = _open_data(Path(output), photos, paintings, config)
    path, identity = Path(output) / CHECKPOINT, run_identity(recipe, config, data)
    state = _read_state(path, identity)
    with process_group(device) as processes, torch_defaults(config.seed, device):
        run = _start(kind(config), data, device, processes, state)
        check_writable(path)
        session = TrainingSession(run, path, identity, save_every)
        stopped = session.train(data, minutes, on_step)
        exported = session.export() if processes.is_first else None
    return Trained(exported, recipe, run.step, config.steps, run.seconds, run.losses, stopped)


def _open_data(
    output: Path, photos: str | Path | None, paintings: str | Path | None, config: TrainingConfig
) -> Dataset:
    """Return the training data, after a check that no image of the training would become a part of them."""
    target = output.resolve()
    for kind, folder in (("photos", photos), ("paintings", paintings)):
        if folder is not None and Path(folder).resolve() in (target, *target.parents):
            text = f"{str(output)!r} is in the folder of the {kind}, so that its images would become training data"
            raise ValueError(f"output: {text}; give another folder")
    return Dataset(photos, paintings, config.crop, config.seed, batch=config.batch)


def _read_state(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Return the checkpoint, or None for a new training, whose folder must not have files that it would replace.

    A recipe names its weights itself, so that no weights at all may be there.
    """
    state = read_checkpoint(path, identity)
    if state is None:
        weights = sorted(path.parent.glob("*.safetensors"))
        check_unused([*(path.parent / name for name in (*CURVES, SHEET)), *weights], "a new training")
    return state


def _start(
    recipe: Recipe, data: Dataset, device: torch.device, processes: Processes, state: dict[str, Any] | None
) -> TrainingRun:
    """Return a new training, or that of a checkpoint."""
    network = recipe.prepare(data) if state is None and processes.is_first else recipe.network()
    run = TrainingRun(recipe, network, device, processes)
    if state is not None:
        run.load(state)
    return run
