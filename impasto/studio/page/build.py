"""The page: tabs around one line of jobs. Whatever is gradio's lies in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from impasto.studio.experiment_browser import Shelf
from impasto.studio.page.compare import CompareTab
from impasto.studio.page.experiments import ExperimentsTab
from impasto.studio.page.history import HistoryTab
from impasto.studio.page.masks import MasksTab
from impasto.studio.page.paint import PaintTab
from impasto.studio.page.programs import offer
from impasto.studio.page.streaming import Followers
from impasto.studio.service import Workshop

LOOK = Path(__file__).with_name("page.css")


def build(workshop: Workshop, experiments: Path) -> gr.Blocks:
    """The whole page.

    Args:
        workshop: what it shows and feeds.
        experiments: folder in and under which experiments are looked for.
    """
    followers = Followers(workshop.line)
    page: gr.Blocks
    with gr.Blocks(title="impasto studio", analytics_enabled=False) as page:
        gr.HTML("<h1>impasto</h1>", apply_default_css=False, elem_id="title")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Paint", id="paint-tab"):
                paint = PaintTab(workshop, followers)
            with gr.Tab("Masks", id="masks-tab") as tab:
                MasksTab(workshop, paint, tabs, tab)
            with gr.Tab("Compare", id="compare-tab"):
                CompareTab(workshop, paint, tabs, followers)
            with gr.Tab("Experiments", id="experiments-tab") as tab:
                ExperimentsTab(Shelf(experiments), tab)
            with gr.Tab("History", id="history-tab") as tab:
                HistoryTab(workshop, paint, tabs, tab)
        offer(workshop)
        page.unload(_leave(followers))
    return page


def theme() -> Any:
    """Fonts of the system only: a theme of gradio's would name some to be fetched."""
    system = ["ui-sans-serif", "system-ui", "sans-serif"]
    return gr.themes.Base(
        primary_hue=gr.themes.colors.stone,
        neutral_hue=gr.themes.colors.stone,
        font=system,
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_sm,
    )


def _leave(followers: Followers) -> Any:
    def leave(request: gr.Request) -> None:
        followers.leave(request.session_hash or "")

    return leave
