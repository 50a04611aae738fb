"""The commands that list: methods, backbones, losses and weights."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from impasto.cli.flags import parse

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListForm:
    """List what there is, as a table, or as JSON for programs."""

    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print a list of JSON objects."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightsForm(ListForm):
    """Pretrained weights, by the names that `impasto weights list` shows."""

    name: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ()
    """Which weights."""


def methods(arguments: list[str]) -> int:
    """`impasto methods`."""
    form = _parse(arguments, "methods")
    from impasto.methods import METHODS

    rows = [{"name": name, "summary": METHODS[name].summary, "any_style": METHODS[name].any_style} for name in METHODS]
    return show(rows, as_json=form.json, columns=("name", "summary"))


def backbones(arguments: list[str]) -> int:
    """`impasto backbones`."""
    form = _parse(arguments, "backbones")
    from impasto.backbones import BACKBONES
    from impasto.weights import MANIFEST, find

    rows: list[Row] = []
    for name in BACKBONES:
        part = BACKBONES[name]
        file = find(part.weights) if part.weights else None
        rows.append(
            {
                "name": name,
                "summary": part.summary,
                "at_hand": part.weights is None or file is not None,
                "weights": part.weights,
                "path": str(file) if file else None,
                "license": MANIFEST[part.weights].license if part.weights else None,
                "note": part.note,
                "layers": part.layers,
                "content_layers": part.content_layers,
                "style_layers": part.style_layers,
            }
        )
    return show(rows, as_json=form.json, columns=("name", "summary", "at_hand", "license", "style_layers"))


def losses(arguments: list[str]) -> int:
    """`impasto losses`."""
    form = _parse(arguments, "losses")
    from impasto.losses import LOSSES

    rows = [
        {
            "name": name,
            "summary": (inspect.getdoc(LOSSES[name]) or "").partition("\n")[0],
            "is_spatial_mean": LOSSES[name].is_spatial_mean,
        }
        for name in LOSSES
    ]
    return show(rows, as_json=form.json, columns=("name", "summary"))


def weights_list(arguments: list[str]) -> int:
    """`impasto weights list`."""
    form = _parse(arguments, "weights list")
    from impasto.weights import table

    return show(table(), as_json=form.json, columns=("name", "size_mib", "license", "path", "summary"))


def weights_fetch(arguments: list[str]) -> int:
    """`impasto weights fetch`."""
    form, rest = parse(WeightsForm, arguments, command="weights fetch")
    names = [*form.name, *rest]
    from impasto.weights import MANIFEST, fetch

    if len(names) != 1:
        raise ValueError(f"give one NAME of {', '.join(MANIFEST)}, not {len(names)}")
    path = fetch(names[0])
    print(json.dumps({"name": names[0], "path": str(path)}) if form.json else path)
    return 0


def weights_verify(arguments: list[str]) -> int:
    """`impasto weights verify`: status 2 where a file is wrong, or the one that was named is missing."""
    form, rest = parse(WeightsForm, arguments, command="weights verify")
    names = [*form.name, *rest]
    from impasto.weights import MANIFEST, verify

    checks = [verify(name) for name in names or MANIFEST]
    rows = [{**dataclasses.asdict(check), "path": str(check.path) if check.path else None} for check in checks]
    show(rows, as_json=form.json, columns=("name", "state", "path"))
    bad = [check for check in checks if check.state == "wrong" or (names and check.state == "missing")]
    if bad:
        reasons = (f"{check.name} is {check.state}{f' ({check.path})' if check.path else ''}" for check in bad)
        raise ValueError(f"{'; '.join(reasons)}; `impasto weights fetch NAME` gets it")
    return 0


def show(rows: Sequence[Row], *, as_json: bool, columns: Sequence[str]) -> int:
    """Prints rows: as JSON, as a table on a terminal, and in plain columns into a pipe."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return 0
    cells = [[text_of(row[column]) for column in columns] for row in rows]
    heads = [column.replace("_", " ") for column in columns]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*heads, box=None, header_style="bold", pad_edge=False)
        for line in cells:
            table.add_row(*(Text(cell) for cell in line))
        Console().print(table)
        return 0
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    for line in [heads, *cells]:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


def _parse(arguments: list[str], command: str) -> ListForm:
    form, rest = parse(ListForm, arguments, command=command)
    if rest:
        raise ValueError(f"impasto {command} takes no {rest[0]!r}; see impasto {command} --help")
    return form


def text_of(value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(value)
    return "-" if value is None else str(value)
