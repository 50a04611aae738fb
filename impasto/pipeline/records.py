"""Find, read and protect the record of a picture: inside a PNG, or in a JSON file beside the picture."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from impasto.images import MAX_PIXELS, Bits, read_depth_and_location, read_record

ROLES = ("content", "start", "style", "mask", "style_mask")
FORMAT = 1
"""Version of the format of a record."""
REQUIRED = {"method", "settings", "inputs", "steps", "stopped"}
"""Keys without which a record cannot be replayed."""


def record_path(picture: Path) -> Path:
    """Return the path of the record beside a picture.

    It is `a.json` for `a.jpg`, but `a.jpg.json` if `a.json` is the record of another picture, such as `a.png`.
    """
    shared = picture.with_suffix(".json")
    owner = _owner(shared)
    if owner in (None, picture.name) or not (picture.parent / str(owner)).is_file():
        return shared
    return picture.with_name(f"{picture.name}.json")


def check_record_path(picture: Path) -> None:
    """Check that saving a picture with its record would not replace another kind of file.

    Raises:
        ValueError: if the path of the record is taken.
    """
    file = record_path(picture)
    try:
        if file.exists():
            load_record(file)
    except (ValueError, OSError):
        text = f"the record would replace {str(file)!r}, which is not a record of impasto"
        raise ValueError(f"cannot write {str(picture)!r}: {text}; give another name") from None


def load_record(picture: str | Path) -> dict[str, Any]:
    """Return the record inside a PNG, else the one beside the picture; a `.json` file is a record itself.

    Raises:
        ValueError: if the record is missing or corrupt.
    """
    picture = Path(picture)
    if picture.is_dir():
        raise ValueError(f"{str(picture)!r}: it is a folder; give an output of impasto")
    text = None
    if picture.suffix.lower() == ".json":
        text = _read(picture)
    elif picture.suffix.lower() == ".png":
        text = read_record(picture)
    if text is None and record_path(picture).is_file():
        text = _read(record_path(picture))
    if text is None:
        raise ValueError(f"{str(picture)!r}: no record in the file or beside it; give an output of impasto")
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{str(picture)!r}: its record is not JSON: {error}; give an output of impasto") from None
    missing = REQUIRED - set(record if isinstance(record, dict) else ())
    if missing:
        lacking = ", ".join(sorted(missing))
        raise ValueError(f"{str(picture)!r}: not a record of impasto: it lacks {lacking}; give an output of impasto")
    assert isinstance(record, dict)
    if record.get("format", FORMAT) != FORMAT:
        text = f"its record has format {record['format']!r}, and this version of impasto reads {FORMAT}"
        raise ValueError(f"{str(picture)!r}: {text}; use the version that wrote it")
    if not _has_valid_types(record):
        raise ValueError(f"{str(picture)!r}: its record is corrupt; give an output of impasto")
    return record


def saved_with(record: dict[str, Any], picture: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[Bits, bool]:
    """Return the arguments `bits` and `keep_location` of `Result.save` with which a picture was saved.

    Args:
        record: its record, which has both, unless an older version of impasto wrote it.
        picture: the file, which is read for an older record; the defaults are returned if it is not an image.
        max_pixels: largest number of pixels of the file.
    """
    found: tuple[Bits, bool] = (8, False)
    if "bits" not in record:
        with suppress(ValueError):
            found = read_depth_and_location(picture, max_pixels)
    return record.get("bits", found[0]), record.get("keep_location", found[1])


def _owner(file: Path) -> str | None:
    """Return the name of the picture that a record names; None if it names none or cannot be read."""
    try:
        name = load_record(file).get("picture") if file.is_file() else None
    except (ValueError, OSError):
        return None
    return Path(name).name if isinstance(name, str) else None


def _has_valid_types(record: dict[str, Any]) -> bool:
    """Check the types of what `replay` reads, because a record may have been edited."""
    inputs = record["inputs"]
    return (
        isinstance(record["method"], str)
        and isinstance(record["settings"], dict)
        and isinstance(inputs, list)
        and all(isinstance(entry, dict) and _is_input(entry) for entry in inputs)
        and [entry["role"] for entry in inputs].count("content") == 1
        and all(entry["role"] in ROLES for entry in inputs)
        and record.get("bits", 8) in (8, 16)
        and isinstance(record.get("keep_location", False), bool)
    )


def _is_input(entry: dict[str, Any]) -> bool:
    """Check the keys and types of the entry of an input."""
    texts = [entry.get(name) for name in ("role", "name", "sha256")]
    return all(isinstance(each, str) for each in texts) and isinstance(entry.get("path", 0), str | None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r}: the record cannot be read: {error}") from None
