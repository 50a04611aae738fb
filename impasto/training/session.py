"""A leg of a training: from where the run stands to the end, or to where it is stopped, and all it leaves behind."""

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
from impasto.training.loop import NotFiniteError, Run
from impasto.training.snapshots import Views
from impasto.types import Step

Stopped = Literal["finished", "minutes", "cancelled"]
"""Why a leg ended: all steps done, the time was over, or the listener said so."""


OnStep = Callable[[Step], bool | None]
"""Called with every step of a training; returning False stops it."""


class Leg:
    """Trains, saves now and then, and has the recipe export; only the first of several processes writes."""

    def __init__(self, run: Run, checkpoint: Path, identity: dict[str, Any], save_every: float) -> None:
        """`save_every` is in seconds; `identity` is what must be the same for the run to go on."""
        self._run, self._checkpoint, self._identity, self._pause = run, checkpoint, identity, save_every
        self._views = Views(run, checkpoint.parent, save_every) if run.processes.is_first else None
        self._saved = time.monotonic()

    def train(self, data: Dataset, minutes: float | None, on_step: OnStep | None) -> Stopped:
        """Trains until the end, the time is over or the listener says stop; then the checkpoint is written.

        Raises `ValueError`, in one line, where a loss is not finite; the last checkpoint stays.
        """
        run, began = self._run, time.monotonic()
        try:
            for index in run.go(data):
                step = Step(index, run.losses, run.seconds, evaluations=index, total=run.config.steps)
                is_cancelled = on_step is not None and on_step(step) is False
                is_late = minutes is not None and time.monotonic() - began >= 60 * minutes
                verdict = run.processes.highest(2 if is_cancelled else int(is_late), run.device)
                if verdict or index == step.total:
                    self._save(last=True)
                    return "finished" if index == step.total else "cancelled" if verdict == 2 else "minutes"
                if time.monotonic() - self._saved >= self._pause:
                    self._save()
        except NotFiniteError as error:
            kept = f"{str(self._checkpoint)!r} is from before" if self._checkpoint.exists() else "nothing was written"
            raise ValueError(f"{error}; {kept}; try a lower lr in another folder") from error
        return "finished"  # it was so already

    def export(self) -> Path:
        """Has the recipe write what is shipped, with what one must know of its making."""
        run = self._run
        settings = {  # files by name alone: whose machine it was is nobody's business
            name: Path(value).name if isinstance(value, str) else value
            for name, value in self._identity["settings"].items()
        }
        facts = {
            "recipe": self._identity["recipe"],
            "settings": json.dumps(settings),
            "pictures": json.dumps(self._identity["pictures"]),
            "steps": str(run.step),
            "losses": json.dumps(run.curve.points[-1].losses if run.curve.points else run.losses),
            "impasto": version("impasto"),
            "torch": str(torch.__version__),
        }
        return run.recipe.export(copy.deepcopy(run.averaged).cpu(), self._checkpoint.parent, facts)

    def _save(self, *, last: bool = False) -> None:
        if self._views is None:
            return
        write_checkpoint(self._checkpoint, {"identity": self._identity, **self._run.state()})
        self._views.refresh(now=last)
        self._saved = time.monotonic()
