"""Convert between records and the choices of the page: images, method and settings by the names that the page uses."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.config import names_files, setting_schemas
from impasto.methods import METHODS
from impasto.methods.micro import ANY_STYLE
from impasto.optim.schedule import STARTS
from impasto.pipeline.records import load_record
from impasto.samples import CONTENTS, STYLES
from impasto.studio.catalog import describe_image
from impasto.studio.networks import METHOD
from impasto.studio.plot import curves_svg
from impasto.studio.portable import without_paths
from impasto.studio.requests import StylizeRequest, request_from_record, without_continuation
from impasto.studio.service import StudioService
from impasto.studio.snippets import python_script, shell_command
from impasto.types import Step

ROLES = {"content": "content", "style": "styles", "mask": "mask"}
"""Name of each kind of input among the choices."""


def choices_of(service: StudioService, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choices that lead to the picture of a record, without the tiles, which depend on the free memory.

    Inputs are found by their hashes, so that a record from another studio works as soon as its images were uploaded.

    Args:
        service: the studio.
        record: record of a result, of this studio or another one.

    Returns:
        `content`, `styles`, `mask`, `method` and `settings`; `network`, whether the picture was made by a network for
        its style, of which this studio has one; `images`, the descriptions of the images; `missing`, the names of the
        images and of the network that this studio does not have.

    Raises:
        ValueError: for a record of a method that is not installed.
    """
    inputs = [(entry, _image_name(service, entry)) for entry in record["inputs"] if entry["role"] in ROLES]
    found: dict[str, list[str]] = {name: [] for name in ROLES.values()}
    for entry, name in inputs:
        found[ROLES[entry["role"]]] += [] if name is None else [name]
    request = request_from_record(record)
    settings = _shown_settings(request)
    missing = [str(entry["path"] or entry["name"]) for entry, name in inputs if name is None]
    has_network = _used_network(request) and service.networks.has_one_for(found["styles"])
    if _used_network(request) and not has_network:
        missing.append("the fast network of this picture")
    images = [describe_image(service, name) for name in found["content"] + found["styles"]]
    return {
        "content": "".join(found["content"]),
        "styles": found["styles"],
        "mask": found["mask"],
        "method": request.method,
        "settings": settings,
        "network": has_network,
        "images": images,
        "missing": missing,
    }


def _used_network(request: StylizeRequest) -> bool:
    """Return whether a request names a network of `impasto adapt`; the bundled weights are not named."""
    return request.method == METHOD and request.settings.get("weights") not in (None, ANY_STYLE)


def _shown_settings(request: StylizeRequest) -> dict[str, Any]:
    """Return the settings of a request that the page shows: no files, and not the tiles."""
    schemas = setting_schemas(METHODS[request.method].Config)
    return {
        name: value
        for name, value in without_continuation(request.settings).items()
        if not names_files(schemas[name]) and (name != "start" or value in STARTS) and name != "tile"
    }


def choices_in_png(service: StudioService, data: bytes) -> dict[str, Any]:
    """Return the choices that lead to a picture with a record inside.

    Raises:
        ValueError: if the picture has no record.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        file.write_bytes(data)
        try:
            record = load_record(file)
        except ValueError:
            raise ValueError("the picture has no settings inside; give a PNG from impasto") from None
    if record["method"] not in METHODS:
        raise ValueError(f"the picture was made with the method {record['method'][:40]!r}, which is not installed")
    return choices_of(service, record)


def details(service: StudioService, key: str) -> dict[str, Any]:
    """Return what the page shows of one result: its choices, its figures, and the code that computes it again.

    Raises:
        ValueError: for the key of no result.
    """
    entry = service.history.entry(key)
    record = entry.record()
    request = request_from_record(record)
    shown = without_continuation(request.settings)
    return {
        **entry.to_json(),
        "choices": choices_of(service, record),
        "steps": record["steps"],
        "losses": record.get("losses", {}),
        "settings": without_paths({name: value for name, value in shown.items() if name != "tile"}),
        "versions": [each["key"] for each in record.get("segments", ()) if "key" in each],
        "command": shell_command(request, entry.picture),
        "python": python_script(request, entry.picture),
        "curve": curves_svg([*map(Step.from_json, record.get("curve", ()))]),
    }


def _image_name(service: StudioService, entry: Mapping[str, Any]) -> str | None:
    """Return the name of an input on the page; None if this studio does not have it."""
    if entry["path"] in {*CONTENTS, *STYLES}:
        return str(entry["path"])
    key = str(entry["sha256"])
    try:
        service.uploads.path(key)
    except ValueError:
        return None
    return key
