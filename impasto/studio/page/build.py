"""Build the page: five tabs that share one queue. Only this folder and `server` use gradio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from impasto.studio.experiment_browser import ExperimentBrowser
from impasto.studio.page.client_api import add_client_api
from impasto.studio.page.compare import CompareTab
from impasto.studio.page.experiments import ExperimentsTab
from impasto.studio.page.history import HistoryTab
from impasto.studio.page.masks import MasksTab
from impasto.studio.page.paint import PaintTab
from impasto.studio.page.streaming import PanelStreams
from impasto.studio.service import StudioService

STYLESHEET = Path(__file__).with_name("page.css")


def build(service: StudioService, browser: ExperimentBrowser) -> gr.Blocks:
    """Return the complete page.

    Args:
        service: uploads, history and queue.
        browser: experiments that the page shows.
    """
    streams = PanelStreams(service.queue)
    page: gr.Blocks
    with gr.Blocks(title="impasto studio", analytics_enabled=False) as page:
        gr.HTML("<h1>impasto studio</h1>", apply_default_css=False, elem_id="title")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Paint", id="paint-tab"):
                paint = PaintTab(service, streams)
            with gr.Tab("Masks", id="masks-tab") as tab:
                MasksTab(service, paint, tabs, tab)
            with gr.Tab("Compare", id="compare-tab"):
                CompareTab(service, paint, tabs, streams)
            with gr.Tab("Experiments", id="experiments-tab") as tab:
                ExperimentsTab(browser, tab)
            with gr.Tab("History", id="history-tab") as tab:
                HistoryTab(service, paint, tabs, tab)
        add_client_api(service)
        page.unload(_close_streams(streams))
    return page


def theme() -> Any:
    """Return a theme with system fonts only; the themes of gradio load fonts from another host."""
    system = ["ui-sans-serif", "system-ui", "sans-serif"]
    return gr.themes.Base(
        primary_hue=gr.themes.colors.stone,
        neutral_hue=gr.themes.colors.stone,
        font=system,
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_sm,
    )


def _close_streams(streams: PanelStreams) -> Any:
    def close(request: gr.Request) -> None:
        streams.close(request.session_hash or "")

    return close
