"""Stylize again from the record of an output."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from impasto.images import MAX_PIXELS, MIN_SIDE, open_picture
from impasto.methods import METHODS, configure
from impasto.pipeline.records import ROLES, load_record
from impasto.pipeline.result import Result
from impasto.pipeline.run import OnStep
from impasto.pipeline.stylizer import stylize
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.types import Step


def replay(
    picture: str | os.PathLike[str],
    *,
    content: str | Path | None = None,
    start: str | Path | None = None,
    styles: Sequence[str | Path] = (),
    masks: Sequence[str | Path] = (),
    style_masks: Sequence[str | Path] = (),
    device: str | None = None,
    on_step: OnStep | None = None,
    output: str | Path | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Result:
    """Stylize again from the same inputs with the same settings; on the same machine the output is identical.

    Args:
        picture: an output with its record inside or beside it, or the record.
        content: new path of the content image, if it was moved.
        start: new path of the start image, if it was moved.
        styles: new paths of the style images, if they were moved.
        masks: new paths of the masks, if they were moved.
        style_masks: new paths of the masks of the style images, if they were moved.
        device: name of the device, in place of the recorded one.
        on_step: called with every step; returning False stops and keeps the best image.
        output: as for `stylize`.
        checkpoint: as for `stylize`.
        max_pixels: largest number of pixels of an input.

    Raises:
        ValueError: if the record or an input is missing, or an input has changed.
    """
    record = _record(Path(picture))
    paths = _input_paths(record, ([content], [start], styles, masks, style_masks), max_pixels)
    settings = {**_used_settings(record), **_file_settings(paths), **({"device": device} if device else {})}
    settings |= {"output": output, "checkpoint": checkpoint, "max_pixels": max_pixels}
    (source,), others, method = paths["content"], paths["style"], record["method"]
    result = stylize(source, others, method, on_step=partial(_until, record, on_step), **settings)
    _warn_of_other_weights(record, result)
    return result


def _record(picture: Path) -> dict[str, Any]:
    """Return the record of an output; warn where other versions made it, because the last bits may then differ."""
    import platform
    from importlib.metadata import version

    import torch

    record = load_record(picture)
    here = {"impasto": version("impasto"), "torch": torch.__version__, "python": platform.python_version()}
    there = record.get("versions", {})
    if changed := [f"{name} {there.get(name)} -> {now}" for name, now in here.items() if there.get(name) != now]:
        warnings.warn(f"the picture was computed with other versions ({', '.join(changed)})", stacklevel=3)
    return record


def _until(record: dict[str, Any], on_step: OnStep | None, step: Step) -> bool:
    """Pass a step on, and return whether the run of the record continued after it."""
    last = record["steps"] if record["stopped"] == "cancelled" else None
    proceed = on_step is None or on_step(step) is not False
    return proceed and step.index != last


def _given_inputs(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the inputs without the style images that the weights of the settings contain and that need no path."""
    inputs: list[dict[str, Any]] = record["inputs"]
    given = [entry for entry in record["inputs"] if entry["role"] == "style"]
    kind = METHODS[record["method"]]
    if any(entry["path"] is not None for entry in given):
        return inputs
    own = kind.own_styles(configure(record["method"], _used_settings(record)))
    if not own or [open_picture(each).sha256 for each in own] != [entry["sha256"] for entry in given]:
        return inputs
    return [entry for entry in inputs if entry["role"] != "style"]


def _used_settings(record: dict[str, Any]) -> dict[str, Any]:
    """Return the recorded settings without those that others replaced, which must not be given together."""
    settings = record["settings"]
    replaced = METHODS[record["method"]].replaced
    unused = {other for name, other in replaced.items() if settings.get(name) is not None}
    return {name: value for name, value in settings.items() if name not in unused}


def _file_settings(paths: Mapping[str, Sequence[str | Path]]) -> dict[str, Any]:
    """Return the settings that name files: absolute paths, which are never read as the name of a method, or samples."""
    names = {role: [str(path.absolute()) if isinstance(path, Path) else path for path in paths[role]] for role in ROLES}
    masks = {role: names[role] for role in ("mask", "style_mask") if names[role]}
    return {**masks, **({"start": names["start"][0]} if names["start"] else {})}


def _input_paths(
    record: dict[str, Any], moved: Sequence[Sequence[str | Path | None]], max_pixels: int
) -> dict[str, list[str | Path]]:
    """Return the paths of the inputs by role, in the order of the record.

    Those of `moved`, which has the order of `ROLES`, replace the first ones of their role.
    """
    paths: dict[str, list[str | Path]] = {role: [] for role in ROLES}
    for entry in _given_inputs(record):
        done, others = paths[entry["role"]], moved[ROLES.index(entry["role"])]
        new = others[len(done)] if len(done) < len(others) else None
        done.append(_checked_path(entry, entry["path"] if new is None else new, max_pixels))
    return paths


def _checked_path(entry: dict[str, Any], path: str | Path | None, max_pixels: int) -> str | Path:
    """Return the path of an input after a comparison of its hash with the record."""
    role = entry["role"]
    flag = f"--{role.replace('_', '-')}"
    if path is None:
        raise ValueError(f"the {role} was a picture in memory ({entry['name']}); save it and give its path as {flag}")
    try:
        file = resolve(path)
    except ValueError:
        raise ValueError(f"the {role} {str(path)!r} is missing; give its new path as {flag}") from None
    digest = open_picture(file, max_pixels=max_pixels, longer_side=MIN_SIDE).sha256  # its pixels are not needed here
    if entry["path"] is not None and digest != entry["sha256"]:  # a picture in memory has the hash of its pixels
        raise ValueError(f"the {role} {str(path)!r} has changed since the record; give the original as {flag}")
    is_sample = str(path) in {*STYLES, *CONTENTS}
    return path if is_sample else file


def _warn_of_other_weights(record: dict[str, Any], result: Result) -> None:
    """Warn where the weights that made the output were other ones, because the output then differs."""
    if record.get("weights", result.weights) != result.weights:
        warnings.warn(f"the picture was computed with other weights: {record['weights']}", stacklevel=3)
