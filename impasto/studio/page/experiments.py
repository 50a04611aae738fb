"""The tab Experiments: browse the results of `impasto experiment run`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from impasto.experiments.run import Run
from impasto.studio.experiment_browser import ExperimentBrowser
from impasto.studio.page.canvas import error_html
from impasto.studio.page.grid import GridCell, grid_component, grid_html, selected_key
from impasto.studio.page.streaming import IMMEDIATE
from impasto.studio.plot import curves_svg
from impasto.studio.requests import display_name

EMPTY = "No experiments yet. The command “impasto experiment run NAME -o FOLDER” creates one in this folder."


class ExperimentsTab:
    """Components and event handlers of the tab."""

    def __init__(self, browser: ExperimentBrowser, tab: gr.Tab) -> None:
        self.browser = browser
        self.experiment = gr.Dropdown(
            [], label="Experiment", info=f"in {browser.root.absolute()}", elem_id="experiment"
        )
        self.table = gr.HTML("", apply_default_css=False, elem_id="experiment-table")
        self.viewer = gr.HTML("", apply_default_css=False, elem_id="experiment-viewer")
        self.grid = grid_component("", "experiment-grid")
        outputs = [self.table, self.viewer, self.grid]
        tab.select(self.refresh, self.experiment, [self.experiment, *outputs], **IMMEDIATE)
        self.experiment.input(self.open, self.experiment, outputs, **IMMEDIATE)
        self.grid.select(self.show, self.experiment, self.viewer, **IMMEDIATE)

    def refresh(self, selected: str | None) -> tuple[Any, str, str, str]:
        """List the experiments again, and open the selected or the first one."""
        names = self.browser.find()
        key = selected if selected in names else next(iter(names), None)
        choices = [(name, each) for each, name in names.items()]
        return gr.update(choices=choices, value=key), *self.open(key)

    def open(self, key: str | None) -> tuple[str, str, str]:
        """Return table, empty viewer and grid of one experiment."""
        if not key:
            return f'<p class="empty">{escape(EMPTY)}</p>', "", ""
        try:
            header, rows = self.browser.table(key)
            cells = [_cell(key, index, run) for index, run in enumerate(self.browser.runs(key))]
        except ValueError as error:
            return error_html(error), "", ""
        link = f'<p><a href="experiments/{escape(key)}/report.html" target="_blank">Open the report</a></p>'
        return link + _table(header, rows), "", grid_html(cells, empty="No run of this experiment has started yet.")

    def show(self, key: str, event: gr.EventData) -> str:
        """Show the result of one run and its loss curves."""
        try:
            runs = self.browser.runs(key)
        except ValueError:
            return ""
        index = selected_key(event)
        if not index.isdecimal() or int(index) >= len(runs):
            return ""
        run = runs[int(index)]
        picture = f'<img src="{_address(key, run)}" alt="{escape(_title(run))}">'
        return (
            f'<div class="canvas"><div class="frame">{picture}</div>'
            f'<p class="status">{escape(_caption(run))}</p><div class="curves">{curves_svg(run.curve)}</div></div>'
        )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(key: str, index: int, run: Run) -> GridCell:
    return GridCell(str(index), _address(key, run), _title(run), _caption(run))


def _address(key: str, run: Run) -> str:
    return f"experiments/{key}/{run.picture}" if run.picture else ""


def _title(run: Run) -> str:
    return f"{display_name(run.task.content)} stylized with {display_name(run.task.style)}, {run.task.variant}"


def _caption(run: Run) -> str:
    status = run.error or (run.status if run.status != "done" else f"{run.seconds or 0:.1f} s")
    return f"{_title(run)} · {status}"
