"""The workshop: everything that the page, the interface for programs and the plain requests share."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.images import Bits, load_image
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.studio.history import History
from impasto.studio.previews import PREVIEW, jpeg
from impasto.studio.queue import Line
from impasto.studio.requests import Order, check_no_paths
from impasto.studio.uploads import MAX_BYTES, MAX_PIXELS, Uploads

TEMPORARY = "temporary"
"""What gradio is given for files that pass through it."""


def default_folder() -> Path:
    """Where this system keeps what a program makes for its user: `~/.local/share/impasto/studio`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "impasto" / "studio"


@dataclass(frozen=True)
class Workshop:
    """A folder of uploads and paintings, and the line of jobs that fills it."""

    folder: Path
    uploads: Uploads
    history: History
    line: Line

    @classmethod
    def open(
        cls, folder: Path, *, workers: int = 1, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS
    ) -> Workshop:
        """Opens a folder, which is made if it is missing; removes uploads that nothing was painted from."""
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / TEMPORARY, ignore_errors=True)
        uploads = Uploads(folder / "uploads", max_bytes, max_pixels)
        history = History(folder / "history")
        uploads.sweep(history.inputs())
        return cls(folder, uploads, history, Line(history, workers=workers, max_pixels=max_pixels))

    def source(self, name: str) -> str:
        """What is painted from: a sample's name, or the path of an upload.

        Raises `ValueError` for what is neither: a visitor's word is never taken for a path.
        """
        return name if name in {*CONTENTS, *STYLES} else str(self.uploads.path(name))

    def name(self, path: str) -> str:
        """What the page calls a source: the reverse of `source`."""
        return Path(path).name if Path(path).parent == self.uploads.folder else path

    def picture(self, name: str) -> bytes:
        """A source as a JPEG that a page can show."""
        return _shown(str(resolve(self.source(name))), self.uploads.max_pixels)

    def order(
        self,
        content: str,
        styles: Sequence[str],
        method: str,
        settings: Mapping[str, Any],
        bits: Bits = 8,
        masks: Mapping[str, Sequence[str]] | None = None,
    ) -> Order:
        """An order of names that visitors gave.

        Args:
            masks: uploads under the settings `mask` and `style_mask`.

        Raises:
            ValueError: in one line, for a name or a setting that is wrong.
        """
        check_no_paths(method, settings)
        files = {role: [str(self.uploads.path(name)) for name in names] for role, names in (masks or {}).items()}
        return Order(
            content=content and self.source(content),
            styles=tuple(self.source(style) for style in styles),
            method=method,
            settings={**settings, **files},
            bits=bits,
        )


@functools.lru_cache(maxsize=64)
def _shown(path: str, max_pixels: int) -> bytes:
    return jpeg(load_image(path, max_pixels=max_pixels), PREVIEW)
