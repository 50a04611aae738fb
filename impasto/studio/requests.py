"""An order: which pictures are to be painted how. Checked before it waits in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from impasto.config import check_settings, names_files, setting_schemas, settings_of
from impasto.images import Bits, check_output
from impasto.methods import METHODS
from impasto.optim.schedule import STARTS
from impasto.samples import CONTENTS, STYLES

CONTINUED = ("start", "sizes")
"""Settings that a painting which goes on from a picture gets from it."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a painting is made of. Pictures are samples' names, or paths that the studio itself gave."""

    content: str
    styles: tuple[str, ...]
    method: str = "gatys"
    settings: Mapping[str, Any] = field(default_factory=dict)
    bits: Bits = 8
    stop_at: int | None = None
    """The step after which it ends, for the replay of a painting that was stopped."""

    @property
    def title(self) -> str:
        """In a few words, for lists and alt texts."""
        return f"{name_of(self.content)} after {' and '.join(map(name_of, self.styles))}, {self.method}"


def name_of(picture: str) -> str:
    """What a picture is called on the page: a sample's name, or a few digits of an upload's hash."""
    return picture if picture in {*CONTENTS, *STYLES} else f"upload {Path(picture).stem[:6]}"


def check_order(order: Order, folder: Path) -> None:
    """Raises `ValueError`, in one line, for what can be told before painting into `folder`."""
    if not order.content:
        raise ValueError("content: choose a photograph")
    if not order.styles:
        raise ValueError("style: choose at least one picture")
    part = METHODS[order.method]
    preset = part.paper if order.settings.get("preset") == "paper" else {}
    part(check_settings(part.Config, order.method, {**preset, **order.settings}))
    check_output(folder / "picture.png", order.bits)


def check_no_paths(method: str, settings: Mapping[str, Any]) -> None:
    """Raises `ValueError` for a setting that would make the studio read a file of the caller's choice."""
    schemas = setting_schemas(METHODS[method].Config)
    for name, value in settings.items():
        if value and names_files(schemas.get(name, {})):
            raise ValueError(f"{name}: give the file itself, not a path")
        if name == "start" and value not in STARTS:
            raise ValueError(f"start: choose from {', '.join(STARTS)}, not {str(value)[:60]!r}")


def continued(order: Order, picture: Path, longer_side: int) -> Order:
    """The same order from a picture on, at its own size only: coarser sizes would blur what is there.

    Raises `ValueError` for a method that cannot start from a picture.
    """
    fields = METHODS[order.method].Config.__dataclass_fields__
    if lacking := [name for name in CONTINUED if name not in fields]:
        raise ValueError(f"method {order.method!r} cannot go on from a picture: it has no setting {lacking[0]!r}")
    return replace(order, settings={**order.settings, "start": str(picture), "sizes": [longer_side]})


def order_of(record: Mapping[str, Any], *, bits: Bits = 8) -> Order:
    """The order that paints a record's picture again: all settings that differ from the method's own."""
    paths: dict[str, list[str]] = {}
    for each in record["inputs"]:
        paths.setdefault(each["role"], []).append(str(each["path"]))
    own = settings_of(METHODS[record["method"]].Config())
    settings = {name: value for name, value in record["settings"].items() if value != own.get(name, value)}
    return Order(
        content=paths["content"][0],
        styles=tuple(paths["style"]),
        method=record["method"],
        settings=settings,
        bits=bits,
        stop_at=record["steps"] if record["stopped"] == "cancelled" else None,
    )


def as_asked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without what `continued` added."""
    from_a_picture = settings.get("start", "content") not in STARTS
    return {name: value for name, value in settings.items() if not (from_a_picture and name in CONTINUED)}
