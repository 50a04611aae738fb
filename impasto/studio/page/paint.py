"""The tab Paint: choose images and settings, and start, watch, stop, change and continue a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from impasto.methods import METHODS
from impasto.samples import CONTENTS, STYLES
from impasto.studio.jobs import JobState
from impasto.studio.page import canvas
from impasto.studio.page.fields import add_fields
from impasto.studio.page.picker import add_picker, chosen_in, with_chosen
from impasto.studio.page.streaming import IMMEDIATE, STREAMED, PanelStreams
from impasto.studio.requests import StylizeRequest, request_from_record, without_continuation
from impasto.studio.service import StudioService

DEFAULT_METHOD = "gatys"
DEFAULT_CONTENT, DEFAULT_STYLE = "chelsea", "brushstrokes"


class PaintTab:
    """Components and event handlers of the tab."""

    def __init__(self, service: StudioService, streams: PanelStreams) -> None:
        self.service, self.streams = service, streams
        self.current = gr.State("")
        self.regions = gr.State(None)
        with gr.Row(elem_classes="columns"):
            with gr.Column(scale=3, elem_classes="canvas-column"):
                self._add_canvas()
            with gr.Column(scale=2):
                self._add_settings()
        self._connect()

    def _add_canvas(self) -> None:
        content = canvas.content_html(DEFAULT_CONTENT)
        self.canvas = gr.HTML(content, js_on_load=canvas.SCRIPT, apply_default_css=False)
        self.message = gr.HTML("", apply_default_css=False)
        with gr.Row(elem_classes="actions"):
            self.start = gr.Button("Paint", variant="primary", elem_id="paint")
            self.stop = gr.Button("Stop and keep", interactive=False, elem_id="stop")
            self.apply = gr.Button("Apply changes", interactive=False, elem_id="apply")
            self.continue_button = gr.Button("Continue", interactive=False, elem_id="continue")
        self.downloads = gr.HTML("", js_on_load=canvas.SCRIPT, apply_default_css=False)

    def _add_settings(self) -> None:
        self.content = add_picker("Content image", list(CONTENTS), [DEFAULT_CONTENT], multiple=False)
        self.styles = add_picker("Style images", list(STYLES), [DEFAULT_STYLE], multiple=True)
        self.use_regions = gr.Checkbox(
            True, label="Use the regions drawn in Masks", visible=False, elem_id="use-regions"
        )
        self.method = gr.Dropdown(
            list(METHODS),
            value=DEFAULT_METHOD,
            label="Method",
            info=METHODS[DEFAULT_METHOD].summary,
            elem_id="method",
        )
        self.fields = add_fields(DEFAULT_METHOD)
        self.bits = gr.Radio([8, 16], value=8, label="Bits per channel of the PNG file", elem_id="bits")

    @property
    def request_inputs(self) -> list[Any]:
        """Return the components that `make_request` reads, in its order."""
        images = [self.content, self.styles]
        return [*images, self.method, self.bits, self.regions, self.use_regions, *self.fields.components]

    @property
    def job_outputs(self) -> list[Any]:
        """Return the components that a job changes."""
        buttons = [self.start, self.stop, self.apply, self.continue_button]
        return [self.current, self.canvas, self.message, self.downloads, *buttons]

    @property
    def restored(self) -> list[Any]:
        """Return the components that `restore` changes, in its order."""
        return [self.content, self.styles, self.method, *self.fields.outputs]

    def make_request(self, *inputs: Any) -> StylizeRequest:
        """Return the request that the components describe.

        Raises:
            ValueError: in one line, for an invalid input.
        """
        content, styles, method, bits, regions, use_regions, *values = inputs
        content_name = next(iter(chosen_in(content)), "")
        style_names = chosen_in(styles)
        masks = {}
        if regions and use_regions and regions["content"] == content_name:
            masks, style_names = {"mask": [regions["mask"]]}, regions["styles"]
        settings = self.fields.settings(method, values)
        return self.service.make_request(content_name, style_names, method, settings, bits, masks)

    def restore(self, record: Mapping[str, Any], content: Any, styles: Any) -> list[Any]:
        """Return updates that show the images, the method and the settings of a record."""
        request = request_from_record(record)
        return [
            with_chosen(content, [self.service.page_name(request.content)]),
            with_chosen(styles, [self.service.page_name(style) for style in request.styles]),
            gr.update(value=request.method, info=METHODS[request.method].summary),
            *self.fields.updates(request.method, without_continuation(request.settings)),
        ]

    def start_new(self, request: gr.Request, current: str, *inputs: Any) -> Iterator[dict[Any, Any]]:
        """Start a job from the content image."""
        yield from self.run(request, lambda: self.make_request(*inputs), _content_name(inputs[0]))

    def start_from_current(self, request: gr.Request, current: str, *inputs: Any) -> Iterator[dict[Any, Any]]:
        """Start a job from the image on the canvas: apply changes to a running job, or continue an ended one."""
        yield from self.run(request, lambda: self.make_request(*inputs), _content_name(inputs[0]), parent=current)

    def stop_current(self, current: str) -> None:
        """Stop the job on the canvas."""
        if current:
            self.service.queue.stop(current)

    def run(
        self,
        request: gr.Request,
        make_request: Callable[[], StylizeRequest],
        content: str,
        *,
        parent: str | None = None,
    ) -> Iterator[dict[Any, Any]]:
        """Submit a job and update the canvas until it has ended.

        Args:
            request: the request of the page.
            make_request: returns what to stylize; a `ValueError` becomes a message.
            content: name of the content image on the page.
            parent: key of the job to continue.
        """
        try:
            key = self.service.queue.submit(make_request(), parent=parent)
        except ValueError as error:
            yield {self.message: canvas.error_html(error)}
            return
        first = {self.current: key, self.message: "", self.downloads: ""}
        first |= self._button_updates(is_live=True, has_picture=False)
        for job in self.streams.follow(request.session_hash or "", key):
            yield first | {self.canvas: canvas.job_html(job, content, parent)} | self._end_updates(job)
            first = {}
        yield dict.fromkeys(self.job_outputs, gr.skip())

    def _end_updates(self, job: JobState) -> dict[Any, Any]:
        if job.is_live:
            return {}
        updates = self._button_updates(is_live=False, has_picture=job.has_picture)
        if not job.has_picture:
            return updates
        record = self.service.history.entry(job.key).record()
        request = request_from_record(record, bits=job.request.bits)
        return updates | {self.downloads: canvas.downloads_html(job.key, request)}

    def _button_updates(self, *, is_live: bool, has_picture: bool) -> dict[Any, Any]:
        return {
            self.start: gr.update(interactive=not is_live),
            self.stop: gr.update(interactive=is_live),
            self.apply: gr.update(interactive=is_live),
            self.continue_button: gr.update(interactive=has_picture),
        }

    def _connect(self) -> None:
        inputs = [self.current, *self.request_inputs]
        self.start.click(self.start_new, inputs, self.job_outputs, **STREAMED)
        for button in (self.apply, self.continue_button):
            button.click(self.start_from_current, inputs, self.job_outputs, **STREAMED)
        self.stop.click(self.stop_current, self.current, None, **IMMEDIATE)
        self.method.input(
            lambda method: [gr.update(info=METHODS[method].summary), *self.fields.updates(method, {})],
            self.method,
            [self.method, *self.fields.outputs],
            **IMMEDIATE,
        )
        self.content.input(
            lambda value: canvas.content_html(_content_name(value)), self.content, self.canvas, **IMMEDIATE
        )


def _content_name(content: Any) -> str:
    """Return the name of the content image on the page, or nothing where none is chosen."""
    try:
        return next(iter(chosen_in(content)), "")
    except ValueError:
        return ""
