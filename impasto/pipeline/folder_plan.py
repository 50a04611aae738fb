"""Which photographs of a folder are to be painted, and where; what lies there painted already stays as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from impasto.config import check_settings
from impasto.images import Bits, check_output
from impasto.images.folders import pictures_in
from impasto.pipeline.replay import load_record
from impasto.pipeline.result import record_path
from impasto.pipeline.stylizer import Stylizer
from impasto.weights import sha256_of

SUFFIX = ".png"
"""Format of the paintings unless another is chosen: it keeps the record inside."""
ELSEWHERE = ("device",)
"""Settings that may differ between paintings that are the same: they say where, not what."""


@dataclass(frozen=True)
class Task:
    """A photograph of the folder."""

    content: Path
    output: Path
    record: dict[str, Any] | None = None
    """Of what lies there already, painted as is asked now; None where there is something to do."""


def plan(
    content: str | Path,
    output: str | Path,
    stylizer: Stylizer,
    *,
    suffix: str = SUFFIX,
    bits: Bits = 8,
    overwrite: bool = False,
) -> list[Task]:
    """What is to be painted where, and what is painted already. Raises `ValueError` where it cannot be."""
    for name in ("mask", "style_mask"):
        if getattr(stylizer.config, name):
            raise ValueError(f"{name}: a mask belongs to one photograph; paint that one by itself")
    source, target = Path(content), Path(output)
    suffix = f".{suffix.removeprefix('.')}"
    files = _photographs(source, target)
    outputs = [target / name for name in output_names([file.relative_to(source) for file in files], suffix)]
    _check_no_input(files, outputs, stylizer)
    tasks, others = [], []
    weights = stylizer.weights  # without them every picture would fail for itself
    for file, place in zip(files, outputs, strict=True):
        record, other = _what_lies_there(place, file, stylizer, weights)
        tasks.append(Task(file, place, record))
        others += [f"{str(place)!r} {other}"] if other else []
    if others and not overwrite:
        raise ValueError(
            f"overwrite: {len(others)} of {len(tasks)} paintings would take the place of something else: {others[0]}; "
            "allow it, or give another folder"
        )
    check_output(outputs[0], bits)
    return tasks


def output_names(files: Sequence[Path], suffix: str) -> list[Path]:
    """Where each picture goes: `a.jpg` to `a.png`; those that would meet there keep their whole names.

    >>> [str(name) for name in output_names([Path("a.jpg"), Path("b.jpg"), Path("b.tif")], ".png")]
    ['a.png', 'b.jpg.png', 'b.tif.png']
    """
    whole: set[Path] = set()
    while True:
        names = [file.with_name(file.name + suffix) if file in whole else file.with_suffix(suffix) for file in files]
        count = Counter(str(name).casefold() for name in names)  # some file systems know no capitals
        meeting = {file for file, name in zip(files, names, strict=True) if count[str(name).casefold()] > 1}
        if meeting <= whole:
            return names
        whole |= meeting


def _photographs(source: Path, target: Path) -> list[Path]:
    """The pictures of a folder, without hidden ones and without what was painted into it."""
    if source.resolve() == target.resolve():
        raise ValueError(f"the paintings of {str(source)!r} would lie among its photographs: give another folder")
    painted = target.resolve()
    files = [
        file
        for file in pictures_in(source)
        if not any(part.startswith(".") for part in file.relative_to(source).parts)
        and painted not in (source.resolve() / file.relative_to(source)).parents
    ]
    if not files:
        raise ValueError(f"{str(source)!r}: no photograph lies in it that is yet to be painted; give another folder")
    return files


def _check_no_input(files: Sequence[Path], outputs: Sequence[Path], stylizer: Stylizer) -> None:
    named = [Path(entry.path) for entry in (*stylizer.styles, *stylizer.start) if entry.path is not None]
    inputs = {file.resolve() for file in (*files, *named)}
    for output in outputs:
        if output.resolve() in inputs:
            raise ValueError(f"{output} is an input and would be overwritten: give another folder")


def _what_lies_there(
    output: Path, content: Path, stylizer: Stylizer, weights: dict[str, str]
) -> tuple[dict[str, Any] | None, str | None]:
    """The record of a painting that is the one asked for; else what is wrong with what lies there, if anything does."""
    there = output if output.exists() else record_path(output)
    if not there.exists():
        return None, None
    try:
        record = load_record(there)
    except ValueError:
        return None, "was not painted by impasto" if there == output else "needs a record, whose place is taken"
    if there != output:
        return None, None  # a painting that was cut off: its record comes first
    try:
        other = _difference(record, content, stylizer, weights)
    except OSError:
        return None, None  # the photograph cannot be read, which painting it will tell
    return (record, None) if other is None else (None, other)


def _difference(record: dict[str, Any], content: Path, stylizer: Stylizer, weights: dict[str, str]) -> str | None:
    """What sets a painting apart from the one asked for."""
    if record["method"] != stylizer.method:
        return f"was painted by {record['method']}"
    try:
        settings = check_settings(type(stylizer.config), stylizer.method, record["settings"])
    except ValueError:
        return "was painted by another version"
    names = [field.name for field in fields(stylizer.config) if field.name not in ELSEWHERE]
    changed = [name for name in names if getattr(settings, name) != getattr(stylizer.config, name)]
    if changed:
        return f"was painted with another {', '.join(changed)}"
    hashes = [(each["role"], each["sha256"]) for each in record["inputs"]]
    if hashes[1:] != [(each.role, each.sha256) for each in (*stylizer.styles, *stylizer.start)]:
        return "was painted after other styles"
    if hashes[0] != ("content", sha256_of(content)):
        return "was painted from another photograph"
    if record.get("weights") != weights:
        return "was judged by other weights"
    return "was stopped on the way" if record["stopped"] == "cancelled" else None
