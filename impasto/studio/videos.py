"""Keep the stylized clips of the studio: one folder per video, which survives a restart and can be continued."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from impasto.config import names_files, setting_schemas
from impasto.executors import IsStopped
from impasto.files import write_atomically
from impasto.methods import METHODS, configure
from impasto.pipeline.run import OnStep
from impasto.studio.history import KEY
from impasto.studio.limits import check_downloads, check_memory
from impasto.studio.requests import check_styles, title_of, used_weights
from impasto.video import open_clip
from impasto.video.records import VideoResult
from impasto.video.settings import VideoSettings
from impasto.video.stylize import DEFAULT_METHOD, check_video, stylize_video
from impasto.video.work_folder import count_frames

VIDEO, POSTER = "video.mp4", "poster.jpg"
"""Files of a video; the record is a file beside the first one."""


@dataclass(frozen=True, kw_only=True)
class VideoRequest:
    """Inputs and settings of one stylized clip; paths are those that the studio created."""

    clip: str
    label: str
    """Name of the clip that its user gave to it, without a suffix."""
    styles: tuple[str, ...]
    method: str = DEFAULT_METHOD
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method and of `VideoSettings`; the only files are weights that the studio adapted."""
    allow_download: bool = False
    """Whether missing weights may be downloaded."""

    @property
    def title(self) -> str:
        """Return a short description, for lists and alternative texts."""
        return title_of(self.label, self.styles)

    @property
    def passes(self) -> int:
        """Return the number of passes over each frame."""
        return int(self.settings.get("passes", VideoSettings.passes))

    @property
    def inputs(self) -> set[str]:
        """Return the paths and names of the clip, of all images and of the weights that the request needs."""
        return {self.clip, *self.styles} | used_weights(self.settings)


def check_video_request(request: VideoRequest, folder: Path, *, max_pixels: int) -> None:
    """Check everything that can be checked before a job runs.

    Args:
        request: the request.
        folder: folder that the video is written to.
        max_pixels: largest frame in pixels.

    Raises:
        ValueError: in one line, as for `check_request`, and for a clip that cannot be read.
    """
    if not request.clip:
        raise ValueError("clip: choose a clip")
    check_styles(request.styles)
    own = {name: each for name, each in request.settings.items() if name not in VideoSettings.__dataclass_fields__}
    method = METHODS[request.method](configure(request.method, own))
    if not request.allow_download:
        check_downloads(method)
    with _clip_by_label(request):
        check_memory(method, open_clip(request.clip).size, len(request.styles), max_pixels)
        check_video(request.clip, request.styles, folder / VIDEO, request.method, **request.settings)


def check_no_files(method: str, settings: Mapping[str, Any]) -> None:
    """Reject settings that name files, which a client sends for pictures only.

    Raises:
        ValueError: for a file as a value.
    """
    schemas = setting_schemas(METHODS[method].Config)
    for name, value in settings.items():
        if value and names_files(schemas.get(name, {})):
            raise ValueError(f"{name}: the studio does not have it for clips; use `impasto video`")


@contextmanager
def _clip_by_label(request: VideoRequest) -> Iterator[None]:
    """Replace the path of a clip in errors by its label."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace(repr(request.clip), repr(request.label))) from error


@dataclass(frozen=True)
class Videos:
    """A folder of videos: those that are finished, and those that can be continued."""

    folder: Path

    def begin(self, key: str, request: VideoRequest) -> None:
        """Store a request before its first frame, so that the video can be continued."""
        write_atomically(self._file(key, "request.json"), json.dumps(asdict(request)).encode())

    def run(self, key: str, request: VideoRequest, on_frame: OnStep, is_stopped: IsStopped) -> VideoResult:
        """Stylize the frames that are missing, and write the video; arguments as for `stylize_video`."""
        inputs = (request.clip, request.styles, self._file(key, VIDEO), request.method)
        with _clip_by_label(request):  # frames of another version of impasto are computed again
            return stylize_video(*inputs, on_frame=on_frame, is_stopped=is_stopped, restart=True, **request.settings)

    def add_poster(self, key: str, data: bytes) -> None:
        """Store the preview of a frame."""
        write_atomically(self._file(key, POSTER), data)

    def request(self, key: str) -> VideoRequest:
        """Return the request of a video.

        Raises:
            ValueError: if the key is malformed, or no video has it.
        """
        try:
            values = json.loads(self._file(key, "request.json").read_text(encoding="utf-8"))
            request = VideoRequest(**values)
        except (OSError, ValueError, TypeError):
            raise ValueError(f"the studio has no video {key[:40]!r}; it may have been deleted") from None
        return replace(request, styles=tuple(request.styles))

    def file(self, key: str, name: str) -> Path:
        """Return a file of a video.

        Args:
            key: key of the video.
            name: `VIDEO`, `POSTER`, or `video.json` for the record.

        Raises:
            ValueError: if it does not exist (yet).
        """
        file = self._file(key, name)
        if not file.is_file():
            raise ValueError(f"the studio has no {name} of the video {key!r}; it is not finished, or deleted")
        return file

    def is_finished(self, key: str) -> bool:
        """Return whether all frames of a video are written; raise `ValueError` for a malformed key."""
        return self._file(key, VIDEO).is_file()

    def entries(self) -> list[dict[str, Any]]:
        """Return all videos, the newest first, as JSON values: key, title, method, and whether they are finished."""
        found = []
        for folder in sorted(self.folder.glob("*"), reverse=True):
            with suppress(ValueError):
                request = self.request(folder.name)
                found.append(
                    {
                        "key": folder.name,
                        "title": request.title,
                        "method": request.method,
                        "finished": self.is_finished(folder.name),
                        "frames": count_frames(folder / f"{VIDEO}.work") // request.passes,
                        "poster": (folder / POSTER).is_file(),
                    }
                )
        return found

    def inputs(self) -> set[str]:
        """Return the paths of the clips, images and networks of all videos that can be continued."""
        unfinished = [each["key"] for each in self.entries() if not each["finished"]]
        return {path for key in unfinished for path in self.request(key).inputs}

    def delete(self, key: str) -> None:
        """Delete a video and its frames."""
        shutil.rmtree(self._file(key, VIDEO).parent, ignore_errors=True)

    def _file(self, key: str, name: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key[:40]!r} is not the key of a video")
        return self.folder / key / name
