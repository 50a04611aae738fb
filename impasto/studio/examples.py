"""Show finished pictures on the first visit; one click paints the same picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A photograph, a style and a method, whose picture `tools/docs/pictures.py examples` has computed."""

    content: str
    """Name of a sample photograph."""
    style: str
    """Name of a sample style."""
    method: str

    @property
    def file(self) -> str:
        """Return the name of the picture in the folder of the page."""
        return f"{self.content}-{self.style}.jpg"


EXAMPLES = (
    Example("chelsea", "brushstrokes", "gatys"),
    Example("coffee", "geometric", "nnst"),
    Example("rocket", "pointillism", "gatys"),
)
SIZE, QUALITY = 320, 82
"""Longer side of the pictures in pixels, and the quality of their JPEG."""
