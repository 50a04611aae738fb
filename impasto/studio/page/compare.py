"""The tab Compare: one pair by several methods and strengths, in a grid that fills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import gradio as gr

from impasto.methods import METHODS
from impasto.studio.jobs import JobState
from impasto.studio.page import canvas as stages
from impasto.studio.page.grid import Cell, grid, grid_component, key_of
from impasto.studio.page.paint import PaintTab
from impasto.studio.page.picker import chosen_in
from impasto.studio.page.streaming import AT_ONCE, STREAMED, Followers
from impasto.studio.service import Workshop

FIRST_METHODS = ["gatys", "nnst", "gpdm"]
MOST = 40
EMPTY = "Choose methods and strengths, and paint the pictures of the tab Paint with all of them."


class CompareTab:
    """The components of the tab, and what they do."""

    def __init__(self, workshop: Workshop, paint: PaintTab, tabs: gr.Tabs, followers: Followers) -> None:
        self.workshop, self.paint, self.followers = workshop, paint, followers
        self.keys, self.chosen = gr.State([]), gr.State("")
        self.methods = gr.CheckboxGroup(
            list(METHODS), value=[m for m in FIRST_METHODS if m in METHODS], label="Methods", elem_id="compare-methods"
        )
        with gr.Row():
            self.strengths = gr.Textbox("50", label="Strengths", info="0 to 100", elem_id="compare-strengths")
            self.strokes = gr.Textbox("1", label="Strokes", info="1/16 to 16", elem_id="compare-strokes")
            self.size = gr.Number(256, label="Size", info="longer side in pixels", precision=0, elem_id="compare-size")
            self.steps = gr.Textbox("", label="Steps", info="none: till nothing gets better", elem_id="compare-steps")
        with gr.Row(elem_classes="acts"):
            self.begin = gr.Button("Paint all", variant="primary", elem_id="compare-begin")
            self.stop = gr.Button("Stop all", elem_id="compare-stop")
            self.send = gr.Button("Send to Paint", interactive=False, elem_id="compare-send")
        self.told = gr.HTML("", apply_default_css=False)
        self.shown = gr.HTML("", js_on_load=stages.SCRIPT, apply_default_css=False, elem_id="compare-shown")
        self.grid = grid_component(grid([], empty=EMPTY), "compare-grid")
        asked = [paint.photograph, paint.styles, self.methods, self.strengths, self.strokes, self.size, self.steps]
        seen = [self.keys, self.told, self.shown, self.begin, self.send, self.grid]
        self.begin.click(self.run, asked, seen, **STREAMED)
        self.stop.click(self.halt, self.keys, None, **AT_ONCE)
        self.grid.select(self.look, None, [self.chosen, self.shown, self.send], **AT_ONCE)
        inputs = [self.chosen, paint.photograph, paint.styles]
        self.send.click(self.restore, inputs, [*paint.restored, tabs], **AT_ONCE)

    def run(self, request: gr.Request, photograph: Any, styles: Any, *asked: Any) -> Iterator[dict[Any, Any]]:
        """Puts every combination into the line, and shows how they get on."""
        try:
            content, names = next(iter(chosen_in(photograph)), ""), chosen_in(styles)
            orders = [
                self.workshop.order(content, names, method, settings) for method, settings in combinations(*asked)
            ]
            keys = [self.workshop.line.submit(order) for order in orders]
        except ValueError as error:
            yield {self.told: f'<p class="refused" role="alert">{escape(str(error))}</p>'}
            return
        begun = {self.keys: keys, self.told: "", self.shown: "", self.send: gr.update(interactive=False)}
        seen = ""
        for _ in self.followers.looks(request.session_hash or "", "compare"):
            views = [self.workshop.line.view(key) for key in keys]
            is_live = any(view.is_live for view in views)
            now = grid([_cell(view) for view in views], empty=EMPTY)
            if now != seen or not is_live:
                yield begun | {self.grid: now, self.begin: gr.update(interactive=not is_live)}
                begun, seen = {}, now
            if not is_live:
                break
        yield {self.grid: gr.skip()}

    def halt(self, keys: Sequence[str]) -> None:
        """Stops all that are still to be painted."""
        for key in keys:
            self.workshop.line.stop(key)

    def look(self, event: gr.EventData) -> tuple[str, str, Any]:
        """Shows one cell large."""
        try:
            entry = self.workshop.history.entry(key_of(event))
            content = next(each["path"] for each in entry.record()["inputs"] if each["role"] == "content")
        except ValueError:
            return "", '<p class="empty">This one is not painted yet.</p>', gr.update(interactive=False)
        before = f"sources/{self.workshop.name(content)}"
        picture = stages.compared(before, f"pictures/{entry.key}.png", f"The painting: {entry.title}")
        return entry.key, f'<div class="stage">{picture}</div>', gr.update(interactive=True)

    def restore(self, key: str, photograph: Any, styles: Any) -> list[Any]:
        """Shows pictures and settings of a cell in the tab Paint."""
        updates = self.paint.restore(self.workshop.history.entry(key).record(), photograph, styles)
        return [*updates, gr.update(selected="paint-tab")]


def combinations(
    methods: Sequence[str], strengths: str, strokes: str, size: float | None, steps: str
) -> list[tuple[str, dict[str, Any]]]:
    """Every method with every strength and stroke. Raises `ValueError` for what is no number, and for too many."""
    if not methods:
        raise ValueError("methods: choose at least one")
    shared: dict[str, Any] = {} if size is None else {"size": int(size)}
    if steps.strip():
        shared["steps"] = _numbers("steps", steps)[0]
    found = [
        (method, {"strength": strength, "style_scale": style_scale, **shared})
        for method in methods
        for strength in _numbers("strengths", strengths)
        for style_scale in _numbers("strokes", strokes)
    ]
    if len(found) > MOST:
        raise ValueError(f"these are {len(found)} paintings; give combinations of at most {MOST}")
    return found


def _numbers(name: str, text: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise ValueError(f"{name}: give numbers with spaces between, not {text[:60]!r}") from None
    if not numbers:
        raise ValueError(f"{name}: give at least one number")
    return numbers


def _cell(view: JobState) -> Cell:
    settings = view.order.settings
    what = f"{view.order.method}, strength {settings['strength']:g}, stroke {settings['style_scale']:g}"
    if view.status in ("done", "stopped"):
        return Cell(view.key, f"pictures/{view.key}.jpg", f"{view.order.title}, {what}", what)
    source = f"jobs/{view.key}/preview?{view.version}" if view.has_preview else ""
    how = view.error or (f"step {view.step}" if view.step else stages.words(view))
    return Cell(view.key, source, f"{view.order.title}, {what}", f"{what} · {how}")
