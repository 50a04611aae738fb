"""Find the content images of a folder, the paths of their outputs, and the outputs that exist already."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.config import check_settings, settings_of
from impasto.files import check_replaceable, same_file
from impasto.images import Bits, check_format, read_depth_and_location
from impasto.images.folders import pictures_in
from impasto.pipeline.records import load_record, record_path, saved_with
from impasto.pipeline.stylizer import Stylizer
from impasto.weights import sha256_of

SUFFIX = ".png"
"""Default format of the outputs: a PNG file contains its record."""
IGNORED_SETTINGS = ("device",)
"""Settings that may differ between outputs that count as the same."""
CHOSEN_SETTINGS = ("tile",)
"""Settings that a run chooses by the free memory where they are not given."""


@dataclass(frozen=True)
class FolderTask:
    """One content image of a folder."""

    content: Path
    output: Path
    is_finished: bool = False
    """Whether a complete output exists with the same inputs and settings, saved in the same way."""


def folder_tasks(
    content: str | os.PathLike[str],
    output: str | os.PathLike[str],
    stylizer: Stylizer,
    *,
    suffix: str = SUFFIX,
    bits: Bits = 8,
    keep_location: bool = False,
    overwrite: bool = False,
) -> list[FolderTask]:
    """Return one task per content image of a folder.

    Args:
        content: folder of content images; hidden files and folders are left out.
        output: folder of the outputs; may be inside `content`.
        stylizer: method, settings and style images.
        suffix: format of the outputs.
        bits: bits per channel.
        keep_location: as for `Result.save`.
        overwrite: whether to replace files that are not outputs of the same inputs and settings, saved in the same way.

    Raises:
        ValueError: if the folder has no content image, an output cannot be written, or an output would replace an input
            or, without `overwrite`, another file.
    """
    _check_no_masks(stylizer)
    source, target = Path(content), Path(output)
    suffix = f".{suffix.removeprefix('.')}"
    files = _content_images(source, target)
    outputs = [target / name for name in output_names([file.relative_to(source) for file in files], suffix)]
    _check_not_an_input(files, outputs, stylizer)
    tasks, conflicts = _tasks(files, outputs, stylizer, bits=bits, keep_location=keep_location)
    _check_outputs(tasks, conflicts, overwrite=overwrite)
    check_format(outputs[0], bits)
    return tasks


def finished_record(task: FolderTask, stylizer: Stylizer, **saving: Any) -> dict[str, Any] | None:
    """Return the record, without the curve, of a complete output that counts as the requested one.

    Args:
        task: the content image and the output.
        stylizer: method, settings and style images.
        saving: arguments of `Result.save`: `bits` and `keep_location`.
    """
    record, _ = _existing_output(task.output, task.content, stylizer, stylizer.weights, **saving)
    return None if record is None else {name: value for name, value in record.items() if name != "curve"}


def output_names(files: Sequence[Path], suffix: str) -> list[Path]:
    """Return the name of each output: `a.jpg` becomes `a.png`; names that would collide keep their old suffix.

    >>> [str(name) for name in output_names([Path("a.jpg"), Path("b.jpg"), Path("b.tif")], ".png")]
    ['a.png', 'b.jpg.png', 'b.tif.png']
    """
    full: set[Path] = set()
    while True:
        names = [file.with_name(file.name + suffix) if file in full else file.with_suffix(suffix) for file in files]
        count = Counter(str(name).casefold() for name in names)  # some file systems ignore the case
        colliding = {file for file, name in zip(files, names, strict=True) if count[str(name).casefold()] > 1}
        if colliding <= full:
            return names
        full |= colliding


def _check_no_masks(stylizer: Stylizer) -> None:
    for name, files in (("mask", stylizer.config.mask), ("style_mask", stylizer.config.style_mask)):
        if files:
            raise ValueError(f"{name}: a mask belongs to one content image; stylize that image on its own")


def _content_images(source: Path, target: Path) -> list[Path]:
    """Return the pictures of a folder, without hidden ones and without the outputs in `target`."""
    if same_file(source, target):
        raise ValueError(f"{str(source)!r} is the folder of the content images; give another folder for the outputs")
    output = target.resolve()
    files = [
        file
        for file in pictures_in(source)
        if not any(part.startswith(".") for part in file.relative_to(source).parts)
        and output not in (source.resolve() / file.relative_to(source)).parents
    ]
    if not files:
        raise ValueError(f"{str(source)!r}: every picture in it is hidden or an output; give another folder")
    return files


def _check_not_an_input(files: Sequence[Path], outputs: Sequence[Path], stylizer: Stylizer) -> None:
    others = [Path(entry.path) for entry in (*stylizer.styles, *stylizer.start) if entry.path is not None]
    inputs = {_identity(file) for file in (*files, *others)} - {None}
    for output in outputs:
        if _identity(output) in inputs:
            raise ValueError(f"{str(output)!r} is an input and would be overwritten; give another folder")


def _identity(file: Path) -> tuple[int, int] | None:
    """Return what all names of an existing file share: links, and names in another case where case is ignored."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _tasks(
    files: Sequence[Path], outputs: Sequence[Path], stylizer: Stylizer, **saving: Any
) -> tuple[list[FolderTask], list[str]]:
    """Return the tasks, and a description of every file that an output would replace."""
    tasks, conflicts = [], []
    weights = stylizer.weights  # read here, because without weights every picture would fail separately
    for file, path in zip(files, outputs, strict=True):
        record, conflict = _existing_output(path, file, stylizer, weights, **saving)
        tasks.append(FolderTask(file, path, record is not None))
        conflicts += [f"{str(path)!r} {conflict}"] if conflict else []
    return tasks, conflicts


