"""The web page of the studio, built with gradio."""

from impasto.studio.page.build import STYLESHEET, build, theme

__all__ = ["STYLESHEET", "build", "theme"]
