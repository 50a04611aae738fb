"""The web page of the studio, built with gradio."""

from impasto.studio.page.build import LOOK, build, theme

__all__ = ["LOOK", "build", "theme"]
