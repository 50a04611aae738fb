"""Check uploaded images and store them under the hash of their bytes."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from impasto.files import write_atomically
from impasto.images import MIN_SIDE, open_picture

MAX_BYTES = 64 * 2**20
"""Default of the largest upload in bytes."""
MAX_PIXELS = 50_000_000
"""Default of the largest image in pixels: more than the camera of a phone has, 600 MB as float32."""
KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Uploads:
    """A folder of uploaded images, each named by the SHA-256 of its bytes.

    The bytes are stored unchanged, so that the hash in a record is that of the user's own file. The studio never sends
    them: it decodes an upload and encodes the pixels again. A file that is an image and something else at the same time
    (a polyglot) therefore reaches a browser only as an image.
    """

    folder: Path
    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS

    def add(self, data: bytes, name: str) -> str:
        """Check that an upload decodes as an image, and store it.

        Args:
            data: content of the file.
            name: name that the client gave to the file, for messages only.

        Returns:
            The key of the upload, which is the name of the stored file.

        Raises:
            ValueError: in one line, if the file is not an image, is damaged, too small or too large.
        """
        shown = repr(printable_name(name))
        if not data:
            raise ValueError(f"{shown}: the file is empty (0 bytes); give an image")
        if len(data) > self.max_bytes:
            raise ValueError(
                f"{shown}: the file has {len(data) / 2**20:.1f} MiB, over the limit of {self.max_bytes / 2**20:g}; "
                "give a smaller file"
            )
        trial = self.folder / f"{secrets.token_hex(8)}.trial"
        write_atomically(trial, data)
        try:
            picture = open_picture(trial, max_pixels=self.max_pixels)
            height, width = picture.image.shape[-2:]
            if min(height, width) < MIN_SIDE:
                raise ValueError(f"the image has {width} x {height} pixels; give at least {MIN_SIDE} on each side")
            key = hashlib.sha256(data).hexdigest()  # without a suffix: the content alone decides how a file is read
            trial.replace(self.folder / key)
        except ValueError as error:
            raise ValueError(f"{shown}: {str(error).removeprefix(f'{str(trial)!r}: ')}") from None
        finally:
            trial.unlink(missing_ok=True)
        return key

    def path(self, key: str) -> Path:
        """Return the stored file of an upload.

        Raises:
            ValueError: if the key is malformed or unknown.
        """
        if not KEY.fullmatch(key) or not (self.folder / key).is_file():
            raise ValueError(f"{printable_name(key)!r} is neither a sample nor an upload; upload the image again")
        return self.folder / key

    def delete_unused(self, used: Collection[str]) -> None:
        """Delete every upload whose path is not in `used`."""
        for file in self.folder.glob("*"):
            if str(file) not in used:
                file.unlink(missing_ok=True)


def printable_name(name: str) -> str:
    r"""Return the last part of a file name without characters that are not printable, at most 60 characters.

    >>> printable_name("../../etc/pass\nwd")
    'passwd'
    """
    last = re.split(r"[/\\]", name)[-1]
    return "".join(character for character in last if character.isprintable())[:60] or "picture"
