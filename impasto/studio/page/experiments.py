"""The tab Experiments: what `impasto experiment run` made, to browse."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from impasto.experiments.run import Run
from impasto.studio.experiment_browser import Shelf
from impasto.studio.page.grid import Cell, grid, grid_component, key_of
from impasto.studio.page.streaming import AT_ONCE
from impasto.studio.plot import curves_svg
from impasto.studio.requests import name_of

EMPTY = "No experiment lies here. `impasto experiment run NAME -o FOLDER` makes one."


class ExperimentsTab:
    """The components of the tab, and what they do."""

    def __init__(self, shelf: Shelf, tab: gr.Tab) -> None:
        self.shelf = shelf
        self.folder = gr.Dropdown([], label="Experiment", info=f"in {shelf.root.absolute()}", elem_id="experiment")
        self.table = gr.HTML("", apply_default_css=False, elem_id="experiment-table")
        self.shown = gr.HTML("", apply_default_css=False, elem_id="experiment-shown")
        self.grid = grid_component("", "experiment-grid")
        seen = [self.table, self.shown, self.grid]
        tab.select(self.list, self.folder, [self.folder, *seen], **AT_ONCE)
        self.folder.input(self.open, self.folder, seen, **AT_ONCE)
        self.grid.select(self.look, self.folder, self.shown, **AT_ONCE)

    def list(self, chosen: str | None) -> tuple[Any, str, str, str]:
        """The experiments that there are now; the first one is opened."""
        found = self.shelf.found()
        key = chosen if chosen in found else next(iter(found), None)
        choices = [(name, each) for each, name in found.items()]
        return gr.update(choices=choices, value=key), *self.open(key)

    def open(self, key: str | None) -> tuple[str, str, str]:
        """Table and pictures of one experiment."""
        if not key:
            return f'<p class="empty">{escape(EMPTY)}</p>', "", ""
        try:
            head, rows = self.shelf.table(key)
            cells = [_cell(key, i, run) for i, run in enumerate(self.shelf.runs(key))]
        except ValueError as error:
            return f'<p class="refused" role="alert">{escape(str(error))}</p>', "", ""
        link = f'<p><a href="experiments/{escape(key)}/report.html" target="_blank">Open the report</a></p>'
        return link + _table(head, rows), "", grid(cells, empty="Nothing is painted yet.")

    def look(self, key: str, event: gr.EventData) -> str:
        """One painting with its curves."""
        try:
            runs = self.shelf.runs(key)
            number = key_of(event)
            run = runs[int(number)] if number.isdecimal() and int(number) < len(runs) else None
        except ValueError:
            run = None
        if run is None:
            return ""
        return (
            f'<div class="stage"><div class="frame"><img src="{_address(key, run)}" alt="{escape(_alt(run))}"></div>'
            f'<p class="status">{escape(_caption(run))}</p><div class="curves">{curves_svg(run.curve)}</div></div>'
        )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="table" tabindex="0"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(key: str, number: int, run: Run) -> Cell:
    return Cell(str(number), _address(key, run), _alt(run), _caption(run))


def _address(key: str, run: Run) -> str:
    return f"experiments/{key}/{run.picture}" if run.picture else ""


def _alt(run: Run) -> str:
    return f"{name_of(run.task.content)} after {name_of(run.task.style)}, {run.task.variant}"


def _caption(run: Run) -> str:
    how = run.error or (run.status if run.status != "done" else f"{run.seconds or 0:.1f} s")
    return f"{_alt(run)} · {how}"
