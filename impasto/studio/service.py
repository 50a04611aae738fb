"""Connect uploads, history, networks and queue: what the page, the gradio client and the HTTP routes share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.images import Bits
from impasto.methods.micro import ANY_STYLE, MicroMethod
from impasto.networks.sample_networks import sample_networks
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.studio.clips import Clips
from impasto.studio.history import History
from impasto.studio.instant import InstantPreviews
from impasto.studio.networks import METHOD, AdaptedNetworks, AdaptRequest
from impasto.studio.previews import PREVIEW_SIZE
from impasto.studio.queue import JobQueue
from impasto.studio.requests import StylizeRequest, check_no_paths
from impasto.studio.uploads import MAX_BYTES, MAX_PIXELS, Uploads
from impasto.studio.videos import VideoRequest, Videos, check_no_files
from impasto.video.stylize import DEFAULT_METHOD

CLIP_FACTOR = 16
"""Largest clip in units of the largest image, in bytes."""
TEMPORARY = "impasto-temporary"
"""Name of the folder for temporary files, of gradio too, which each start deletes: a name that nobody else uses."""


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
    clips: Clips
    videos: Videos
    networks: AdaptedNetworks
    queue: JobQueue
    previews: InstantPreviews

    @classmethod
    def open(
        cls, folder: Path, *, workers: int = 1, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS
    ) -> StudioService:
        """Open or create a folder, start the workers, and delete masks that no result refers to.

        Args:
            folder: folder of the studio.
            workers: number of jobs that run at a time.
            max_bytes: largest upload in bytes; a clip may have `CLIP_FACTOR` times as many.
            max_pixels: largest image in pixels.
        """
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / TEMPORARY, ignore_errors=True)
        uploads = Uploads(folder / "uploads", max_bytes, max_pixels)
        history = History(folder / "history")
        history.empty_trash()
        videos = Videos(folder / "videos")
        uploads.delete_unused(history.inputs() | videos.inputs())
        clips = Clips(folder / "clips", CLIP_FACTOR * max_bytes, max_pixels)
        clips.delete_parts()
        networks = AdaptedNetworks(folder / "networks")
        networks.delete_unfinished()
        queue = JobQueue(history, videos, networks, workers=workers, max_pixels=max_pixels)
        return cls(folder, uploads, history, clips, videos, networks, queue, InstantPreviews(uploads.reduced))

    def source(self, name: str) -> str:
        """Return the name of a sample, or the path of an upload; a name from a client is never used as a path.

        Raises:
            ValueError: for any other name.
        """
        return name if name in {*CONTENTS, *STYLES} else str(self.uploads.path(name))

    def remove_upload(self, key: str) -> None:
        """Remove an upload from the library, and its network; a file that a result or a job refers to is kept.

        Raises:
            ValueError: for an unknown key, or if a job or a video that is not finished uses its network.
        """
        networks = [str(entry["key"]) for entry in self.networks.entries() if entry["style"] == key]
        for network in networks:
            self._check_unused(network)
        self.uploads.remove(key, self.history.inputs() | self.videos.inputs() | self.queue.inputs())
        requests = {state.key: state.request for state in self.queue.states()}
        trainings = [job for job, each in requests.items() if isinstance(each, AdaptRequest) and each.style_name == key]
        for network in {*networks, *trainings}:
            if not self.queue.discard(network):
                self.networks.delete(network)

    def remove_network(self, key: str) -> None:
        """Delete a network; one that is being made is stopped, and nothing of it is kept.

        Raises:
            ValueError: for an unknown key, or if a job or a video that is not finished uses the network.
        """
        if not self.queue.discard(key):
            self._check_unused(key)
            self.networks.delete(key)

    def _check_unused(self, key: str) -> None:
        if str(self.networks.file(key)) in self.queue.inputs() | self.videos.inputs():
            raise ValueError("a job or a video that is not finished uses this network; stop or delete it first")

    def page_name(self, source: str) -> str:
        """Return the name of a source on the page: the inverse of `source`."""
        return Path(source).name if Path(source).parent == self.uploads.folder else source

    def source_preview(self, name: str, size: int = PREVIEW_SIZE) -> bytes:
        """Return a sample or an upload as a JPEG or WebP of at most `size` pixels on the longer side."""
        return self.uploads.reduced.encoded(str(resolve(self.source(name))), size)

    def instant(self, content: str, styles: Sequence[str], size: int, network: str = "") -> bytes:
        """Return a content image in a style as a JPEG or WebP.

        Args:
            content: name of a sample or an upload.
            styles: names of samples or uploads.
            size: as for `InstantPreviews.encode`.
            network: key of a network that was adapted to the style, or nothing.

        Raises:
            ValueError: as for `InstantPreviews.encode`, and for an unknown name or key.
        """
        paths = [str(resolve(self.source(name))) for name in (content, *styles)]
        return self.previews.encode(paths[0], paths[1:], size, **self._weights(network, styles, METHOD, {}))

    def make_request(
        self,
        content: str,
        styles: Sequence[str],
        method: str,
        settings: Mapping[str, Any],
        bits: Bits = 8,
        masks: Mapping[str, Sequence[str]] | None = None,
        *,
        network: str = "",
        allow_download: bool = False,
        draft_first: bool = False,
    ) -> StylizeRequest:
        """Return a request made of names from a client.

        Args:
            content: name of a sample or an upload, or nothing.
            styles: names of samples or uploads.
            method: name of the method.
            settings: settings of the method.
            bits: bits per channel of the PNG file, 8 or 16.
            masks: names of uploads for the settings `mask` and `style_mask`.
            network: key of a network that was adapted to the style, or nothing.
            allow_download: whether missing weights may be downloaded.
            draft_first: whether to show a draft first.

        Raises:
            ValueError: in one line, for an unknown name or a setting that is a path.
        """
        check_no_paths(method, settings)
        files = {role: [str(self.uploads.path(name)) for name in names] for role, names in (masks or {}).items()}
        return StylizeRequest(
            content=content and self.source(content),
            styles=tuple(self.source(style) for style in styles),
            method=method,
            settings={**settings, **files, **self._weights(network, styles, method, settings)},
            bits=bits,
            allow_download=allow_download,
            draft_first=draft_first,
        )

    def video_request_from(self, fields: Mapping[str, Any]) -> VideoRequest:
        """Return the request to stylize a clip that JSON values describe.

        Args:
            fields: `clip`, `style`, `method`, `settings`, and optionally `network` and `download`.

        Raises:
            ValueError: in one line, for a value of the wrong type or an invalid name.
        """
        clip, styles = _typed(fields, "clip", str, ""), _names(fields, "style")
        method, settings = _typed(fields, "method", str, DEFAULT_METHOD), _typed(fields, "settings", dict, {})
        check_no_files(method, settings)
        return VideoRequest(
            clip=clip and str(self.clips.path(clip)),
            label=str(self.clips.describe(clip)["label"]) if clip else "",
            styles=tuple(self.source(style) for style in styles),
            method=method,
            settings={**settings, **self._weights(_typed(fields, "network", str, ""), styles, method, settings)},
            allow_download=bool(fields.get("download", False)),
        )

    def adapt_request_from(self, fields: Mapping[str, Any]) -> AdaptRequest:
        """Return the request to adapt a network that JSON values describe.

        Args:
            fields: `style`, and optionally `settings`.

        Raises:
            ValueError: in one line, for a value of the wrong type or an invalid name.
        """
        style = _typed(fields, "style", str, "")
        return AdaptRequest(style=style and self.source(style), settings=_typed(fields, "settings", dict, {}))

    def request_from(self, fields: Mapping[str, Any]) -> StylizeRequest:
        """Return the request that JSON values describe.

        Args:
            fields: `content`, `style`, `method`, `settings`, and optionally `bits`, `mask`, `style_mask`, `network`,
                `download`, `draft`.

        Raises:
            ValueError: in one line, for a value of the wrong type or an invalid name.
        """
        bits: Bits = fields.get("bits") or 8
        return self.make_request(
            _typed(fields, "content", str, ""),
            _names(fields, "style"),
            _typed(fields, "method", str, "gatys"),
            _typed(fields, "settings", dict, {}),
            bits,
            masks={role: _names(fields, role) for role in ("mask", "style_mask") if fields.get(role)},
            network=_typed(fields, "network", str, ""),
            allow_download=bool(fields.get("download", False)),
            draft_first=bool(fields.get("draft", False)),
        )

    def _weights(self, network: str, styles: Sequence[str], method: str, settings: Mapping[str, Any]) -> dict[str, str]:
        """Return the setting `weights` for the key of a network that was adapted to a style.

        Without a key it is empty, or the network for any style where a sample style has its own.
        """
        if not network:
            has_own = method == METHOD and len(styles) == 1 and styles[0] in sample_networks()
            return {"weights": ANY_STYLE} if has_own else {}
        entry = self.networks.entry(network)
        if method != METHOD or [*styles] != [entry["style"]]:
            raise ValueError(f"network: it is one of {METHOD} for {entry['label']}; choose this method and style alone")
        color = settings.get("color", "style")
        if color not in MicroMethod.adapted_colors:
            raise ValueError(f"color: a fast network cannot use {color}; choose another color or clear its check box")
        return {"weights": self.networks.weights(network)}


def _typed(fields: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        expected = "an object with names and values" if kind is dict else "text"
        raise ValueError(f"{name}: give {expected}, not {str(value)[:60]!r}")
    return value


def _names(fields: Mapping[str, Any], field: str) -> list[str]:
    value = fields.get(field, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{field}: give a list of names, not {str(value)[:60]!r}")
    return names
