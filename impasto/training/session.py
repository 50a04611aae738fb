"""Run one session of a training: from its current step until it is finished or stopped."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from impasto.training.checkpoint import write_checkpoint
from impasto.training.datasets import Dataset
from impasto.training.loop import NotFiniteError, TrainingRun
from impasto.training.snapshots import Snapshots
from impasto.types import Step, is_stopped_by

Stopped = Literal["finished", "minutes", "cancelled"]
"""Why a session ended: all steps done, time limit reached, or stopped by the listener."""
OnStep = Callable[[Step], object]
"""Called with every step of a training; returning False stops it."""


class TrainingSession:
    """Trains, writes checkpoints and snapshots, and exports; only the first of several processes writes."""

    def __init__(self, run: TrainingRun, checkpoint: Path, identity: dict[str, Any], save_every: float) -> None:
        """Prepare a session.

        Args:
            run: the training.
            checkpoint: path of the checkpoint.
            identity: what must be the same for the training to resume.
            save_every: seconds between two checkpoints.
        """
        self._run, self._checkpoint, self._identity, self._interval = run, checkpoint, identity, save_every
        self._snapshots = Snapshots(run, checkpoint.parent, save_every) if run.processes.is_first else None
        self._saved = time.monotonic()

    def train(self, data: Dataset, minutes: float | None, on_step: OnStep | None) -> Stopped:
        """Train until the last step, the time limit or a stop by the listener, then write the checkpoint.

        Args:
            data: the training data.
            minutes: time limit of this session; None: no limit.
            on_step: called with every step; returning False stops the session.

        Raises:
            ValueError: in one line, if a loss is not finite; the last checkpoint remains.
        """
        run, began = self._run, time.monotonic()
        try:
            for index in run.train(data):
                step = Step(index, run.losses, run.seconds, evaluations=index, total=run.config.steps)
                is_cancelled = is_stopped_by(on_step, step)
                is_late = minutes is not None and time.monotonic() - began >= 60 * minutes
                stop = run.processes.maximum(2 if is_cancelled else int(is_late), run.device)
                if stop or index == step.total:
                    self._save(last=True)
                    return "finished" if index == step.total else "cancelled" if stop == 2 else "minutes"
                if time.monotonic() - self._saved >= self._interval:
                    self._save()
        except NotFiniteError as error:
            saved = f"{str(self._checkpoint)!r} is from before" if self._checkpoint.exists() else "nothing was written"
            raise ValueError(f"{error}; {saved}; try a lower lr in another folder") from error
        return "finished"  # all steps were done in an earlier session

    def export(self) -> Path:
        """Have the recipe export the averaged weights, with a description of the training as metadata."""
        run = self._run
        settings = {  # names of files without their folders, which are private
            name: Path(value).name if isinstance(value, str) else value
            for name, value in self._identity["settings"].items()
        }
        metadata = {
            "recipe": self._identity["recipe"],
            "settings": json.dumps(settings),
            "pictures": json.dumps(self._identity["pictures"]),
            "steps": str(run.step),
            "losses": json.dumps(run.curve.points[-1].losses if run.curve.points else run.losses),
            "impasto": version("impasto"),
            "torch": str(torch.__version__),
        }
        return run.recipe.export(copy.deepcopy(run.averaged).cpu(), self._checkpoint.parent, metadata)

    def _save(self, *, last: bool = False) -> None:
        if self._snapshots is None:
            return
        write_checkpoint(self._checkpoint, {"identity": self._identity, **self._run.state()})
        self._snapshots.refresh(now=last)
        self._saved = time.monotonic()
