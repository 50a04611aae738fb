"""One cell of an experiment: what was asked, and what came of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from impasto.types import Step

Status = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Task:
    """A painting that an experiment asks for."""

    variant: str
    """What its row of the tables is called: a method, with the settings that set it apart."""
    method: str
    settings: dict[str, Any]
    """Those that the grid gives, seed included; JSON values."""
    content: str
    """A sample's name, or a path."""
    style: str

    @property
    def key(self) -> str:
        """Hash of all but the variant's name: the same painting is painted once."""
        asked = json.dumps([self.method, self.settings, self.content, self.style], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Run:
    """A task, and how it went."""

    task: Task
    status: Status
    error: str | None = None
    """One line, where it failed."""
    picture: str | None = None
    """Path of the painting, relative to the experiment's folder."""
    seconds: float | None = None
    steps: int | None = None
    evaluations: int | None = None
    peak_memory_mib: float | None = None
    stopped: str | None = None
    losses: dict[str, float | None] = field(default_factory=dict)
    """`content`, `style` and `total`: weighted, of the saved picture."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What each metric says of the saved picture."""
    sanity: dict[str, dict[str, float]] = field(default_factory=dict)
    """The same for `identity` (the content itself) and `style_copy` (the style itself)."""
    curve: tuple[Step, ...] = ()
