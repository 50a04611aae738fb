"""Print rows as JSON, as a table on a terminal, or as plain columns into a pipe."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
NARROWEST_COLUMN = 12
"""Mean width of the columns of a table, in characters; a narrower terminal breaks the lines of plain columns."""


def print_rows(rows: Sequence[Row], *, as_json: bool, columns: Sequence[str]) -> None:
    """Print rows.

    Args:
        rows: values by name; all rows have the same names.
        as_json: print all values as a JSON list.
        columns: names of the values that a table shows.
    """
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    heads = [column.replace("_", " ") for column in columns]
    cells = [[text_of(row[column]) for column in columns] for row in rows]
    if sys.stdout.isatty() and shutil.get_terminal_size().columns >= NARROWEST_COLUMN * len(columns):
        _print_table(heads, cells)
        return
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for line in [heads, *cells]:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def text_of(value: Any) -> str:
    """Return a value as text for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(value)
    return "-" if value is None else str(value)


def _print_table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, box=None, header_style="bold", pad_edge=False)
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)
