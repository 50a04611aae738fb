"""Draw the sample styles of impasto, one file per style; `python tools/draw_styles -o FOLDER` writes them."""

from draw_styles.draw import DRAWINGS, draw

__all__ = ["DRAWINGS", "draw"]
