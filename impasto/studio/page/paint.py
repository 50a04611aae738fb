"""The tab Paint: choose, watch, stop, continue, steer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

import gradio as gr

from impasto.methods import METHODS
from impasto.samples import CONTENTS, STYLES
from impasto.studio.jobs import JobState
from impasto.studio.page import canvas as stages
from impasto.studio.page.fields import lay_out
from impasto.studio.page.picker import choosing, chosen_in, picker
from impasto.studio.page.streaming import AT_ONCE, STREAMED, Followers
from impasto.studio.requests import Order, as_asked, order_of
from impasto.studio.service import Workshop

FIRST_METHOD = "gatys"
FIRST_PHOTOGRAPH, FIRST_STYLE = "chelsea", "brushstrokes"


class PaintTab:
    """The components of the tab, and what they do; made while a page is being built."""

    def __init__(self, workshop: Workshop, followers: Followers) -> None:
        self.workshop, self.followers = workshop, followers
        self.current = gr.State("")
        self.regions = gr.State(None)
        with gr.Row(elem_classes="easel"):
            with gr.Column(scale=3, elem_classes="picture"):
                self.stage = gr.HTML(
                    stages.nothing_yet(FIRST_PHOTOGRAPH), js_on_load=stages.SCRIPT, apply_default_css=False
                )
                self.told = gr.HTML("", apply_default_css=False)
                self._buttons()
                self.take = gr.HTML("", js_on_load=stages.SCRIPT, apply_default_css=False)
            with gr.Column(scale=2, elem_classes="choices"):
                self.photograph = picker("Photograph", list(CONTENTS), [FIRST_PHOTOGRAPH], many=False)
                self.styles = picker("Styles", list(STYLES), [FIRST_STYLE], many=True)
                self.use_regions = gr.Checkbox(
                    True, label="Use the regions painted under Masks", visible=False, elem_id="use-regions"
                )
                self.method = gr.Dropdown(
                    list(METHODS),
                    value=FIRST_METHOD,
                    label="Method",
                    info=METHODS[FIRST_METHOD].summary,
                    elem_id="method",
                )
                self.fields = lay_out(FIRST_METHOD)
                self.bits = gr.Radio([8, 16], value=8, label="Bits a channel of the download", elem_id="bits")
        self._events()

    def _buttons(self) -> None:
        with gr.Row(elem_classes="acts"):
            self.paint = gr.Button("Paint", variant="primary", elem_id="paint")
            self.stop = gr.Button("Stop", interactive=False, elem_id="stop")
            self.steer = gr.Button("Steer", interactive=False, elem_id="steer")
            self.go_on = gr.Button("Continue", interactive=False, elem_id="continue")

    @property
    def asked(self) -> list[Any]:
        """The components that say what is to be painted."""
        own = [self.photograph, self.styles, self.method, self.bits, self.regions, self.use_regions]
        return [*own, *self.fields.components]

    @property
    def seen(self) -> list[Any]:
        """The components that a job changes."""
        return [self.current, self.stage, self.told, self.take, self.paint, self.stop, self.steer, self.go_on]

    @property
    def restored(self) -> list[Any]:
        """The components that `restore` changes."""
        return [self.photograph, self.styles, self.method, *self.fields.outputs]

    def order(self, *asked: Any) -> Order:
        """What the components say. Raises `ValueError`, in one line, for what is wrong."""
        photograph, styles, method, bits, regions, use_regions, *values = asked
        content = next(iter(chosen_in(photograph)), "")
        names = chosen_in(styles)
        masks = {}
        if regions and use_regions and regions["content"] == content:
            masks, names = {"mask": [regions["mask"]]}, regions["styles"]
        settings = self.fields.settings(method, values)
        return self.workshop.order(content, names, method, settings, bits, masks)

    def restore(self, record: Mapping[str, Any], photograph: Any, styles: Any) -> list[Any]:
        """Updates that show a record's pictures, method and settings."""
        order = order_of(record)
        return [
            choosing(photograph, [self.workshop.name(order.content)]),
            choosing(styles, [self.workshop.name(style) for style in order.styles]),
            gr.update(value=order.method, info=METHODS[order.method].summary),
            *self.fields.shown(order.method, as_asked(order.settings)),
        ]

    def begin(self, request: gr.Request, current: str, *asked: Any) -> Iterator[dict[Any, Any]]:
        """Paints from the photograph."""
        yield from self.run(request, lambda: self.order(*asked), _content_of(asked[0]))

    def begin_from_here(self, request: gr.Request, current: str, *asked: Any) -> Iterator[dict[Any, Any]]:
        """Paints from the picture on the stage: continues it, or steers it where it is being painted."""
        yield from self.run(request, lambda: self.order(*asked), _content_of(asked[0]), after=current)

    def halt(self, current: str) -> None:
        """Stops what is on the stage."""
        if current:
            self.workshop.line.stop(current)

    def run(
        self, request: gr.Request, order: Callable[[], Order], content: str, *, after: str | None = None
    ) -> Iterator[dict[Any, Any]]:
        """Submits an order and shows how it gets on."""
        try:
            key = self.workshop.line.submit(order(), after=after)
        except ValueError as error:
            yield {self.told: f'<p class="refused" role="alert">{escape(str(error))}</p>'}
            return
        begun = {self.current: key, self.told: "", self.take: ""} | self._allowed(is_live=True, has_picture=False)
        for view in self.followers.follow(request.session_hash or "", key):
            yield begun | {self.stage: stages.stage(view, content, after)} | self._ended(view)
            begun = {}
        yield dict.fromkeys(self.seen, gr.skip())

    def _ended(self, view: JobState) -> dict[Any, Any]:
        if view.is_live:
            return {}
        has_picture = view.status in ("done", "stopped")
        allowed = self._allowed(is_live=False, has_picture=has_picture)
        if not has_picture:
            return allowed
        record = self.workshop.history.entry(view.key).record()
        return allowed | {self.take: stages.take_away(view.key, order_of(record, bits=view.order.bits))}

    def _allowed(self, *, is_live: bool, has_picture: bool) -> dict[Any, Any]:
        return {
            self.paint: gr.update(interactive=not is_live),
            self.stop: gr.update(interactive=is_live),
            self.steer: gr.update(interactive=is_live),
            self.go_on: gr.update(interactive=has_picture),
        }

    def _events(self) -> None:
        asked = [self.current, *self.asked]
        self.paint.click(self.begin, asked, self.seen, **STREAMED)
        for button in (self.steer, self.go_on):
            button.click(self.begin_from_here, asked, self.seen, **STREAMED)
        self.stop.click(self.halt, self.current, None, **AT_ONCE)
        self.method.input(
            lambda method: [gr.update(info=METHODS[method].summary), *self.fields.shown(method, {})],
            self.method,
            [self.method, *self.fields.outputs],
            **AT_ONCE,
        )
        self.photograph.input(
            lambda value: stages.nothing_yet(_content_of(value)), self.photograph, self.stage, **AT_ONCE
        )


def _content_of(photograph: Any) -> str:
    """The photograph's name on the page, or nothing."""
    try:
        return next(iter(chosen_in(photograph)), "")
    except ValueError:
        return ""
