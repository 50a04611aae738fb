"""A job: an order on its way to a picture, and what can be seen of it at any moment."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

from impasto.studio.previews import PREVIEW, jpeg
from impasto.studio.requests import Order
from impasto.types import Step

Status = Literal["waiting", "painting", "done", "stopped", "failed", "cancelled"]
"""Stopped keeps the best picture; cancelled never began."""
ENDED = ("done", "stopped", "failed", "cancelled")
REFRESH = 0.4
"""Seconds between two previews, at least."""

Losses = dict[str, float]


@dataclass(frozen=True)
class View:
    """What one sees of a job at one moment."""

    key: str
    order: Order
    status: Status
    place: int
    """How many jobs are painted before it; 0 where it does not wait."""
    error: str | None
    step: int
    total: int | None
    seconds: float
    left: float | None
    """Seconds left at the rate of the last steps, where the number of steps is known."""
    version: int
    """Grows with every preview."""
    has_preview: bool
    curve: tuple[tuple[int, Losses], ...]
    """The weighted losses by their kind at every step."""

    @property
    def is_live(self) -> bool:
        """Whether it still waits or paints."""
        return self.status not in ENDED


class Job:
    """One painting in the studio. Only its worker writes to it, but for the wish to stop."""

    def __init__(self, key: str, order: Order, after: str | None = None) -> None:
        self.key, self.order, self.after = key, order, after
        self.status: Status = "waiting"
        self.error: str | None = None
        self.asked_to_stop = False
        self.ended = threading.Event()
        self.preview: bytes | None = None
        self._version = 0
        self._next = 0.0
        self._steps: deque[tuple[int, float]] = deque(maxlen=20)
        self._total: int | None = None
        self._curve: list[tuple[int, Losses]] = []

    def on_step(self, step: Step) -> bool:
        """Listens to the painting; stops it where that was asked for."""
        self.status = "painting"
        self._total = step.total
        self._steps.append((step.index, step.seconds))
        self._curve.append((step.index, by_kind(step.losses)))
        now = time.monotonic()
        if now >= self._next:
            self.preview = jpeg(step.image(), PREVIEW)
            self._version += 1
            self._next = time.monotonic() + max(REFRESH, 5 * (time.monotonic() - now))
        return not self.asked_to_stop and step.index != self.order.stop_at

    def end(self, status: Status, error: str | None = None) -> None:
        """Says how it went, and lets go of what was only for watching."""
        self.status, self.error = status, error
        if status in ("done", "stopped"):
            self.preview = None  # the history has the picture itself
        self._version += 1
        self.ended.set()

    def view(self, place: int) -> View:
        """The job as it is now."""
        index, seconds = self._steps[-1] if self._steps else (0, 0.0)
        return View(
            key=self.key,
            order=self.order,
            status=self.status,
            place=place,
            error=self.error,
            step=index,
            total=self._total,
            seconds=seconds,
            left=self._left(),
            version=self._version,
            has_preview=self.preview is not None,
            curve=tuple(self._curve),
        )

    def _left(self) -> float | None:
        if self._total is None or len(self._steps) < 2:
            return None
        (first, began), (last, now) = self._steps[0], self._steps[-1]
        return (self._total - last) * (now - began) / max(1, last - first)


def by_kind(losses: Losses) -> Losses:
    """The terms summed by what stands before their first slash, and all of them.

    >>> by_kind({"style/relu1_1": 1.0, "style/relu2_1": 2.0, "content/relu4_2": 0.5})
    {'style': 3.0, 'content': 0.5, 'total': 3.5}
    """
    sums: Losses = {}
    for name, loss in losses.items():
        kind = name.partition("/")[0]
        sums[kind] = sums.get(kind, 0.0) + loss
    return {**sums, "total": sum(losses.values())}
