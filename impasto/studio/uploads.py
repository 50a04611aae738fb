"""Check uploaded images, store them under the hash of their bytes, and list them as a library."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import PIL.Image

from impasto.files import clean_up_on_error, reason, write_atomically
from impasto.images import MIN_SIDE, open_picture
from impasto.studio.previews import ReducedImages

MAX_BYTES = 64 * 2**20
"""Default of the largest upload in bytes."""
MAX_PIXELS = 50_000_000
"""Default of the largest image in pixels: more than the camera of a phone has, 600 MB as float32."""
KEY = re.compile(r"[0-9a-f]{64}")
UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.[a-z]+")
"""Names of files that are written or checked, and that remain if the process is killed; see also `impasto.files`."""
KINDS = ("content", "style")
"""Lists of the library."""


class NotStoredError(ValueError):
    """The disk of the studio is full, or nothing may be written to it.

    Args:
        cause: why a file cannot be written.
    """

    def __init__(self, cause: BaseException | None) -> None:
        why = reason(cause) if isinstance(cause, OSError) else "not possible in its folder"
        super().__init__(f"the studio cannot store the file: {why}; check the disk of the studio")


def store(file: Path, data: bytes) -> None:
    """Write a file of the studio in one step.

    Raises:
        NotStoredError: in one line without the path, if the file cannot be written.
    """
    try:
        write_atomically(file, data)
    except ValueError as error:
        raise NotStoredError(error.__cause__) from error


@dataclass(frozen=True)
class Uploads:
    """A folder of uploaded images, each named by the SHA-256 of its bytes.

    The bytes are stored unchanged, so that the hash in a record is that of the user's own file. The studio never sends
    them: it decodes an upload and encodes the pixels again. A file that is an image and something else at the same time
    (a polyglot) therefore reaches a browser only as an image. Beside each upload, a JSON file has its name and the time
    when it was added.
    """

    folder: Path
    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS

    @cached_property
    def reduced(self) -> ReducedImages:
        """The images that previews were made of."""
        return ReducedImages(self.max_pixels)

    def add(self, data: bytes, name: str, *, kinds: Collection[str] = KINDS) -> str:
        """Check that an upload decodes as an image, and store it.

        Args:
            data: content of the file.
            name: name that the client gave to the file, for messages and for the library.
            kinds: where the library lists the image, of `KINDS`; empty for a mask. Kinds of the same image add up.

        Returns:
            The key of the upload, which is the name of the stored file.

        Raises:
            ValueError: in one line, if the file is not an image, is damaged, too small or too large.
            NotStoredError: if it cannot be written; nothing of it remains.
        """
        shown = repr(printable_name(name))
        if not data:
            raise ValueError(f"{shown}: the file is empty (0 bytes); give an image")
        if len(data) > self.max_bytes:
            limit = f"over the limit of {self.max_bytes / 2**20:g}"
            raise ValueError(f"{shown}: the file has {len(data) / 2**20:.1f} MiB, {limit}; give a smaller file")
        trial = self.folder / f".{secrets.token_hex(8)}.trial"
        store(trial, data)
        try:
            picture = open_picture(trial, max_pixels=self.max_pixels)
            height, width = picture.image.shape[-2:]
            if min(height, width) < MIN_SIDE:
                raise ValueError(f"the image has {width} x {height} pixels; give at least {MIN_SIDE} on each side")
            key = hashlib.sha256(data).hexdigest()  # without a suffix: the content alone decides how a file is read
            self._keep(trial, key, name, kinds)
        except NotStoredError:
            raise
        except ValueError as error:
            raise ValueError(f"{shown}: {str(error).removeprefix(f'{str(trial)!r}: ')}") from None
        finally:
            trial.unlink(missing_ok=True)
        if kinds:
            self.reduced.keep(str(self.folder / key), picture)
        return key

    def path(self, key: str) -> Path:
        """Return the stored file of an upload.

        Raises:
            ValueError: if the key is malformed or unknown.
        """
        if not KEY.fullmatch(key) or not (self.folder / key).is_file():
            raise ValueError(f"{printable_name(key)!r} is neither a sample nor an upload; upload the image again")
        return self.folder / key

    def library(self) -> list[str]:
        """Return the keys of the listed uploads, the newest first."""
        found = {file.stem: _description(file) for file in self.folder.glob("*.json") if KEY.fullmatch(file.stem)}
        listed = [key for key, each in found.items() if each.get("kinds") and (self.folder / key).is_file()]
        return sorted(listed, key=lambda key: float(found[key].get("added", 0)), reverse=True)

    def kinds(self, key: str) -> list[str]:
        """Return where the library lists an upload."""
        return list(_description(self.folder / f"{key}.json").get("kinds", ()))

    def remove(self, key: str, used: Collection[str]) -> None:
        """Remove an upload from the library, and delete it unless its path is in `used`.

        Raises:
            ValueError: if the key is malformed or unknown.
        """
        path = self.path(key)
        if str(path) in used:
            self._describe(key, upload_name(path), ())
        else:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)

    def delete_unused(self, used: Collection[str]) -> None:
        """Delete every upload that the library does not list and whose path is not in `used`, but no other file."""
        kept = {self.folder / key for key in self.library()} | {Path(path) for path in used}
        for file in self.folder.glob("*"):
            is_upload = KEY.fullmatch(file.name.removesuffix(".json")) is not None
            is_unused = is_upload and file.with_suffix("") not in kept
            if (is_unused or UNFINISHED.fullmatch(file.name)) and file.is_file():
                file.unlink(missing_ok=True)

    def _keep(self, trial: Path, key: str, name: str, kinds: Collection[str]) -> None:
        """Move an upload that was checked to its name, and describe it, or do neither."""
        with clean_up_on_error([self.folder / key]):
            trial.replace(self.folder / key)
            self._describe(key, name, {*kinds, *self.kinds(key)})

    def _describe(self, key: str, name: str, kinds: Collection[str]) -> None:
        description = {"name": printable_name(name), "added": time.time(), "kinds": sorted(kinds)}
        store(self.folder / f"{key}.json", json.dumps(description).encode())


def upload_name(path: Path) -> str:
    """Return the name that the client gave to a stored upload; the name of the file for any other path."""
    return (
        str(_description(path.with_suffix(".json")).get("name", path.name)) if KEY.fullmatch(path.name) else path.name
    )


def frame_count(path: Path) -> int:
    """Return the number of frames of an image file; only the first one is used."""
    try:
        with PIL.Image.open(path) as picture:
            return int(getattr(picture, "n_frames", 1))
    except OSError:
        return 1


def _description(file: Path) -> dict[str, Any]:
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return description if isinstance(description, dict) else {}


def printable_name(name: str) -> str:
    r"""Return the last part of a file name without characters that are not printable, at most 60 characters.

    >>> printable_name("../../etc/pass\nwd")
    'passwd'
    """
    last = re.split(r"[/\\]", name)[-1]
    return "".join(character for character in last if character.isprintable())[:60] or "picture"