def _check_outputs(tasks: Sequence[FolderTask], conflicts: Sequence[str], *, overwrite: bool) -> None:
    """Raise `ValueError` if an output would replace another file without `overwrite`, or cannot be written."""
    if conflicts and not overwrite:
        raise ValueError(
            f"overwrite: {len(conflicts)} of {len(tasks)} outputs would replace another file: {conflicts[0]}; "
            "allow it, or give another folder"
        )
    for task in tasks:
        if not task.is_finished:
            check_replaceable(task.output)


def _existing_output(
    output: Path, content: Path, stylizer: Stylizer, weights: dict[str, str], **saving: Any
) -> tuple[dict[str, Any] | None, str | None]:
    """Return the record of a complete output that counts as the requested one, or what conflicts with the output."""
    file = output if output.exists() else record_path(output)
    if not file.exists():
        return None, None
    try:
        record = load_record(file)
    except ValueError:
        return None, "has no record of impasto" if file == output else "needs a record, and its file name is taken"
    if file != output:
        return None, None  # a record is written before its output, so this run was interrupted between the two
    try:
        difference = _difference(record, content, stylizer, weights)
        if difference is None:
            saved = saved_with(record, output, stylizer.max_pixels)
            difference = _saving_difference(*saved, content, stylizer.max_pixels, **saving)
    except (ValueError, OSError):
        return None, None  # the content image cannot be read; the error is reported when it is stylized
    if difference is not None:
        return None, difference
    return (None if record["stopped"] == "cancelled" else record), None  # a cancelled run is repeated


def _difference(record: dict[str, Any], content: Path, stylizer: Stylizer, weights: dict[str, str]) -> str | None:
    """Return how an existing output differs from the requested one, or None if it does not."""
    if record["method"] != stylizer.method:
        return f"was stylized with {record['method']}"
    try:
        settings = settings_of(check_settings(type(stylizer.config), stylizer.method, record["settings"]))
    except ValueError:
        return "was stylized with another version"
    requested = settings_of(stylizer.config)
    chosen = {name for name in CHOSEN_SETTINGS if requested.get(name) is None}
    others = [name for name in requested if name not in chosen and name not in IGNORED_SETTINGS]
    changed = [name for name in others if settings[name] != requested[name]]
    if changed:
        return f"was stylized with another {', '.join(changed)}"
    hashes = [(each["role"], each["sha256"]) for each in record["inputs"]]
    if hashes[1:] != [(each.role, each.sha256) for each in (*stylizer.styles, *stylizer.start)]:
        return "was stylized with other style images"
    if hashes[0] != ("content", sha256_of(content)):
        return "was stylized from another content image"
    if record.get("weights") != weights:
        return "was stylized with other weights"
    return None


def _saving_difference(
    saved_bits: Bits, kept_location: bool, content: Path, max_pixels: int, *, bits: Bits, keep_location: bool
) -> str | None:
    """Return how an existing output was saved otherwise than requested, or None if it was not."""
    if saved_bits != bits:
        return f"was saved with {saved_bits} bits per channel"
    if kept_location != keep_location and read_depth_and_location(content, max_pixels)[1]:
        return f"was saved {'with' if kept_location else 'without'} the location of its content image"
    return None
