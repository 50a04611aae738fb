"""List the registered parts: `impasto methods`, `impasto backbones` and `impasto losses`."""

from __future__ import annotations

import inspect

from impasto.cli.flags import CommandParser, add_json
from impasto.cli.tables import Row, print_rows


def methods(arguments: list[str]) -> int:
    """Run `impasto methods`."""
    as_json = _wants_json("methods", arguments)
    from impasto.methods import METHODS

    rows = [{"name": name, "summary": METHODS[name].summary, "any_style": METHODS[name].any_style} for name in METHODS]
    print_rows(rows, as_json=as_json, columns=("name", "summary"))
    return 0


def backbones(arguments: list[str]) -> int:
    """Run `impasto backbones`."""
    as_json = _wants_json("backbones", arguments)
    from impasto.backbones import BACKBONES

    rows = [_backbone_row(name) for name in BACKBONES]
    print_rows(rows, as_json=as_json, columns=("name", "summary", "available", "license", "style_layers"))
    return 0


def losses(arguments: list[str]) -> int:
    """Run `impasto losses`."""
    as_json = _wants_json("losses", arguments)
    from impasto.losses import LOSSES

    rows = [
        {
            "name": name,
            "summary": inspect.cleandoc(LOSSES[name].__doc__ or "").partition("\n")[0],  # none with `python -OO`
            "role": LOSSES[name].role,
            "is_spatial_mean": LOSSES[name].is_spatial_mean,
        }
        for name in LOSSES
    ]
    print_rows(rows, as_json=as_json, columns=("name", "role", "summary"))
    return 0


def _backbone_row(name: str) -> Row:
    from impasto.backbones import BACKBONES
    from impasto.weights import MANIFEST, find

    backbone = BACKBONES[name]
    file = find(backbone.weights) if backbone.weights else None
    return {
        "name": name,
        "summary": backbone.summary,
        "available": backbone.weights is None or file is not None,
        "weights": backbone.weights,
        "path": str(file) if file else None,
        "license": MANIFEST[backbone.weights].license if backbone.weights else None,
        "note": backbone.note,
        "layers": backbone.layers,
        "content_layers": backbone.content_layers,
        "style_layers": backbone.style_layers,
    }


def _wants_json(command: str, arguments: list[str]) -> bool:
    parser = CommandParser(command)
    add_json(parser, "Print a JSON list with one object per row.")
    return bool(parser.parse(arguments).json)
