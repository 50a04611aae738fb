"""Keep the results of the studio: one folder per result, which survives a restart."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.files import write_atomically
from impasto.images import Bits
from impasto.pipeline.records import load_record
from impasto.pipeline.result import Result
from impasto.studio.previews import THUMBNAIL_SIZE, encode_jpeg

KEY = re.compile(r"\d{8}-\d{6}-[0-9a-f]{16}")
TRASH = "trash"
"""Folder of deleted results, from which they can be restored until the next start."""


def new_key() -> str:
    """Return a random key that sorts by time, with a resolution of about a microsecond."""
    seconds, fraction = divmod(time.time(), 1)
    day = time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds))
    return f"{day}-{int(fraction * 2**20):05x}{secrets.token_hex(6)[:11]}"


@dataclass(frozen=True)
class HistoryEntry:
    """One stored result."""

    key: str
    title: str
    picture: Path
    thumbnail: Path
    summary: dict[str, Any]
    """Figures for lists: method, names of the images, seconds, size, parent, and whether it is starred."""

    def record(self) -> dict[str, Any]:
        """Return the record of the result.

        Raises:
            ValueError: if the record is missing or corrupt.
        """
        return load_record(self.picture.with_suffix(".json"))

    def created(self) -> str:
        """Return the time of creation in UTC as ISO 8601, such as `2026-11-21T06:10:00Z`."""
        day, clock = self.key[:8], self.key[9:15]
        return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}Z"

    def to_json(self) -> dict[str, Any]:
        """Return what a list of results shows, as JSON values."""
        return {**self.summary, "key": self.key, "title": self.title, "created": self.created()}


@dataclass(frozen=True)
class History:
    """A folder of results. An entry is complete once it has the file `entry.json`, which is written last."""

    folder: Path

    def add(
        self, key: str, result: Result, title: str, *, bits: Bits = 8, summary: Mapping[str, Any] | None = None
    ) -> HistoryEntry:
        """Store a result with its record and a thumbnail.

        Args:
            key: key from `new_key`.
            result: the result.
            title: text for lists and alternative texts.
            bits: bits per channel of the PNG file, 8 or 16.
            summary: further values for lists, as JSON values.
        """
        folder = self._folder_of(key)
        height, width = result.image.shape[-2:]
        figures = {"method": result.method, "seconds": round(result.seconds, 2), "width": width, "height": height}
        result.save(folder / "picture.png", bits=bits)
        write_atomically(folder / "thumbnail.jpg", encode_jpeg(result.image, THUMBNAIL_SIZE, result.alpha))
        self._write_entry(key, {"title": title, "stopped": result.stopped, **figures, **(summary or {})})
        return self.entry(key)

    def copy_start(self, key: str, parent: str) -> Path:
        """Copy the picture of a result into the folder of another one, which continues it and may outlive it."""
        start = self._folder_of(key) / "start.png"
        start.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.entry(parent).picture, start)
        return start

    def star(self, key: str, starred: bool) -> None:
        """Mark a result as a favorite, or remove the mark.

        Raises:
            ValueError: for the key of no result.
        """
        entry = self.entry(key)
        self._write_entry(key, {**entry.summary, "title": entry.title, "starred": starred})

    def entry(self, key: str) -> HistoryEntry:
        """Return the entry with a key.

        Raises:
            ValueError: if the key is malformed, or no complete entry has it.
        """
        folder = self._folder_of(key)
        try:
            summary = dict(json.loads((folder / "entry.json").read_text(encoding="utf-8")))
            title = str(summary.pop("title"))
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"the history has no result {key!r}; it may have been deleted") from None
        return HistoryEntry(key, title, folder / "picture.png", folder / "thumbnail.jpg", summary)

    def has(self, key: str) -> bool:
        """Return whether the history has an entry with a key."""
        return (self._folder_of(key) / "entry.json").is_file()

    def entries(self) -> list[HistoryEntry]:
        """Return all entries, the newest first, without corrupt ones."""
        keys = [file.parent.name for file in self.folder.glob("*/entry.json") if KEY.fullmatch(file.parent.name)]
        entries = []
        for key in sorted(keys, reverse=True):
            try:
                entries.append(self.entry(key))
            except ValueError:
                continue
        return entries

    def delete(self, key: str) -> None:
        """Move a result and its record to the trash."""
        folder = self._folder_of(key)
        if folder.is_dir():
            shutil.rmtree(self.folder / TRASH / key, ignore_errors=True)
            (self.folder / TRASH).mkdir(exist_ok=True)
            folder.rename(self.folder / TRASH / key)

    def restore(self, key: str) -> HistoryEntry:
        """Move a deleted result back from the trash.

        Raises:
            ValueError: if the trash does not have it.
        """
        folder = self._folder_of(key)
        if not (self.folder / TRASH / key).is_dir() or folder.exists():
            raise ValueError(f"the trash has no result {key!r}; it was emptied when the studio started")
        (self.folder / TRASH / key).rename(folder)
        return self.entry(key)

    def empty_trash(self) -> None:
        """Delete all results in the trash, and what remains of jobs that did not finish."""
        unfinished = [each for each in self.folder.glob("*") if not (each / "entry.json").exists()]
        for folder in (*(self.folder / TRASH).glob("*"), *unfinished):
            if KEY.fullmatch(folder.name):  # the studio made it
                shutil.rmtree(folder, ignore_errors=True)

    def discard(self, key: str) -> None:
        """Delete what a job that failed has written."""
        if not self.has(key):
            shutil.rmtree(self._folder_of(key), ignore_errors=True)

    def inputs(self) -> set[str]:
        """Return the paths of the content images, style images and masks of all entries."""
        paths = set()
        for entry in self.entries():
            try:
                paths |= {str(each["path"]) for each in entry.record()["inputs"]}
            except ValueError:
                continue
        return paths

    def _write_entry(self, key: str, entry: Mapping[str, Any]) -> None:
        write_atomically(self._folder_of(key) / "entry.json", json.dumps(entry).encode())

    def _folder_of(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key[:40]!r} is not the key of a result; choose one in the history")
        return self.folder / key
