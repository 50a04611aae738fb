"""Define a task of an experiment and the result of running it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from impasto.types import Step

Status = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Task:
    """One image to compute: a method with settings, applied to a content image and a style image."""

    variant: str
    """Name of the row of the tables to which the task belongs."""
    method: str
    settings: dict[str, Any]
    """Settings that the experiment gives, with the seed; JSON values."""
    content: str
    """Name of a sample, or path of a file."""
    style: str
    """Name of a sample, or path of a file."""

    @property
    def key(self) -> str:
        """Hash of all fields except the variant, so that equal tasks share one result."""
        fields = json.dumps([self.method, self.settings, self.content, self.style], sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Run:
    """A task, its status and its results."""

    task: Task
    status: Status
    error: str | None = None
    """One-line error message of a failed run."""
    picture: str | None = None
    """Path of the output image, relative to the folder of the experiment."""
    seconds: float | None = None
    """Wall time of the stylization in seconds."""
    steps: int | None = None
    evaluations: int | None = None
    peak_memory_mib: float | None = None
    stopped: str | None = None
    """Why the optimization stopped."""
    losses: dict[str, float | None] = field(default_factory=dict)
    """Weighted losses of the saved image: `content`, `style` and `total`."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Value of each metric for the saved image."""
    sanity: dict[str, dict[str, float]] = field(default_factory=dict)
    """Values of the metrics for `identity` (the content image) and `style_copy` (the resized style image)."""
    curve: tuple[Step, ...] = ()
    """Losses of every step."""
