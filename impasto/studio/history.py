"""What was painted in the studio: a folder for each painting, read again after a restart."""

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
from impasto.pipeline.replay import load_record
from impasto.pipeline.result import Result
from impasto.studio.previews import THUMBNAIL, jpeg

KEY = re.compile(r"\d{8}-\d{6}-[0-9a-f]{16}")


def new_key() -> str:
    """Sorts by time, to a millionth of a second, and cannot be guessed."""
    seconds, fraction = divmod(time.time(), 1)
    day = time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds))
    return f"{day}-{int(fraction * 2**20):05x}{secrets.token_hex(6)[:11]}"


@dataclass(frozen=True)
class Entry:
    """A painting that was kept."""

    key: str
    title: str
    picture: Path
    thumbnail: Path

    def record(self) -> dict[str, Any]:
        """Its record. Raises `ValueError` where it is damaged."""
        return load_record(self.picture.with_suffix(".json"))

    def written(self) -> str:
        """When it was painted: `2026-11-21 06:10 UTC`."""
        day, clock = self.key[:8], self.key[9:15]
        return f"{day[:4]}-{day[4:6]}-{day[6:]} {clock[:2]}:{clock[2:4]} UTC"


@dataclass(frozen=True)
class History:
    """A folder of paintings. An entry is whole once `entry.json` lies in it, which is written last."""

    folder: Path

    def add(self, key: str, result: Result, title: str, *, bits: Bits = 8) -> Entry:
        """Keeps a painting with its record and a small picture of it."""
        place = self._place(key)
        result.save(place / "picture.png", bits=bits)
        write_atomically(place / "thumbnail.jpg", jpeg(result.image, THUMBNAIL))
        write_atomically(place / "entry.json", json.dumps({"title": title}).encode())
        return self.entry(key)

    def entry(self, key: str) -> Entry:
        """The painting under a key. Raises `ValueError` where there is none."""
        place = self._place(key)
        try:
            title = json.loads((place / "entry.json").read_text(encoding="utf-8"))["title"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"there is no painting {key!r}; it may have been deleted") from None
        return Entry(key, str(title), place / "picture.png", place / "thumbnail.jpg")

    def has(self, key: str) -> bool:
        """Whether a painting is kept under a key."""
        return (self._place(key) / "entry.json").is_file()

    def entries(self) -> list[Entry]:
        """All paintings, the newest first; what is damaged is left out."""
        keys = [file.parent.name for file in self.folder.glob("*/entry.json") if KEY.fullmatch(file.parent.name)]
        found = []
        for key in sorted(keys, reverse=True):
            try:
                found.append(self.entry(key))
            except ValueError:
                continue
        return found

    def delete(self, key: str) -> None:
        """Removes a painting and its record."""
        place = self._place(key)
        (place / "entry.json").unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)

    def inputs(self) -> set[str]:
        """The paths of all that was painted from."""
        paths = set()
        for entry in self.entries():
            try:
                paths |= {str(each["path"]) for each in entry.record()["inputs"]}
            except ValueError:
                continue
        return paths

    def _place(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key[:40]!r} is no painting's key")
        return self.folder / key
