"""The tab Masks: draw regions over the content image, one for each style image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr
import PIL.Image

from impasto.studio.page.canvas import error_html
from impasto.studio.page.paint import PaintTab
from impasto.studio.page.picker import chosen_in
from impasto.studio.page.streaming import IMMEDIATE
from impasto.studio.regions import PALETTE, colors_used, encode_png, label_map
from impasto.studio.requests import display_name
from impasto.studio.service import StudioService

EDITOR_SIZE = 768
"""Longer side of the image in the editor in pixels."""
FIRST_STYLE, UNCHANGED = "use the first style", "keep the content image"


class MasksTab:
    """Components and event handlers of the tab."""

    def __init__(self, service: StudioService, paint: PaintTab, tabs: gr.Tabs, tab: gr.Tab) -> None:
        self.service, self.paint = service, paint
        self.loaded = gr.State("")
        self.legend = gr.HTML("", apply_default_css=False, elem_id="masks-legend")
        self.editor = gr.ImageEditor(
            type="pil",
            image_mode="RGBA",
            sources=(),
            transforms=(),
            brush=gr.Brush(default_size=40, colors=list(PALETTE), default_color=PALETTE[1], color_mode="fixed"),
            layers=False,
            label="Regions",
            elem_id="masks-editor",
            height=560,
        )
        self.rest = gr.Radio(
            [FIRST_STYLE, UNCHANGED], value=FIRST_STYLE, label="Areas without a region", elem_id="masks-rest"
        )
        with gr.Row(elem_classes="actions"):
            self.use = gr.Button("Use regions", variant="primary", elem_id="masks-use")
            self.clear = gr.Button("Clear", elem_id="masks-clear")
        self.message = gr.HTML("", apply_default_css=False, elem_id="masks-message")
        self._connect(tabs, tab)

    def _connect(self, tabs: gr.Tabs, tab: gr.Tab) -> None:
        images = [self.paint.content, self.paint.styles]
        outputs = [self.loaded, self.editor, self.legend]
        tab.select(self.load, [self.loaded, *images], outputs, **IMMEDIATE)
        self.clear.click(self.reload, images, outputs, **IMMEDIATE)
        used = [self.paint.regions, self.paint.use_regions, self.message, tabs]
        self.use.click(self.use_regions, [self.editor, self.rest, *images], used, **IMMEDIATE)

    def load(self, loaded: str, content: Any, styles: Any) -> tuple[str, Any, str]:
        """Put the content image into the editor, unless it is there already."""
        name = next(iter(chosen_in(content)), "")
        legend = _legend(chosen_in(styles))
        if not name or name == loaded:
            return loaded, gr.skip(), legend
        return name, editor_value(self.service, name), legend

    def reload(self, content: Any, styles: Any) -> tuple[str, Any, str]:
        """Put the content image into the editor again, without regions."""
        return self.load("", content, styles)

    def use_regions(self, drawn: Any, rest: str, content: Any, styles: Any) -> tuple[Any, Any, str, Any]:
        """Store the regions as a label map and select it in the tab Paint."""
        try:
            name, style_names = next(iter(chosen_in(content)), ""), chosen_in(styles)
            if not drawn or drawn.get("background") is None:
                raise ValueError("choose a content image in Paint first, then draw over a part of it")
            mask = label_map(drawn["layers"], drawn["background"].size, fill=rest == FIRST_STYLE)
            used = colors_used(mask)
            if max(used) >= len(style_names):
                raise ValueError(
                    f"color {max(used) + 1} has no style: {len(style_names)} style images are selected; "
                    "select more in Paint"
                )
            key = self.service.uploads.add(encode_png(mask), "regions.png")
        except ValueError as error:
            return gr.skip(), gr.skip(), error_html(error), gr.skip()
        regions = {"content": name, "mask": key, "styles": [style_names[k] for k in used]}
        return regions, gr.update(visible=True, value=True), "", gr.update(selected="paint-tab")


def editor_value(service: StudioService, name: str) -> dict[str, Any]:
    """Return the value of the editor: a sample or an upload as background, decoded as for a job, without regions."""
    background = PIL.Image.open(io.BytesIO(service.source_jpeg(name)))
    background.thumbnail((EDITOR_SIZE, EDITOR_SIZE))
    return {"background": background, "layers": [], "composite": None}


def _legend(names: Sequence[str]) -> str:
    """Return a list of the color of each style image, and a hint."""
    rows = "".join(
        f'<li><span class="swatch" style="background:{color}"></span>{k + 1}. {escape(display_name(name))}</li>'
        for k, (color, name) in enumerate(zip(PALETTE, names, strict=False))
    )
    hint = "Draw each region in the color of its style image."
    if len(names) < 2:
        hint = "Select two or more style images in Paint, one for each region."
    return f'<ol class="colors">{rows}</ol><p>{hint}</p>'
