"""The tab History: show, edit, replay and delete stored results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import gradio as gr

from impasto.studio.page import canvas
from impasto.studio.page.grid import GridCell, grid_component, grid_html, selected_key
from impasto.studio.page.paint import PaintTab
from impasto.studio.page.streaming import IMMEDIATE, STREAMED
from impasto.studio.requests import request_from_record
from impasto.studio.service import StudioService

HIDDEN = gr.update(visible=False)
FILE_SETTINGS = ("start", "mask", "style_mask")
"""Settings that a summary leaves out, because their values are paths."""
EMPTY = "No results yet. Every result of the studio is stored here with its record."


class HistoryTab:
    """Components and event handlers of the tab."""

    def __init__(self, service: StudioService, paint: PaintTab, tabs: gr.Tabs, tab: gr.Tab) -> None:
        self.service, self.paint, self.tabs = service, paint, tabs
        self.selected = gr.State("")
        self.viewer = gr.HTML("", js_on_load=canvas.SCRIPT, apply_default_css=False, elem_id="history-viewer")
        with gr.Row(visible=False, elem_classes="actions") as self.actions:
            self.edit = gr.Button("Edit in Paint", elem_id="history-edit")
            self.replay_button = gr.Button("Replay", elem_id="history-replay")
            self.delete = gr.Button("Delete", elem_id="history-delete")
            self.confirm = gr.Button("Yes, delete", variant="stop", visible=False, elem_id="history-confirm")
        self.grid = grid_component("", "history-grid")
        self._connect(tab)

    def _connect(self, tab: gr.Tab) -> None:
        inputs = [self.selected, self.paint.content, self.paint.styles]
        restored = [*self.paint.restored, self.tabs]
        viewer = [self.selected, self.viewer, self.actions, self.confirm]
        tab.select(self.refresh, None, self.grid, **IMMEDIATE)
        self.grid.select(self.show, None, viewer, **IMMEDIATE)
        self.edit.click(self.restore, inputs, restored, **IMMEDIATE)
        self.replay_button.click(self.replay, inputs, [*restored, *self.paint.job_outputs], **STREAMED)
        self.delete.click(lambda: gr.update(visible=True), None, self.confirm, **IMMEDIATE)
        self.confirm.click(self.remove, self.selected, [*viewer, self.grid], **IMMEDIATE)

    def refresh(self) -> str:
        """Return the grid of all results, the newest first."""
        return grid_html(
            [
                GridCell(entry.key, f"pictures/{entry.key}.jpg", entry.title, f"{entry.title} · {entry.created()}")
                for entry in self.service.history.entries()
            ],
            empty=EMPTY,
        )

    def show(self, event: gr.EventData) -> tuple[str, str, Any, Any]:
        """Show the selected result."""
        try:
            entry = self.service.history.entry(selected_key(event))
            record = entry.record()
            request = request_from_record(record)
        except ValueError as error:
            return "", canvas.error_html(error), HIDDEN, HIDDEN
        before = f"sources/{self.service.page_name(request.content)}"
        picture = canvas.before_after_html(before, f"pictures/{entry.key}.png", f"Result: {entry.title}")
        status = f"<p class='status'>{escape(summary(record))}</p>"
        downloads = canvas.downloads_html(entry.key, request)
        return entry.key, f"<div class='canvas'>{picture}{status}</div>{downloads}", gr.update(visible=True), HIDDEN

    def restore(self, key: str, content: Any, styles: Any) -> list[Any]:
        """Show the images and settings of a result in the tab Paint."""
        updates = self.paint.restore(self.service.history.entry(key).record(), content, styles)
        return [*updates, gr.update(selected="paint-tab")]

    def replay(self, request: gr.Request, key: str, content: Any, styles: Any) -> Iterator[dict[Any, Any]]:
        """Compute a result again from its record, in the tab Paint."""
        replayed = request_from_record(self.service.history.entry(key).record())
        updates = self.restore(key, content, styles)
        yield dict(zip([*self.paint.restored, self.tabs], updates, strict=True))
        yield from self.paint.run(request, lambda: replayed, self.service.page_name(replayed.content))

    def remove(self, key: str) -> tuple[str, str, Any, Any, str]:
        """Delete a result."""
        if key:
            self.service.history.delete(key)
        return "", "", HIDDEN, HIDDEN, self.refresh()


def summary(record: Mapping[str, Any]) -> str:
    """Return method, steps, time and changed settings of a record in one line."""
    request = request_from_record(record)
    settings = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in request.settings.items() if name not in FILE_SETTINGS
    )
    parts = [request.method, f"{record['steps']} steps in {record.get('seconds', 0):.1f} s"]
    if settings:
        parts.append(settings)
    if count := len(record.get("segments", ())):
        parts.append(f"continued from {count} earlier {'result' if count == 1 else 'results'}")
    return " · ".join(parts)
