"""Pictures that visitors bring: limited, really decoded, and kept under a name of our own."""

from __future__ import annotations

import hashlib
import io
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from impasto.files import write_atomically
from impasto.images import MIN_SIDE, open_picture
from impasto.images.decoding import FORMATS
from impasto.studio.containers import SUFFIXES, check_container

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
"""More than a telephone's camera has; as float32 they take 600 MB."""
KEY = re.compile(r"[0-9a-f]{64}\.(jpg|png|webp|tif|avif|bmp|gif)")


@dataclass(frozen=True)
class Uploads:
    """A folder of uploaded pictures, each under the SHA-256 of its bytes.

    The bytes are kept as they came, so that a record's hash is that of the visitor's own file.
    """

    folder: Path
    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS

    def keep(self, data: bytes, name: str) -> str:
        """Checks a picture and keeps it; returns its key. `name` serves for messages only.

        Raises:
            ValueError: in one line, for what is no sound picture, and for what is too large.
        """
        shown = repr(shown_name(name))
        if not data:
            raise ValueError(f"{shown}: it is empty (0 bytes); give a picture")
        if len(data) > self.max_bytes:
            raise ValueError(
                f"{shown}: it has {len(data) / 2**20:.1f} MiB, over the limit of {self.max_bytes / 2**20:g}; shrink it"
            )
        key = hashlib.sha256(data).hexdigest()
        trial = self.folder / f"{secrets.token_hex(8)}.trial"
        write_atomically(trial, data)
        try:
            picture = open_picture(trial, max_pixels=self.max_pixels)
            height, width = picture.image.shape[-2:]
            if min(height, width) < MIN_SIDE:
                raise ValueError(f"it is {width} x {height} pixels; a picture needs at least {MIN_SIDE} on each side")
            form = PIL.Image.open(io.BytesIO(data), formats=FORMATS).format or ""
            check_container(data, form)
            kept = f"{key}{SUFFIXES[form]}"
            trial.replace(self.folder / kept)
        except ValueError as error:
            raise ValueError(f"{shown}: {str(error).removeprefix(f'{str(trial)!r}: ')}") from None
        finally:
            trial.unlink(missing_ok=True)
        return kept

    def path(self, key: str) -> Path:
        """The file behind a key. Raises `ValueError` for what is none."""
        if not KEY.fullmatch(key) or not (self.folder / key).is_file():
            raise ValueError(f"{shown_name(key)!r} is no sample's name and no upload; bring the picture again")
        return self.folder / key

    def sweep(self, used: Collection[str]) -> None:
        """Removes what no painting refers to by its path: uploads of visits that are over."""
        for file in self.folder.glob("*"):
            if str(file) not in used:
                file.unlink(missing_ok=True)


def shown_name(name: str) -> str:
    """A visitor's name for a file as far as it can be shown: its last part, without what is not printable.

    >>> shown_name("../../etc/pass\\nwd")
    'passwd'
    """
    last = re.split(r"[/\\]", name)[-1]
    return "".join(letter for letter in last if letter.isprintable())[:60] or "picture"
