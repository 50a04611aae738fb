"""The tab Compare: stylize one pair of images with several methods and strengths, and show the results in a grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from impasto.methods import METHODS
from impasto.studio.jobs import JobState
from impasto.studio.page import canvas
from impasto.studio.page.grid import GridCell, grid_component, grid_html, selected_key
from impasto.studio.page.paint import PaintTab
from impasto.studio.page.picker import chosen_in
from impasto.studio.page.streaming import IMMEDIATE, STREAMED, PanelStreams
from impasto.studio.service import StudioService

DEFAULT_METHODS = ["gatys", "nnst", "gpdm"]
MAX_JOBS = 40
"""Largest number of jobs of one comparison."""
EMPTY = "Choose methods and settings, then start the comparison. It uses the images that are selected in Paint."


class CompareTab:
    """Components and event handlers of the tab."""

    def __init__(self, service: StudioService, paint: PaintTab, tabs: gr.Tabs, streams: PanelStreams) -> None:
        self.service, self.paint, self.streams = service, paint, streams
        self.keys, self.selected = gr.State([]), gr.State("")
        self.methods = gr.CheckboxGroup(
            list(METHODS),
            value=[name for name in DEFAULT_METHODS if name in METHODS],
            label="Methods",
            elem_id="compare-methods",
        )
        with gr.Row():
            self.strengths = gr.Textbox(
                "50", label="Strengths", info="0 to 100, e.g. 30 70", elem_id="compare-strengths"
            )
            self.style_scales = gr.Textbox("1", label="Style scales", info="e.g. 0.5 1 2", elem_id="compare-scales")
            self.size = gr.Number(256, label="Size", info="longer side, pixels", precision=0, elem_id="compare-size")
            self.steps = gr.Textbox("", label="Steps", info="empty: until converged", elem_id="compare-steps")
        with gr.Row(elem_classes="actions"):
            self.start = gr.Button("Compare", variant="primary", elem_id="compare-start")
            self.stop = gr.Button("Stop all", elem_id="compare-stop")
            self.edit = gr.Button("Edit in Paint", interactive=False, elem_id="compare-edit")
        self.message = gr.HTML("", apply_default_css=False)
        self.viewer = gr.HTML("", js_on_load=canvas.SCRIPT, apply_default_css=False, elem_id="compare-viewer")
        self.grid = grid_component(grid_html([], empty=EMPTY), "compare-grid")
        self._connect(tabs)

    def _connect(self, tabs: gr.Tabs) -> None:
        images = [self.paint.content, self.paint.styles]
        settings = [self.methods, self.strengths, self.style_scales, self.size, self.steps]
        outputs = [self.keys, self.message, self.viewer, self.start, self.edit, self.grid]
        self.start.click(self.run, [*images, *settings], outputs, **STREAMED)
        self.stop.click(self.stop_all, self.keys, None, **IMMEDIATE)
        self.grid.select(self.show, None, [self.selected, self.viewer, self.edit], **IMMEDIATE)
        self.edit.click(self.restore, [self.selected, *images], [*self.paint.restored, tabs], **IMMEDIATE)

    def run(self, request: gr.Request, content: Any, styles: Any, *settings: Any) -> Iterator[dict[Any, Any]]:
        """Submit a job for every combination, and update the grid until all have ended."""
        try:
            content_name, style_names = next(iter(chosen_in(content)), ""), chosen_in(styles)
            requests = [
                self.service.make_request(content_name, style_names, method, values)
                for method, values in combinations(*settings)
            ]
            keys = [self.service.queue.submit(each) for each in requests]
        except ValueError as error:
            yield {self.message: canvas.error_html(error)}
            return
        first = {self.keys: keys, self.message: "", self.viewer: "", self.edit: gr.update(interactive=False)}
        shown = ""
        for _ in self.streams.ticks(request.session_hash or "", "compare"):
            jobs = [self.service.queue.state(key) for key in keys]
            is_live = any(job.is_live for job in jobs)
            grid = grid_html([_cell(job) for job in jobs], empty=EMPTY)
            if grid != shown or not is_live:
                yield first | {self.grid: grid, self.start: gr.update(interactive=not is_live)}
                first, shown = {}, grid
            if not is_live:
                break
        yield {self.grid: gr.skip()}

    def stop_all(self, keys: Sequence[str]) -> None:
        """Stop all jobs of the comparison."""
        for key in keys:
            self.service.queue.stop(key)

    def show(self, event: gr.EventData) -> tuple[str, str, Any]:
        """Show the selected result in full size."""
        try:
            entry = self.service.history.entry(selected_key(event))
            content = next(each["path"] for each in entry.record()["inputs"] if each["role"] == "content")
        except ValueError:
            return "", '<p class="empty">This job has no result yet.</p>', gr.update(interactive=False)
        before = f"sources/{self.service.page_name(content)}"
        picture = canvas.before_after_html(before, f"pictures/{entry.key}.png", f"Result: {entry.title}")
        return entry.key, f'<div class="canvas">{picture}</div>', gr.update(interactive=True)

    def restore(self, key: str, content: Any, styles: Any) -> list[Any]:
        """Show the images and settings of a result in the tab Paint."""
        updates = self.paint.restore(self.service.history.entry(key).record(), content, styles)
        return [*updates, gr.update(selected="paint-tab")]


def combinations(
    methods: Sequence[str], strengths: str, style_scales: str, size: float | None, steps: str
) -> list[tuple[str, dict[str, Any]]]:
    """Return every combination of method, strength and style scale.

    Args:
        methods: names of methods.
        strengths: numbers, separated by spaces or commas.
        style_scales: numbers, separated by spaces or commas.
        size: longer side in pixels; None for the default.
        steps: number of steps; empty until converged.

    Returns:
        Method and settings of each job.

    Raises:
        ValueError: for text that is not a number, and for more than `MAX_JOBS` combinations.
    """
    if not methods:
        raise ValueError("methods: choose at least one")
    shared: dict[str, Any] = {} if size is None else {"size": int(size)}
    if steps.strip():
        shared["steps"] = _parse_numbers("steps", steps)[0]
    jobs = [
        (method, {"strength": strength, "style_scale": style_scale, **shared})
        for method in methods
        for strength in _parse_numbers("strengths", strengths)
        for style_scale in _parse_numbers("style scales", style_scales)
    ]
    if len(jobs) > MAX_JOBS:
        raise ValueError(f"the comparison has {len(jobs)} jobs; choose at most {MAX_JOBS} combinations")
    return jobs


def _parse_numbers(name: str, text: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise ValueError(f"{name}: give numbers separated by spaces, not {text[:60]!r}") from None
    if not numbers:
        raise ValueError(f"{name}: give at least one number")
    return numbers


def _cell(job: JobState) -> GridCell:
    settings = job.request.settings
    label = f"{job.request.method}, strength {settings['strength']:g}, style scale {settings['style_scale']:g}"
    alt = f"{job.request.title}, {label}"
    if job.has_picture:
        return GridCell(job.key, f"pictures/{job.key}.jpg", alt, label)
    source = f"jobs/{job.key}/preview?{job.version}" if job.has_preview else ""
    progress = job.error or (f"step {job.step}" if job.step else canvas.status_text(job))
    return GridCell(job.key, source, alt, f"{label} · {progress}")
