"""A finished painting and its record: all that is needed to know what was done, and to do it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from impasto.files import write_atomically
from impasto.images import Bits, check_output, save_image
from impasto.types import Image, Step, losses_by_kind

Stopped = Literal["converged", "steps", "cancelled", "diverged"]
"""Why a painting ended: nothing got better, steps used up, the listener said so, or no step was small enough."""


@dataclass(frozen=True)
class Input:
    """A picture that went in."""

    role: Literal["content", "style", "start", "mask", "style_mask"]
    path: str | None
    """Absolute path, or a sample's name; None for what came from memory."""
    name: str
    sha256: str


@dataclass(frozen=True)
class Result:
    """A painting. `save` writes the picture and its record."""

    image: Image
    """`(1, 3, H, W)` in [0, 1], on the CPU."""
    alpha: Tensor | None
    """The content's opacity `(1, 1, H, W)`, or None where it had none."""
    method: str
    settings: dict[str, Any]
    losses: dict[str, float]
    """Weighted terms of the picture as it is saved with 8 bits."""
    curve: tuple[Step, ...] = field(repr=False)
    best: int
    """The step whose picture this is."""
    stopped: Stopped
    seconds: float
    device: str
    precision: str
    peak_memory_mib: float
    inputs: tuple[Input, ...]
    weights: dict[str, str]
    """Name and SHA-256 of the weights file, empty where the method reads none."""
    versions: dict[str, str]
    note: str | None = None
    """What one should know before judging the picture."""
    segments: tuple[dict[str, Any], ...] = ()
    """The paintings that this one went on from, oldest first, as `segment_of` tells them."""

    @property
    def steps(self) -> int:
        """Iterations done."""
        return self.curve[-1].index if self.curve else 0

    @property
    def evaluations(self) -> int:
        """How often the objective and its gradient were computed."""
        return self.curve[-1].evaluations if self.curve else 0

    def summary(self) -> dict[str, Any]:
        """The figures of the painting, as `impasto stylize --json` prints them (plus `output`)."""
        sums = losses_by_kind(self.losses) if self.losses else {}
        return {
            "method": self.method,
            "backbone": self.settings.get("backbone"),
            "seconds": round(self.seconds, 3),
            "steps": self.steps,
            "evaluations": self.evaluations,
            "losses": {kind: sums.get(kind) for kind in ("content", "style", "total")},
            "peak_memory_mib": round(self.peak_memory_mib, 1),
            "seed": self.settings.get("seed"),
            "device": self.device,
            "precision": self.precision,
        }

    def record(self, *, curve: bool = True) -> dict[str, Any]:
        """Everything but the pixels, as JSON values; `impasto.replay` paints from it."""
        record = {
            "format": 1,
            **self.summary(),
            "settings": self.settings,
            "terms": self.losses,
            "best": self.best,
            "stopped": self.stopped,
            "note": self.note,
            "inputs": [asdict(each) for each in self.inputs],
            "weights": self.weights,
            "versions": self.versions,
        }
        if self.segments:
            record["segments"] = list(self.segments)
        if curve:
            record["curve"] = [step.to_json() for step in self.curve]
        return record

    def save(self, path: str | Path, *, bits: Bits = 8) -> Path:
        """Writes the picture, with its record inside if it is a PNG, and the record beside it as JSON.

        Each file appears whole or not at all. Raises `ValueError` for an unknown suffix or a folder that cannot be
        written.
        """
        path = Path(path)
        check_output(path, bits=bits)
        embedded = json.dumps(self.record(curve=False))  # ASCII, because the name of a file may be no valid UTF-8
        write_atomically(record_path(path), json.dumps(self.record(), indent=1).encode())
        save_image(self.image, path, alpha=self.alpha, bits=bits, record=embedded)
        return path


def segment_of(record: dict[str, Any]) -> dict[str, Any]:
    """What the record of a painting that goes on from another one says of the other."""
    kept = ("method", "settings", "steps", "seconds", "stopped", "losses", "inputs")
    return {name: record[name] for name in kept if name in record}


def record_path(path: Path) -> Path:
    """Where the record of a picture lies."""
    return path.with_suffix(".json")
