"""Write loss curves and a contact sheet during a training."""

from __future__ import annotations

import importlib.util
import time
import warnings
from pathlib import Path

import torch

from impasto.curves import save_curves
from impasto.images import save_image
from impasto.training.loop import TrainingRun

CURVES, SHEET = ("curve.json", "curve.svg"), "sheet.png"
"""Names of the files in the folder of a training."""


class Snapshots:
    """Writes `curve.json`, `curve.svg` and `sheet.png` repeatedly, in at most a tenth of the time."""

    def __init__(self, run: TrainingRun, folder: Path, interval: float) -> None:
        """Start the timer; warn if matplotlib, which `curve.svg` needs, is not installed.

        Args:
            run: the training.
            folder: where to write.
            interval: minimum number of seconds between two snapshots.
        """
        self._run, self._folder, self._interval = run, folder, interval
        self._curves = list(CURVES)
        if importlib.util.find_spec("matplotlib") is None:
            self._curves.remove("curve.svg")
            warnings.warn("curve.svg is not written; it needs matplotlib: pip install impasto[report]", stacklevel=2)
        self._next = time.monotonic() + interval

    def refresh(self, *, now: bool = False) -> None:
        """Write the files if the interval is over, or `now`."""
        began = time.monotonic()
        if began < self._next and not now:
            return
        for name in self._curves:
            save_curves(self._run.curve.points, self._folder / name)
        with torch.no_grad():
            sheet = self._run.recipe.sheet(self._run.averaged)
        if sheet is not None:
            save_image(sheet, self._folder / SHEET)
        ended = time.monotonic()
        self._next = ended + max(self._interval, 10 * (ended - began))
