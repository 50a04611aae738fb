"""The tab History: every painting that was kept, to look at, to paint again, and to delete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import gradio as gr

from impasto.studio.page import canvas as stages
from impasto.studio.page.grid import Cell, grid, grid_component, key_of
from impasto.studio.page.paint import PaintTab
from impasto.studio.page.streaming import AT_ONCE, STREAMED
from impasto.studio.requests import order_of
from impasto.studio.service import Workshop

HIDDEN = gr.update(visible=False)
EMPTY = "Nothing was painted yet. Whatever is painted here is kept, with its record."


class HistoryTab:
    """The components of the tab, and what they do."""

    def __init__(self, workshop: Workshop, paint: PaintTab, tabs: gr.Tabs, tab: gr.Tab) -> None:
        self.workshop, self.paint, self.tabs = workshop, paint, tabs
        self.chosen = gr.State("")
        self.shown = gr.HTML("", js_on_load=stages.SCRIPT, apply_default_css=False, elem_id="history-shown")
        with gr.Row(visible=False, elem_classes="acts") as self.acts:
            self.send = gr.Button("Send to Paint", elem_id="history-send")
            self.again = gr.Button("Replay", elem_id="history-replay")
            self.delete = gr.Button("Delete", elem_id="history-delete")
            self.sure = gr.Button("Delete for good", variant="stop", visible=False, elem_id="history-sure")
        self.grid = grid_component("", "history-grid")
        tab.select(self.shelf, None, self.grid, **AT_ONCE)
        self.grid.select(self.look, None, [self.chosen, self.shown, self.acts, self.sure], **AT_ONCE)
        restored = [*paint.restored, tabs]
        self.send.click(self.restore, [self.chosen, paint.photograph, paint.styles], restored, **AT_ONCE)
        inputs = [self.chosen, paint.photograph, paint.styles]
        self.again.click(self.replay, inputs, [*restored, *paint.seen], **STREAMED)
        self.delete.click(lambda: gr.update(visible=True), None, self.sure, **AT_ONCE)
        outputs = [self.chosen, self.shown, self.acts, self.sure, self.grid]
        self.sure.click(self.remove, self.chosen, outputs, **AT_ONCE)

    def shelf(self) -> str:
        """All paintings, the newest first."""
        return grid(
            [
                Cell(entry.key, f"pictures/{entry.key}.jpg", entry.title, f"{entry.title} · {entry.written()}")
                for entry in self.workshop.history.entries()
            ],
            empty=EMPTY,
        )

    def look(self, event: gr.EventData) -> tuple[str, str, Any, Any]:
        """Shows one painting."""
        try:
            entry = self.workshop.history.entry(key_of(event))
            record = entry.record()
            order = order_of(record)
        except ValueError as error:
            return "", f'<p class="refused" role="alert">{escape(str(error))}</p>', HIDDEN, HIDDEN
        before = f"sources/{self.workshop.name(order.content)}"
        picture = stages.compared(before, f"pictures/{entry.key}.png", f"The painting: {entry.title}")
        facts = f"<p class='status'>{escape(figures(record))}</p>"
        return (
            entry.key,
            f"<div class='stage'>{picture}{facts}</div>{stages.take_away(entry.key, order)}",
            gr.update(visible=True),
            HIDDEN,
        )

    def restore(self, key: str, photograph: Any, styles: Any) -> list[Any]:
        """Shows pictures and settings of a painting in the tab Paint."""
        updates = self.paint.restore(self.workshop.history.entry(key).record(), photograph, styles)
        return [*updates, gr.update(selected="paint-tab")]

    def replay(self, request: gr.Request, key: str, photograph: Any, styles: Any) -> Iterator[dict[Any, Any]]:
        """Paints a painting again from its record."""
        record = self.workshop.history.entry(key).record()
        order = order_of(record)
        updates = self.restore(key, photograph, styles)
        yield dict(zip([*self.paint.restored, self.tabs], updates, strict=True))
        yield from self.paint.run(request, lambda: order, self.workshop.name(order.content))

    def remove(self, key: str) -> tuple[str, str, Any, Any, str]:
        """Deletes a painting."""
        if key:
            self.workshop.history.delete(key)
        return "", "", HIDDEN, HIDDEN, self.shelf()


def figures(record: Mapping[str, Any]) -> str:
    """What a record says, in a line."""
    order = order_of(record)
    own = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in order.settings.items() if name not in ("start", "mask")
    )
    before = len(record.get("segments", ()))
    went_on = f" · went on from {before} painting{'s' if before > 1 else ''}" if before else ""
    steps = f"{record['steps']} steps in {record.get('seconds', 0):.1f} s"
    return f"{order.method} · {steps}{f' · {own}' if own else ''}{went_on}"
