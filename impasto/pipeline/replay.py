"""Stylize again from the record of an output."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from impasto.images import MAX_PIXELS, MIN_SIDE, Source, open_picture
from impasto.methods import METHODS, configure
from impasto.pipeline.load_inputs import sources_of
from impasto.pipeline.records import ROLES, load_record
from impasto.pipeline.result import Result
from impasto.pipeline.run import OnStep
from impasto.pipeline.stylizer import stylize
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.types import Step, is_stopped_by

ARGUMENTS = dict(zip(ROLES, ("content", "start", "styles", "masks", "style_masks"), strict=True))
"""Arguments of `replay` for the inputs of each role."""


def replay(
    picture: str | os.PathLike[str],
    *,
    content: Source | None = None,
    start: Source | None = None,
    styles: Source | Sequence[Source] = (),
    masks: Source | Sequence[Source] = (),
    style_masks: Source | Sequence[Source] = (),
    device: str | None = None,
    on_step: OnStep | None = None,
    output: str | Path | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Result:
    """Stylize again from the same inputs with the same settings; on the same machine the output is identical.

    Args:
        picture: an output with its record inside or beside it, or the record.
        content: new path of the content image if it was moved, or the picture if it was in memory, as for `stylize`.
        start: the same for the start image.
        styles: the same for the style images, one or several.
        masks: the same for the masks.
        style_masks: the same for the masks of the style images.
        device: name of the device, in place of the recorded one.
        on_step: called with every step; returning False stops and keeps the best image.
        output: as for `stylize`.
        checkpoint: as for `stylize`.
        max_pixels: largest number of pixels of an input.

    Raises:
        ValueError: if the record is missing or, after the name of its argument, an input is missing or has changed.
    """
    record = _record(Path(picture))
    inputs = _inputs(record, [sources_of(each) for each in (content, start, styles, masks, style_masks)], max_pixels)
    settings = {**_used_settings(record), **_file_settings(inputs), **({"device": device} if device else {})}
    settings |= {"output": output, "checkpoint": checkpoint, "max_pixels": max_pixels}
    (source,), others, method = inputs["content"], inputs["style"], record["method"]
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
    return not is_stopped_by(on_step, step) and step.index != last


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


def _file_settings(inputs: Mapping[str, Sequence[Source]]) -> dict[str, Any]:
    """Return the settings that are inputs: absolute paths, which never name a method, samples or pictures."""
    names = {
        role: [str(each.absolute()) if isinstance(each, Path) else each for each in inputs[role]] for role in ROLES
    }
    masks = {role: names[role] for role in ("mask", "style_mask") if names[role]}
    return {**masks, **({"start": names["start"][0]} if names["start"] else {})}


def _inputs(record: dict[str, Any], given: Sequence[Sequence[Source]], max_pixels: int) -> dict[str, list[Source]]:
    """Return the inputs by role, in the order of the record.

    Those of `given`, which has the order of `ROLES`, replace the first ones of their role.
    """
    inputs: dict[str, list[Source]] = {role: [] for role in ROLES}
    for entry in _given_inputs(record):
        done, others = inputs[entry["role"]], given[ROLES.index(entry["role"])]
        done.append(_checked(entry, others[len(done)] if len(done) < len(others) else entry["path"], max_pixels))
    return inputs


def _checked(entry: dict[str, Any], source: Source | None, max_pixels: int) -> Source:
    """Return an input after a comparison of its hash with the record: the path of a file, a sample, or a picture."""
    argument = ARGUMENTS[entry["role"]]
    if source is None:
        raise ValueError(f"{argument}: it was a picture in memory ({entry['name']}), not a file; give this picture")
    name, file = "the picture", source
    if isinstance(source, str | os.PathLike):
        name = repr(os.fsdecode(source))
        try:
            file = resolve(source)
        except ValueError:
            raise ValueError(f"{argument}: {name} is missing; give its new path") from None
    picture = open_picture(file, max_pixels=max_pixels, longer_side=MIN_SIDE)  # its pixels are not needed here
    is_file = isinstance(file, Path)
    is_hashed_alike = is_file if entry["path"] is not None else picture.name == entry["name"]
    if is_hashed_alike and picture.sha256 != entry["sha256"]:
        raise ValueError(f"{argument}: {name} has changed since the record; give the original")
    is_sample = is_file and str(source) in {*STYLES, *CONTENTS}
    return source if is_sample else file


def _warn_of_other_weights(record: dict[str, Any], result: Result) -> None:
    """Warn where the weights that made the output were other ones, because the output then differs."""
    if record.get("weights", result.weights) != result.weights:
        warnings.warn(f"the picture was computed with other weights: {record['weights']}", stacklevel=3)
