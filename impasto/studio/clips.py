"""Store uploaded clips under the hash of their bytes, and list them."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.files import clean_up_on_error
from impasto.studio.previews import PREVIEW_SIZE, encode_jpeg
from impasto.studio.uploads import UNFINISHED, NotStoredError, printable_name, store
from impasto.video import Clip, open_clip
from impasto.video.animation import ANIMATED
from impasto.video.source import frame_image
from impasto.weights import sha256_of

NAME = re.compile(rf"[0-9a-f]{{64}}({'|'.join(map(re.escape, sorted(ANIMATED)))})?")
MAX_SECONDS = 24 * 3600
"""Longest duration that is shown, in seconds; a larger one that a file claims is not."""


@dataclass(frozen=True)
class Clips:
    """A folder of uploaded clips, each with its first frame and a description in a JSON file beside it.

    The bytes of an upload are never sent to a browser, only its first frame.
    """

    folder: Path
    max_bytes: int
    """Largest clip in bytes."""
    max_pixels: int
    """Largest frame in pixels."""

    def begin(self) -> Path:
        """Return a new path for the bytes of an upload, which `add` or `discard` ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f".{secrets.token_hex(8)}.part"

    def add(self, part: Path, name: str) -> str:
        """Check that an upload is a clip, and store it.

        Args:
            part: file of `begin` with the bytes; it is moved or removed.
            name: name that the client gave to the file.

        Returns:
            The name of the stored file.

        Raises:
            ValueError: in one line, if the file is not a clip, is corrupt, too small or too large.
            NotStoredError: if a file cannot be written; nothing of the clip remains.
        """
        suffix = Path(printable_name(name)).suffix.lower()
        trial = part.with_suffix(suffix if suffix in ANIMATED else ".trial")  # animated images are read by their suffix
        try:
            part.rename(trial)
            clip = open_clip(trial)
            description = self._described(clip, name)
            first = frame_image(next(clip.frames()).pixels)
            stored = self.folder / f"{sha256_of(trial)}{suffix if suffix in ANIMATED else ''}"
            with clean_up_on_error([_beside(stored, ".jpg"), _beside(stored, ".json")]):
                store(_beside(stored, ".jpg"), encode_jpeg(first, PREVIEW_SIZE))
                store(_beside(stored, ".json"), json.dumps(description).encode())
                trial.replace(stored)
        except NotStoredError:
            raise
        except ValueError as error:
            raise ValueError(f"{printable_name(name)!r}: {str(error).removeprefix(f'{str(trial)!r}: ')}") from None
        finally:
            part.unlink(missing_ok=True)
            trial.unlink(missing_ok=True)
        return stored.name

    def path(self, name: str) -> Path:
        """Return the stored file of a clip.

        Raises:
            ValueError: if the name is malformed or unknown.
        """
        if not NAME.fullmatch(name) or not (self.folder / name).is_file():
            raise ValueError(f"{printable_name(name)!r} is not a clip of the studio; add the clip again")
        return self.folder / name

    def first_frame(self, name: str) -> Path:
        """Return the JPEG of the first frame of a clip; errors as for `path`."""
        return _beside(self.path(name), ".jpg")

    def describe(self, name: str) -> dict[str, Any]:
        """Return the name, label, seconds, size and sound of a clip as JSON values; errors as for `path`."""
        try:
            description = json.loads(_beside(self.path(name), ".json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            description = {"label": "clip"}
        return {**description, "name": name}

    def library(self) -> list[dict[str, Any]]:
        """Return the descriptions of all clips, the newest first."""
        found = [self.describe(file.name) for file in self.folder.glob("*") if NAME.fullmatch(file.name)]
        return sorted(found, key=lambda each: float(each.get("added", 0)), reverse=True)

    def remove(self, name: str, used: Collection[str]) -> None:
        """Delete a clip.

        Args:
            name: name of the clip.
            used: paths of the clips that must stay.

        Raises:
            ValueError: if the clip is unknown, or in use.
        """
        path = self.path(name)
        if str(path) in used:
            raise ValueError("a video that is not finished needs this clip; stop it and delete it first")
        for file in (path, _beside(path, ".jpg"), _beside(path, ".json")):
            file.unlink(missing_ok=True)

    def delete_parts(self) -> None:
        """Delete uploads that were interrupted, and no file that the studio did not make."""
        for file in self.folder.glob(".*"):
            if UNFINISHED.fullmatch(file.name) and file.is_file():
                file.unlink(missing_ok=True)

    def _described(self, clip: Clip, name: str) -> dict[str, Any]:
        height, width = clip.size
        if height * width > self.max_pixels:
            raise ValueError(f"the frames have {width} x {height} pixels, over the limit of {self.max_pixels}")
        seconds = clip.seconds
        if seconds is not None and not 0 <= seconds <= MAX_SECONDS:
            seconds = None
        return {
            "label": Path(printable_name(name)).stem,
            "seconds": None if seconds is None else float(seconds),
            "width": width,
            "height": height,
            "sound": clip.source.has_audio,
            "added": time.time(),
        }


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")
