"""Training: one loop for everything that learns here. `train` is the door; a recipe says what is learned.

Around it: `loop` (the steps), `leg` (from a start to a stop), `checkpoint` (a run on disk), `distributed` (several
processes), `curve` and `views` (what one looks at meanwhile).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from impasto.config import check_settings
from impasto.devices import pick_device
from impasto.files import check_writable
from impasto.training.checkpoint import identity, read_checkpoint
from impasto.training.datasets import Dataset
from impasto.training.distributed import Processes, joined, own_device, this_process
from impasto.training.loop import Run
from impasto.training.recipes import RECIPES, Recipe
from impasto.training.session import Leg, OnStep, Stopped

CHECKPOINT = "checkpoint.pt"
"""The file in the output folder that a run goes on from."""


@dataclass(frozen=True)
class Trained:
    """What a leg of a training came to."""

    output: Path | None
    """What the recipe exported of the averaged weights, at the end of the leg, in the first process."""
    recipe: str
    steps: int
    """Steps done so far, in all legs."""
    total: int
    """Steps of the whole run."""
    seconds: float
    """Wall time of these steps."""
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
    """Trains by a recipe into the folder `output`, or goes on with the run that lies there.

    Args:
        output: gets the checkpoint, the curves, the sheet and what the recipe exports at the end.
        photos: a folder of photographs; likewise `paintings`. At least one of them.
        minutes: stop cleanly after so long, with a checkpoint; None trains to the end.
        save_every: seconds between two checkpoints.
        on_step: gets every step; returning False stops after it, with a checkpoint.
        settings: those of the recipe's configuration.

    Raises:
        ValueError: in one line, for a setting or a folder that is wrong, for another run in `output`, and for a loss
            that is not finite.
    """
    kind = RECIPES[recipe]
    config = check_settings(kind.Config, recipe, settings)
    device = pick_device(own_device(config.device))
    this_process().share(config.batch)
    data = Dataset(photos, paintings, config.crop, config.seed, batch=config.batch)
    path, wanted = Path(output) / CHECKPOINT, identity(recipe, config, data)
    state = read_checkpoint(path, wanted)
    with joined(device) as processes, torch.random.fork_rng([device] if device.type == "cuda" else []):
        run = _begin(kind(config), data, device, processes, state)
        check_writable(path)
        leg = Leg(run, path, wanted, save_every)
        stopped = leg.train(data, minutes, on_step)
        exported = leg.export() if processes.is_first else None
    return Trained(exported, recipe, run.step, config.steps, run.seconds, run.losses, stopped)


def _begin(
    recipe: Recipe, data: Dataset, device: torch.device, processes: Processes, state: dict[str, Any] | None
) -> Run:
    """A new run, or the one of a checkpoint."""
    torch.manual_seed(recipe.config.seed)
    network = recipe.prepare(data) if state is None and processes.is_first else recipe.network()
    run = Run(recipe, network, device, processes)
    if state is not None:
        run.load(state)
    return run
