"""Describe what a job stylizes, check it before it enters the queue, and restore it from a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from impasto.config import names_files, setting_schemas, settings_of
from impasto.images import Bits, check_output
from impasto.methods import METHODS, configure
from impasto.optim.schedule import STARTS
from impasto.samples import CONTENTS, STYLES

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

    @property
    def title(self) -> str:
        """Return a short description, for lists and alternative texts."""
        styles = " and ".join(map(display_name, self.styles))
        return f"{display_name(self.content)} stylized with {styles}, {self.method}"


def display_name(picture: str) -> str:
    """Return the name of a sample, or `upload` and the first six digits of the hash of an upload."""
    return picture if picture in {*CONTENTS, *STYLES} else f"upload {Path(picture).stem[:6]}"


def check_request(request: StylizeRequest, folder: Path) -> None:
    """Check everything that can be checked before a job runs.

    Args:
        request: the request.
        folder: folder that the result is written to.

    Raises:
        ValueError: in one line, for a missing image, an unknown method, an invalid setting or an unwritable folder.
    """
    if not request.content:
        raise ValueError("content: choose a content image")
    if not request.styles:
        raise ValueError("style: choose at least one style image")
    METHODS[request.method](configure(request.method, request.settings))
    check_output(folder / "picture.png", request.bits)


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


def continue_from(request: StylizeRequest, picture: Path, longer_side: int) -> StylizeRequest:
    """Return a request that starts from a picture, at the size of the picture only: coarser sizes would blur it.

    Raises:
        ValueError: if the method cannot start from a picture.
    """
    names = METHODS[request.method].Config.__dataclass_fields__
    if missing := [name for name in CONTINUATION_SETTINGS if name not in names]:
        raise ValueError(
            f"method {request.method!r} has no setting {missing[0]!r}, so it cannot continue from a picture; "
            "choose another method"
        )
    return replace(request, settings={**request.settings, "start": str(picture), "sizes": [longer_side]})


def request_from_record(record: Mapping[str, Any], *, bits: Bits = 8) -> StylizeRequest:
    """Return the request that computes the picture of a record again, with the settings that are not the defaults."""
    paths: dict[str, list[str]] = {}
    for each in record["inputs"]:
        paths.setdefault(each["role"], []).append(str(each["path"]))
    defaults = settings_of(METHODS[record["method"]].Config())
    settings = {name: value for name, value in record["settings"].items() if value != defaults.get(name, value)}
    return StylizeRequest(
        content=paths["content"][0],
        styles=tuple(paths["style"]),
        method=record["method"],
        settings=settings,
        bits=bits,
        stop_at=record["steps"] if record["stopped"] == "cancelled" else None,
    )


def without_continuation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those that `continue_from` added."""
    is_continued = settings.get("start", "content") not in STARTS
    return {name: value for name, value in settings.items() if not (is_continued and name in CONTINUATION_SETTINGS)}
