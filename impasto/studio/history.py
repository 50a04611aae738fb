"""Keep the results of the studio: one folder per result, which survives a restart."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.files import write_atomically
from impasto.images import Bits
from impasto.pipeline.records import load_record
from impasto.pipeline.result import Result
from impasto.studio.previews import THUMBNAIL_SIZE, encode_jpeg

KEY = re.compile(r"\d{8}-\d{6}-[0-9a-f]{16}")


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

    def record(self) -> dict[str, Any]:
        """Return the record of the result.

        Raises:
            ValueError: if the record is missing or corrupt.
        """
        return load_record(self.picture.with_suffix(".json"))

    def created(self) -> str:
        """Return the time of creation, such as `2026-11-21 06:10 UTC`."""
        day, clock = self.key[:8], self.key[9:15]
        return f"{day[:4]}-{day[4:6]}-{day[6:]} {clock[:2]}:{clock[2:4]} UTC"


@dataclass(frozen=True)
class History:
    """A folder of results. An entry is complete once it has the file `entry.json`, which is written last."""

    folder: Path

    def add(self, key: str, result: Result, title: str, *, bits: Bits = 8) -> HistoryEntry:
        """Store a result with its record and a thumbnail.

        Args:
            key: key from `new_key`.
            result: the result.
            title: text for lists and alternative texts.
            bits: bits per channel of the PNG file, 8 or 16.
        """
        folder = self._folder_of(key)
        result.save(folder / "picture.png", bits=bits)
        write_atomically(folder / "thumbnail.jpg", encode_jpeg(result.image, THUMBNAIL_SIZE, result.alpha))
        write_atomically(folder / "entry.json", json.dumps({"title": title}).encode())
        return self.entry(key)

    def entry(self, key: str) -> HistoryEntry:
        """Return the entry with a key.

        Raises:
            ValueError: if the key is malformed, or no complete entry has it.
        """
        folder = self._folder_of(key)
        try:
            title = json.loads((folder / "entry.json").read_text(encoding="utf-8"))["title"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"the history has no result {key!r}; it may have been deleted") from None
        return HistoryEntry(key, str(title), folder / "picture.png", folder / "thumbnail.jpg")

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
        """Delete a result and its record."""
        folder = self._folder_of(key)
        (folder / "entry.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def inputs(self) -> set[str]:
        """Return the paths of the content images, style images and masks of all entries."""
        paths = set()
        for entry in self.entries():
            try:
                paths |= {str(each["path"]) for each in entry.record()["inputs"]}
            except ValueError:
                continue
        return paths

    def _folder_of(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key[:40]!r} is not the key of a result; choose one in the history")
        return self.folder / key
