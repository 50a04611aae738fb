"""Describe what a job stylizes, check it before it enters the queue, and restore it from a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from impasto.config import names_files, setting_schemas, settings_of
from impasto.images import MAX_PIXELS, Bits, check_output, read_size
from impasto.methods import METHODS, configure
from impasto.methods.matching import MatchingConfig
from impasto.methods.micro import ANY_STYLE
from impasto.networks.sample_networks import sample_networks
from impasto.optim.schedule import STARTS, steps_of_sizes
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.studio.labels import image_label
from impasto.studio.limits import check_downloads, check_memory
from impasto.studio.uploads import upload_name

MAX_STYLES = 16
"""Largest number of style images of one request."""
CONTINUATION_SETTINGS = ("start", "sizes")
"""Settings that a job gets from the picture that it continues."""


@dataclass(frozen=True, kw_only=True)
class StylizeRequest:
    """Inputs and settings of one stylization. Images are names of samples, or paths that the studio created."""

    content: str
    styles: tuple[str, ...]
    method: str = "gatys"
    settings: Mapping[str, Any] = field(default_factory=dict)
    bits: Bits = 8
    stop_at: int | None = None
    """Index of the last step, to replay a job that was stopped; None runs all steps."""
    allow_download: bool = False
    """Whether missing weights may be downloaded."""
    draft_first: bool = False
    """Whether to compute a draft first, which is shown until the image itself is better."""

    @property
    def title(self) -> str:
        """Return a short description, for lists and alternative texts."""
        return title_of(display_name(self.content), self.styles)

    @property
    def inputs(self) -> set[str]:
        """Return the paths and names of all images, and of the weights file, that the request needs."""
        masks = {file for role in ("mask", "style_mask") for file in self.settings.get(role) or ()}
        return masks | used_weights(self.settings) | {self.content, *self.styles}


def used_weights(settings: Mapping[str, Any]) -> set[str]:
    """Return the path of the weights file that settings name, if they do."""
    return {str(settings["weights"])} if settings.get("weights") else set()


def title_of(content: str, styles: Sequence[str]) -> str:
    """Return a short description of a content with a label in some styles, for lists and alternative texts."""
    return f"{content} in the style of {' and '.join(map(display_name, styles))}"


def display_name(picture: str) -> str:
    """Return the label of a sample, or the file name of an upload without its suffix."""
    return image_label(picture if picture in {*CONTENTS, *STYLES} else upload_name(Path(picture)))


def check_request(request: StylizeRequest, folder: Path, *, max_pixels: int = MAX_PIXELS) -> None:
    """Check everything that can be checked before a job runs.

    Args:
        request: the request.
        folder: folder that the result is written to.
        max_pixels: largest output in pixels.

    Raises:
        ValueError: in one line, for a missing image, an unknown method, an invalid setting, an output that does not
            fit into the memory, weights that would have to be downloaded, or an unwritable folder.
    """
    if not request.content:
        raise ValueError("content: choose a content image")
    check_styles(request.styles)
    weights = request.settings.get("weights")
    is_bundled = weights in {None, ANY_STYLE, *sample_networks()}
    if not is_bundled and not Path(str(weights)).is_file():  # of an earlier picture
        raise ValueError("the fast network of this picture was removed; make the style fast again")
    method = METHODS[request.method](configure(request.method, request.settings))
    if not request.allow_download:
        check_downloads(method)
    shape = read_size(resolve(request.content), MAX_PIXELS)
    check_memory(method, shape, len(request.styles), max_pixels)
    check_output(folder / "picture.png", request.bits)


def check_styles(styles: Sequence[str]) -> None:
    """Raise `ValueError` if a request has no style image, or too many."""
    if not styles:
        raise ValueError("style: choose at least one style image")
    if len(styles) > MAX_STYLES:
        raise ValueError(f"style: {len(styles)} style images are given; give at most {MAX_STYLES}")


def check_no_paths(method: str, settings: Mapping[str, Any]) -> None:
    """Reject settings that would make the studio read a file chosen by the client.

    Raises:
        ValueError: for a path as a value.
    """
    schemas = setting_schemas(METHODS[method].Config)
    for name, value in settings.items():
        if value and names_files(schemas.get(name, {})):
            raise ValueError(f"{name}: send the file itself, not a path")
        if name == "start" and value not in STARTS:
            raise ValueError(f"start: choose one of {', '.join(STARTS)}, not {str(value)[:60]!r}")


def draft_of(request: StylizeRequest) -> Mapping[str, Any] | None:
    """Return the settings of the draft of a request; None where it needs none, because it is fast or a draft itself."""
    has_quality = "quality" in METHODS[request.method].Config.__dataclass_fields__
    is_short = request.settings.get("quality") == "draft" or {"steps", "tolerance"} & request.settings.keys()
    if not request.draft_first or not has_quality or is_short:
        return None
    return {**request.settings, "quality": "draft"}


def can_continue(method: str) -> bool:
    """Return whether a method can start from a picture."""
    return all(name in METHODS[method].Config.__dataclass_fields__ for name in CONTINUATION_SETTINGS)


def check_continuation(method: str) -> None:
    """Check that a method can start from a picture.

    Raises:
        ValueError: if it cannot.
    """
    if not can_continue(method):
        raise ValueError(f"method {method!r} computes its image in one pass, so it cannot continue from a picture")


def continue_from(request: StylizeRequest, picture: Path, longer_side: int) -> StylizeRequest:
    """Return a request that starts from a picture, without coarser sizes, which would blur it.

    A method whose steps depend on the size takes those of a finer size: 36, not the 200 of a first one.

    Args:
        request: the request; its settings `sizes` or `size` select the size, else the size of the picture is kept.
        picture: the picture to start from.
        longer_side: longer side of the picture in pixels.

    Raises:
        ValueError: if the method cannot start from a picture.
    """
    check_continuation(request.method)
    settings = request.settings
    size = (settings.get("sizes") or [settings.get("size") or longer_side])[-1]
    is_free = issubclass(METHODS[request.method].Config, MatchingConfig) and not {"steps", "tolerance"} & {*settings}
    steps = {"steps": _finer_steps(settings, size)} if is_free else {}
    return replace(request, settings={**settings, "start": str(picture), "sizes": [size], **steps})


def _finer_steps(settings: Mapping[str, Any], size: int) -> int:
    """Return the steps of a size that is not the first one."""
    return steps_of_sizes(settings.get("quality", "normal"), [1, size])[-1]


def request_from_record(record: Mapping[str, Any]) -> StylizeRequest:
    """Return the request that computes the picture of a record again, with the settings that are not the defaults."""
    paths: dict[str, list[str]] = {}
    for each in record["inputs"]:
        paths.setdefault(each["role"], []).append(str(each["path"]))
    defaults = settings_of(METHODS[record["method"]].Config())
    settings = {name: value for name, value in record["settings"].items() if value != defaults.get(name, value)}
    return StylizeRequest(
        content=paths["content"][0],
        styles=tuple(paths.get("style", ())),
        method=record["method"],
        settings=settings,
        bits=record.get("bits", 8),
        stop_at=record["steps"] if record["stopped"] == "cancelled" else None,
    )


def without_continuation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those that `continue_from` added."""
    if settings.get("start", "content") in STARTS:
        return {**settings}
    added = {*CONTINUATION_SETTINGS}
    if "sizes" in settings and settings.get("steps") == _finer_steps(settings, settings["sizes"][-1]):
        added.add("steps")
    return {name: value for name, value in settings.items() if name not in added}
