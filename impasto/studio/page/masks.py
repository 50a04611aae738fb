"""The tab Masks: regions painted over the photograph, each after a style of its own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr
import PIL.Image

from impasto.samples import resolve
from impasto.studio.page.paint import PaintTab
from impasto.studio.page.picker import chosen_in
from impasto.studio.page.streaming import AT_ONCE
from impasto.studio.regions import PALETTE, as_png, colors_used, label_map
from impasto.studio.requests import name_of
from impasto.studio.service import Workshop

SIDE = 768
"""Pixels of the longer side on which regions are painted."""
FIRST, PHOTOGRAPH = "takes after the first style", "stays a photograph"


class MasksTab:
    """The components of the tab, and what they do."""

    def __init__(self, workshop: Workshop, paint: PaintTab, tabs: gr.Tabs, tab: gr.Tab) -> None:
        self.workshop, self.paint = workshop, paint
        self.loaded = gr.State("")
        self.legend = gr.HTML("", apply_default_css=False, elem_id="masks-legend")
        self.canvas = gr.ImageEditor(
            type="pil",
            image_mode="RGBA",
            sources=(),
            transforms=(),
            brush=gr.Brush(default_size=40, colors=list(PALETTE), default_color=PALETTE[1], color_mode="fixed"),
            layers=False,
            label="Paint each region in the color of its style",
            elem_id="masks-canvas",
            height=560,
        )
        self.rest = gr.Radio([FIRST, PHOTOGRAPH], value=FIRST, label="What is left unpainted", elem_id="masks-rest")
        with gr.Row(elem_classes="acts"):
            self.use = gr.Button("Use these regions in Paint", variant="primary", elem_id="masks-use")
            self.clear = gr.Button("Start again", elem_id="masks-clear")
        self.told = gr.HTML("", apply_default_css=False, elem_id="masks-told")
        seen = [self.loaded, self.canvas, self.legend]
        tab.select(self.load, [self.loaded, paint.photograph, paint.styles], seen, **AT_ONCE)
        self.clear.click(self.load_again, [paint.photograph, paint.styles], seen, **AT_ONCE)
        inputs = [self.canvas, self.rest, paint.photograph, paint.styles]
        self.use.click(self.keep, inputs, [paint.regions, paint.use_regions, self.told, tabs], **AT_ONCE)

    def load(self, loaded: str, photograph: Any, styles: Any) -> tuple[str, Any, str]:
        """Puts the chosen photograph under the brush, unless it lies there already."""
        content = next(iter(chosen_in(photograph)), "")
        legend = _legend(chosen_in(styles))
        if not content or content == loaded:
            return loaded, gr.skip(), legend
        return content, self._canvas(content), legend

    def load_again(self, photograph: Any, styles: Any) -> tuple[str, Any, str]:
        """Puts it there anew, unpainted."""
        return self.load("", photograph, styles)

    def keep(self, painted: Any, rest: str, photograph: Any, styles: Any) -> tuple[Any, Any, str, Any]:
        """Makes a label map of what was painted, and lets Paint use it."""
        try:
            content, names = next(iter(chosen_in(photograph)), ""), chosen_in(styles)
            if not painted or painted.get("background") is None:
                raise ValueError("choose a photograph first, and paint over a part of it")
            mask = label_map(painted["layers"], painted["background"].size, rest=rest == FIRST)
            used = colors_used(mask)
            if max(used) >= len(names):
                raise ValueError(f"color {max(used) + 1} has no style: {len(names)} chosen in Paint; choose more there")
            key = self.workshop.uploads.keep(as_png(mask), "regions.png")
        except ValueError as error:
            refused = f'<p class="refused" role="alert">{escape(str(error))}</p>'
            return gr.skip(), gr.skip(), refused, gr.skip()
        regions = {"content": content, "mask": key, "styles": [names[k] for k in used]}
        return regions, gr.update(visible=True, value=True), "", gr.update(selected="paint-tab")

    def _canvas(self, content: str) -> dict[str, Any]:
        with PIL.Image.open(resolve(self.workshop.source(content))) as file:
            background = PIL.ImageOps.exif_transpose(file).convert("RGB")
        background.thumbnail((SIDE, SIDE))
        return {"background": background, "layers": [], "composite": None}


def _legend(names: Sequence[str]) -> str:
    """Which color is which style's."""
    rows = "".join(
        f'<li><span class="swatch" style="background:{color}"></span>{k + 1}. {escape(name_of(name))}</li>'
        for k, (color, name) in enumerate(zip(PALETTE, names, strict=False))
    )
    hint = "" if len(names) > 1 else "<p>Choose two styles or more in Paint, one for each region.</p>"
    return f'<ol class="colors">{rows}</ol>{hint}'
