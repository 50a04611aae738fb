"""A job: an order on its way to a picture, and what can be seen of it at any moment."""

from __future__ import annotations

import threading
import time
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


@dataclass(frozen=True)
class JobState:
    """The state of a job at one moment."""

    key: str
    order: Order
    status: Status
    place: int
    """How many jobs are painted before it; 0 where it does not wait."""
    error: str | None
    left: float | None
    """Seconds left at the rate of the last steps, where the number of steps is known."""
    version: int
    """Grows with every preview."""
    has_preview: bool
    curve: tuple[Step, ...]
    """The steps so far, without their images."""

    @property
    def step(self) -> int:
        """Index of the last step; 0 before the first."""
        return self.curve[-1].index if self.curve else 0

    @property
    def total(self) -> int | None:
        """Maximum number of steps, where it is known."""
        return self.curve[-1].total if self.curve else None

    @property
    def seconds(self) -> float:
        """Wall time of the steps so far."""
        return self.curve[-1].seconds if self.curve else 0.0

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
        self._curve: list[Step] = []

    def on_step(self, step: Step) -> bool:
        """Listens to the painting; stops it where that was asked for."""
        self.status = "painting"
        self._curve.append(step.without_image())
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

    def view(self, place: int) -> JobState:
        """The job as it is now."""
        return JobState(
            key=self.key,
            order=self.order,
            status=self.status,
            place=place,
            error=self.error,
            left=self._left(),
            version=self._version,
            has_preview=self.preview is not None,
            curve=tuple(self._curve),
        )

    def _left(self) -> float | None:
        recent = self._curve[-20:]
        if len(recent) < 2 or recent[-1].total is None:
            return None
        first, last = recent[0], recent[-1]
        return (recent[-1].total - last.index) * (last.seconds - first.seconds) / max(1, last.index - first.index)
