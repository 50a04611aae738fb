"""Describe a stylized clip: its result, and the record beside it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from impasto.config import MethodConfig, settings_of
from impasto.files import write_atomically
from impasto.images import MAX_PIXELS, Source
from impasto.pipeline.load_inputs import open_mask
from impasto.pipeline.records import check_record_path, record_path
from impasto.pipeline.result import Input
from impasto.video.clip import Clip
from impasto.video.settings import VideoSettings
from impasto.weights import sha256_of


@dataclass(frozen=True)
class VideoResult:
    """A stylized clip."""

    output: Path
    frames: int
    """Number of frames that are finished, each counted once for every pass; 0 after a stop before all frames of the
    clip were counted."""
    total: int
    """Number of frames of the clip times the number of passes; 0 as above."""
    resumed: int
    """Number of frames that an earlier run had finished, counted like `frames`."""
    seconds: float
    """Wall time of this run, reading and writing included."""
    stopped: Literal["steps", "cancelled"]
    """`cancelled` where a callback stopped the run: the output does not exist yet, and the same call continues."""
    shots: int
    description: dict[str, Any]
    """Inputs, settings and versions as JSON values."""
    passes: int = 1
    """Number of passes over each shot."""

    def summary(self) -> dict[str, Any]:
        """Return the figures of the run as `impasto video --json` prints them, without `output`.

        A frame of `frames`, `resumed` and `frames_per_second` is one that all passes have finished.
        """
        frames, resumed = self.frames // self.passes, self.resumed // self.passes
        computed = (self.frames - self.resumed) / self.passes
        return {
            "method": self.description["method"],
            "frames": frames,
            "resumed": resumed,
            "passes": self.passes,
            "shots": self.shots,
            "size": self.description["size"],
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(computed / self.seconds, 3) if self.seconds else None,
        }


def description(
    clip: Clip,
    styles: tuple[Input, ...],
    method: str,
    config: MethodConfig,
    video: VideoSettings,
    shape: tuple[int, int],
    masks: Mapping[str, Sequence[Source]],
) -> dict[str, Any]:
    """Return everything that determines the frames of a stylized clip, as JSON values.

    Args:
        clip: the clip.
        styles: entries of the style images.
        method: name of the method.
        config: settings of the method.
        video: settings of the clip.
        shape: height and width of the frames.
        masks: files or pictures in memory of the settings `mask` and `style_mask`, by the name of the setting.
    """
    ignored = ("device",)
    entries = [_entry(role, each) for role in ("mask", "style_mask") for each in masks[role]]
    return {
        "method": method,
        "size": list(shape),
        "settings": {name: value for name, value in settings_of(config).items() if name not in ignored},
        "video": settings_of(video),
        "inputs": [
            asdict(Input("content", str(clip.path.absolute()), clip.path.name, _digest(clip.path))),
            *map(asdict, (*styles, *entries)),
        ],
        "versions": {"impasto": version("impasto"), "torch": torch.__version__, "python": platform.python_version()},
    }


def check_video_record(output: Path) -> None:
    """Raise `ValueError` if the record of an output would replace a file that is not a record."""
    check_record_path(output)


def save_record(result: VideoResult) -> None:
    """Write the record beside the output."""
    record = {
        "format": 1,
        **result.summary(),
        **result.description,
        "steps": result.frames,
        "stopped": result.stopped,
        "picture": result.output.name,
    }
    write_atomically(record_path(result.output), json.dumps(record, indent=1).encode())


def _entry(role: Any, source: Source) -> Input:
    """Return the entry of a mask: a clip, an image file or a picture in memory."""
    if not isinstance(source, str | os.PathLike):
        return open_mask(role, source, MAX_PIXELS)[1]
    file = Path(os.fsdecode(source))
    return Input(role, str(file.absolute()), file.name, _digest(file))


def _digest(path: Path) -> str:
    """Return the SHA-256 of the file, or of the files of a folder."""
    if path.is_file():
        return sha256_of(path)
    digests = (sha256_of(file) for file in sorted(path.iterdir()) if file.is_file())
    return hashlib.sha256("".join(digests).encode()).hexdigest()
