"""Record the losses of a long training as a short curve of means over windows of steps."""

from __future__ import annotations

from typing import Any

from impasto.types import Step

POINTS = 500
"""Maximum number of points on the curve of a training."""


class Curve:
    """Collects the losses of every step into at most `POINTS` points."""

    def __init__(self, steps: int, crop: int) -> None:
        """Start an empty curve.

        Args:
            steps: number of steps of the whole training.
            crop: side of the training crops in pixels.
        """
        self.points: list[Step] = []
        self._window = -(-steps // POINTS)
        self._crop = crop
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, step: int, seconds: float, losses: dict[str, float]) -> None:
        """Add the losses of the next step; the last step of a window adds a point with their means."""
        self._sums = {name: self._sums.get(name, 0.0) + loss for name, loss in losses.items()}
        self._count += 1
        if self._count == self._window:
            means = {name: total / self._count for name, total in self._sums.items()}
            self.points.append(Step(step, means, seconds, step, (self._crop, self._crop)))
            self._sums, self._count = {}, 0

    def state(self) -> dict[str, Any]:
        """Return the curve as plain values, for a checkpoint."""
        return {"points": [point.to_json() for point in self.points], "sums": self._sums, "count": self._count}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.points = [Step.from_json(point) for point in state["points"]]
        self._sums, self._count = dict(state["sums"]), int(state["count"])
