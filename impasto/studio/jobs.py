"""A job of the studio: a request, its progress, and its state at any moment."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from impasto.studio.networks import AdaptRequest
from impasto.studio.previews import PREVIEW_SIZE, encode_preview
from impasto.studio.requests import StylizeRequest
from impasto.studio.videos import VideoRequest
from impasto.types import Image, Step

JobStatus = Literal["waiting", "running", "done", "stopped", "failed", "cancelled"]
"""A stopped job keeps its best image, or its network so far; nothing remains of a cancelled job."""
ENDED = ("done", "stopped", "failed", "cancelled")
PREVIEW_INTERVAL = 0.4
"""Shortest time between two previews in seconds."""
BETTER_THAN_DRAFT = 0.5
"""Fraction of the steps after which an image of the final size is better than its draft."""

Request = StylizeRequest | VideoRequest | AdaptRequest
"""What a job makes: a picture, a stylized clip, or a network."""


class DiscardedError(Exception):
    """The user discarded the job."""


@dataclass(frozen=True)
class JobState:
    """State of a job at one moment."""

    key: str
    request: Request
    status: JobStatus
    queue_position: int
    """Number of jobs before this one; 0 for a job that does not wait."""
    error: str | None
    rate: float | None
    """Steps, or frames of a clip, per second of the last ones; None before the second."""
    version: int
    """Counter that increases with every preview."""
    has_preview: bool
    curve: tuple[Step, ...]
    """The steps so far, without images."""
    parent: str | None = None
    """Key of the job or result that this job continues."""
    is_stopping: bool = False
    """Whether the job was told to stop and has not ended yet."""
    is_drafting: bool = False
    """Whether the job computes its draft."""

    @property
    def step(self) -> int:
        """Return the index of the last step; 0 before the first."""
        return self.curve[-1].index if self.curve else 0

    @property
    def total(self) -> int | None:
        """Return the number of steps; None for a job that runs until it has converged."""
        return self.curve[-1].total if self.curve else None

    @property
    def seconds(self) -> float:
        """Return the wall time of the steps so far."""
        return self.curve[-1].seconds if self.curve else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Return an estimate from the rate; None where the number of steps is unknown."""
        return None if not self.rate or self.total is None else (self.total - self.step) / self.rate

    @property
    def is_video(self) -> bool:
        """Return whether the job stylizes a clip."""
        return isinstance(self.request, VideoRequest)

    @property
    def is_network(self) -> bool:
        """Return whether the job adapts a network to a style."""
        return isinstance(self.request, AdaptRequest)

    @property
    def is_live(self) -> bool:
        """Return whether the job waits or runs."""
        return self.status not in ENDED

    @property
    def has_picture(self) -> bool:
        """Return whether the history has a picture of the job."""
        return self.status in ("done", "stopped") and isinstance(self.request, StylizeRequest)

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values, for scripts."""
        return {
            "key": self.key,
            "status": self.status,
            "queue_position": self.queue_position,
            "step": self.step,
            "total": self.total,
            "seconds": round(self.seconds, 3),
            "rate": None if self.rate is None else round(self.rate, 3),
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left, 1),
            "title": self.request.title,
            "method": self.request.method,
            "parent": self.parent,
            "stopping": self.is_stopping,
            "drafting": self.is_drafting,
            "preview": self.version if self.has_preview else None,
            "losses": self.curve[-1].by_kind() if self.curve else {},
            "error": self.error,
            "picture": f"/pictures/{self.key}.png" if self.has_picture else None,
            "is_video": self.is_video,
            "video": f"/videos/{self.key}.mp4" if self.is_video and self.status == "done" else None,
            "passes": self.request.passes if isinstance(self.request, VideoRequest) else 1,
            "is_network": self.is_network,
            "style": self.request.style_name if isinstance(self.request, AdaptRequest) else None,
        }


class Job:
    """One task of the studio. Only its worker changes it, except for `stop_requested` and `is_discarded`."""

    def __init__(self, key: str, request: Request, parent: str | None = None) -> None:
        self.key, self.request, self.parent = key, request, parent
        self.status: JobStatus = "waiting"
        self.error: str | None = None
        self.stop_requested = self.is_discarded = self.is_stored = False
        self.ended = threading.Event()
        self.preview: bytes | None = None
        self.is_drafting = self.has_draft = False
        self._version = 0
        self._next_preview = 0.0
        self._curve: list[Step] = []

    def on_step(self, step: Step) -> bool:
        """Record a step and, from time to time, its image.

        Returns:
            Whether the stylization continues.
        """
        self._record(step)
        is_better = step.size == step.output_size and step.index >= BETTER_THAN_DRAFT * (step.total or 0)
        if is_better or not self.has_draft:
            self._show(step)
        assert isinstance(self.request, StylizeRequest)
        return not self.stop_requested and step.index != self.request.stop_at

    def on_frame(self, step: Step) -> bool:
        """Record a frame of a clip and, from time to time, show it; return whether the stylization continues."""
        self._record(step)
        self._show(step)
        return not self.stop_requested

    def on_training_step(self, step: Step) -> bool:
        """Record a step of a training; return whether it continues.

        Raises:
            DiscardedError: if the network is not wanted any more.
        """
        self._record(step)
        if self.is_discarded:
            raise DiscardedError
        return not self.stop_requested

    def on_draft_step(self, step: Step) -> bool:
        """Show a step of the draft, which is not part of the curve; return whether the draft continues."""
        self.status, self.is_drafting = "running", True
        self._show(step)
        return not self.stop_requested

    def end_draft(self, image: Image, alpha: Tensor | None) -> None:
        """Show a finished draft until the image itself is better."""
        self.is_drafting, self.has_draft = False, True
        self.preview = encode_preview(image, PREVIEW_SIZE, alpha)
        self._version += 1

    def _record(self, step: Step) -> None:
        self.status = "running"
        self._curve.append(step.without_image())

    def _show(self, step: Step) -> None:
        """Encode the image of a step, unless the last preview is recent."""
        now = time.monotonic()
        if now >= self._next_preview:
            self.preview = encode_preview(step.image(), PREVIEW_SIZE, step.alpha)
            self._version += 1
            # previews take at most a sixth of the time
            self._next_preview = time.monotonic() + max(PREVIEW_INTERVAL, 5 * (time.monotonic() - now))

    def end(self, status: JobStatus, error: str | None = None) -> None:
        """Set the final status, and free the preview where the history has the picture."""
        self.status, self.error = status, error
        if status in ("done", "stopped") and isinstance(self.request, StylizeRequest):
            self.preview = None
        self._version += 1
        self.ended.set()

    def state(self, queue_position: int) -> JobState:
        """Return the current state."""
        return JobState(
            key=self.key,
            request=self.request,
            status=self.status,
            queue_position=queue_position,
            error=self.error,
            rate=self._rate(),
            version=self._version,
            has_preview=self.preview is not None,
            curve=tuple(self._curve),
            parent=self.parent,
            is_stopping=self.stop_requested and not self.ended.is_set(),
            is_drafting=self.is_drafting,
        )

    def _rate(self) -> float | None:
        recent = self._curve[-20:]
        if len(recent) < 2:
            return None
        seconds = recent[-1].seconds - recent[0].seconds
        return max(1, recent[-1].index - recent[0].index) / seconds if seconds > 0 else None
