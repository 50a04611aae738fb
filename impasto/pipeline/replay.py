"""Paints a picture again from its record."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impasto.images import MAX_PIXELS, open_picture, read_record
from impasto.pipeline.result import Result, record_path
from impasto.pipeline.stylizer import OnStep, stylize
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.types import Step


def load_record(picture: str | Path) -> dict[str, Any]:
    """The record inside a PNG, else the one beside the picture; a `.json` file is a record itself.

    Raises `ValueError` where there is none.
    """
    picture = Path(picture)
    text = None
    if picture.suffix.lower() == ".json":
        text = _read(picture)
    elif picture.suffix.lower() == ".png":
        text = read_record(picture)
    if text is None and record_path(picture).is_file():
        text = _read(record_path(picture))
    if text is None:
        raise ValueError(
            f"{str(picture)!r}: there is no record in it and none beside it; give a picture that impasto painted"
        )
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{str(picture)!r}: its record is not JSON: {error}") from None
    missing = {"method", "settings", "inputs", "steps", "stopped"} - set(record if isinstance(record, dict) else ())
    if missing:
        raise ValueError(f"{str(picture)!r}: this is no record of impasto: it lacks {', '.join(sorted(missing))}")
    assert isinstance(record, dict)
    if not _is_sound(record):
        raise ValueError(f"{str(picture)!r}: its record is damaged; give a picture that impasto painted")
    return record


def replay(
    picture: str | Path,
    *,
    content: str | Path | None = None,
    styles: Sequence[str | Path] = (),
    masks: Sequence[str | Path] = (),
    style_masks: Sequence[str | Path] = (),
    on_step: OnStep | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Result:
    """Paints the picture again, from the same inputs with the same settings; on the same machine bit for bit.

    Args:
        picture: a picture with its record inside or beside it, or a record.
        content: where the content lies now, if it was moved.
        styles: where the styles lie now, if they were moved.
        masks: where the masks lie now, if they were moved.
        style_masks: where the masks of the styles lie now, if they were moved.

    Raises:
        ValueError: where the record or an input is missing, or an input is not the picture that was used.
    """
    record = load_record(picture)
    recorded = record["inputs"]
    moved: dict[str, list[str | Path]] = {
        "content": [] if content is None else [content],
        "style": list(styles),
        "start": [],
        "mask": list(masks),
        "style_mask": list(style_masks),
    }
    paths: dict[str, list[str | Path]] = {role: [] for role in moved}
    for entry in recorded:
        role = entry["role"]
        path = moved[role].pop(0) if moved[role] else entry["path"]
        paths[role].append(_checked(entry, path, max_pixels))
    _say_what_differs(record)
    settings = dict(record["settings"])
    if paths["start"]:
        settings["start"] = str(paths["start"][0])
    settings |= {role: [str(path) for path in paths[role]] for role in ("mask", "style_mask") if paths[role]}
    last = record["steps"] if record["stopped"] == "cancelled" else None

    def until_there(step: Step) -> bool:
        more = on_step is None or on_step(step) is not False
        return more and step.index != last

    return stylize(
        paths["content"][0], paths["style"], record["method"], on_step=until_there, max_pixels=max_pixels, **settings
    )


def _is_sound(record: dict[str, Any]) -> bool:
    """Whether what `replay` reads has the right types: a record may have been edited."""
    inputs = record["inputs"]
    return (
        isinstance(record["method"], str)
        and isinstance(record["settings"], dict)
        and isinstance(inputs, list)
        and all(isinstance(entry, dict) and {"role", "path", "name", "sha256"} <= entry.keys() for entry in inputs)
        and [entry["role"] for entry in inputs].count("content") == 1
        and all(entry["role"] in ("content", "style", "start", "mask", "style_mask") for entry in inputs)
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r}: the record cannot be read: {error}") from None


def _checked(entry: dict[str, Any], path: str | Path | None, max_pixels: int) -> str | Path:
    """The path of an input, if the picture there is still the one that was used."""
    role = entry["role"]
    flag = f"--{role.replace('_', '-')}"
    if path is None:
        raise ValueError(f"the {role} was a picture in memory ({entry['name']}); save it and give its path as {flag}")
    try:
        file = resolve(path)
    except ValueError:
        hint = f"give the place where it lies now as {flag}"
        raise ValueError(f"the {role} {str(path)!r} is not there any more; {hint}") from None
    if open_picture(file, max_pixels=max_pixels).sha256 != entry["sha256"]:
        raise ValueError(f"the {role} {str(path)!r} is not the picture that was painted from; give that one as {flag}")
    is_sample = str(path) in {*STYLES, *CONTENTS}
    return path if is_sample else file


def _say_what_differs(record: dict[str, Any]) -> None:
    """Warns where another version painted the picture: then it may differ in its last bits."""
    import platform
    from importlib.metadata import version

    import torch

    here = {"impasto": version("impasto"), "torch": torch.__version__, "python": platform.python_version()}
    there = record.get("versions", {})
    if changed := [f"{name} {there.get(name)} -> {now}" for name, now in here.items() if there.get(name) != now]:
        warnings.warn(f"the picture was painted with other versions ({', '.join(changed)})", stacklevel=3)
