"""Connect uploads, history and queue: what the page, the gradio client and the HTTP routes share."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.images import Bits, open_picture
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.studio.history import History
from impasto.studio.previews import PREVIEW_SIZE, encode_jpeg
from impasto.studio.queue import JobQueue
from impasto.studio.requests import StylizeRequest, check_no_paths
from impasto.studio.uploads import MAX_BYTES, MAX_PIXELS, Uploads

TEMPORARY = "temporary"
"""Name of the folder for temporary files of gradio; it is emptied at each start."""


def default_folder() -> Path:
    """Return the folder of the studio in the user's data folder (XDG base directory specification)."""
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "impasto" / "studio"


@dataclass(frozen=True)
class StudioService:
    """A folder with uploads and results, and the queue of the jobs that write the results."""

    folder: Path
    uploads: Uploads
    history: History
    queue: JobQueue

    @classmethod
    def open(
        cls, folder: Path, *, workers: int = 1, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS
    ) -> StudioService:
        """Open or create a folder, start the workers, and delete uploads that no result refers to.

        Args:
            folder: folder of the studio.
            workers: number of jobs that run at a time.
            max_bytes: largest upload in bytes.
            max_pixels: largest image in pixels.
        """
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / TEMPORARY, ignore_errors=True)
        uploads = Uploads(folder / "uploads", max_bytes, max_pixels)
        history = History(folder / "history")
        uploads.delete_unused(history.inputs())
        return cls(folder, uploads, history, JobQueue(history, workers=workers, max_pixels=max_pixels))

    def source(self, name: str) -> str:
        """Return the name of a sample, or the path of an upload; a name from a client is never used as a path.

        Raises:
            ValueError: for any other name.
        """
        return name if name in {*CONTENTS, *STYLES} else str(self.uploads.path(name))

    def page_name(self, source: str) -> str:
        """Return the name of a source on the page: the inverse of `source`."""
        return Path(source).name if Path(source).parent == self.uploads.folder else source

    def source_jpeg(self, name: str) -> bytes:
        """Return a sample or an upload as a JPEG of at most `PREVIEW_SIZE` pixels on the longer side."""
        return _load_as_jpeg(str(resolve(self.source(name))), self.uploads.max_pixels)

    def make_request(
        self,
        content: str,
        styles: Sequence[str],
        method: str,
        settings: Mapping[str, Any],
        bits: Bits = 8,
        masks: Mapping[str, Sequence[str]] | None = None,
    ) -> StylizeRequest:
        """Return a request made of names from a client.

        Args:
            content: name of a sample or an upload, or nothing.
            styles: names of samples or uploads.
            method: name of the method.
            settings: settings of the method.
            bits: bits per channel of the PNG file, 8 or 16.
            masks: names of uploads for the settings `mask` and `style_mask`.

        Raises:
            ValueError: in one line, for an unknown name or a setting that is a path.
        """
        check_no_paths(method, settings)
        files = {role: [str(self.uploads.path(name)) for name in names] for role, names in (masks or {}).items()}
        return StylizeRequest(
            content=content and self.source(content),
            styles=tuple(self.source(style) for style in styles),
            method=method,
            settings={**settings, **files},
            bits=bits,
        )


@functools.lru_cache(maxsize=64)
def _load_as_jpeg(path: str, max_pixels: int) -> bytes:
    picture = open_picture(path, max_pixels=max_pixels)
    return encode_jpeg(picture.image, PREVIEW_SIZE, picture.alpha)
