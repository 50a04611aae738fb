"""What one looks at while something learns: its loss curves and a contact sheet."""

from __future__ import annotations

import importlib.util
import time
import warnings
from pathlib import Path

import torch

from impasto.curves import save_curves
from impasto.images import save_image
from impasto.training.loop import Run


class Views:
    """Writes `curve.json`, `curve.svg` and `sheet.png` again and again, which takes a tenth of the time at most."""

    def __init__(self, run: Run, folder: Path, pause: float) -> None:
        """`pause` is the least number of seconds between two times. Warns where there will be no `curve.svg`."""
        self._run, self._folder, self._pause = run, folder, pause
        self._curves = ["curve.json", "curve.svg"]
        if importlib.util.find_spec("matplotlib") is None:
            self._curves.remove("curve.svg")
            warnings.warn("there will be no curve.svg: it needs matplotlib: pip install impasto[report]", stacklevel=2)
        self._next = time.monotonic() + pause

    def refresh(self, *, now: bool = False) -> None:
        """Writes them if it is time, or `now`."""
        began = time.monotonic()
        if began < self._next and not now:
            return
        for name in self._curves:
            save_curves(self._run.curve.points, self._folder / name)
        with torch.no_grad():
            sheet = self._run.recipe.sheet(self._run.averaged)
        if sheet is not None:
            save_image(sheet, self._folder / "sheet.png")
        ended = time.monotonic()
        self._next = ended + max(self._pause, 10 * (ended - began))
