"""Show finished pictures: on the first visit, where one click paints the same picture, and beside each technique."""

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
TECHNIQUE_PAIR = ("chelsea", "brushstrokes")
"""Photograph and style of the pictures of the techniques."""
TECHNIQUE_SIZE = 96
"""Side of these square pictures in pixels: the page shows them at half of it, for screens of twice the density."""


def technique_file(method: str) -> str:
    """Return the name of the picture of a technique in the folder of the page."""
    return f"technique-{method}.jpg"
