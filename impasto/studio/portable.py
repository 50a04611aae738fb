"""Remove paths of this machine from records that leave the studio, so that a shared picture does not tell a name."""

from __future__ import annotations

import json
from pathlib import Path, PureWindowsPath
from typing import Any

from impasto.images import read_record, replace_record
from impasto.studio.uploads import upload_name


def without_paths(value: Any) -> Any:
    """Return JSON values in which every absolute path is replaced by the name of its file.

    An upload of the studio gets the name that the client gave to it.
    """
    if isinstance(value, dict):
        cleaned = {name: without_paths(each) for name, each in value.items()}
        if cleaned.get("path") != value.get("path") and "name" in cleaned:  # an input
            cleaned["name"] = cleaned["path"]
        return cleaned
    if isinstance(value, list | tuple):
        return [without_paths(each) for each in value]
    if isinstance(value, str) and Path(value).is_absolute():
        return upload_name(Path(value))
    if isinstance(value, str) and PureWindowsPath(value).is_absolute():  # in a record of another machine
        return PureWindowsPath(value).name
    return value


def portable_png(picture: Path) -> bytes:
    """Return the bytes of the PNG of a result, with a record that has no paths of this machine."""
    data, record = picture.read_bytes(), read_record(picture)
    return data if record is None else replace_record(data, json.dumps(without_paths(json.loads(record))))
