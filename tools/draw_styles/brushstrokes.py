"""Draw the style `brushstrokes`: a windy night over a valley in thick strokes along the wind, hills and corn."""

import numpy as np
from PIL import Image

from draw_styles.fields import to_picture
from draw_styles.night import plan_night
from draw_styles.strokes import Canvas, Layer, lay_layer, lit

SUPERSAMPLING = 2
BROAD = Layer(length=0.13, width=0.026, spacing=0.016, jitter=0.04)
MIDDLE = Layer(length=0.095, width=0.0175, spacing=0.0115, jitter=0.05)
FINE = Layer(length=0.060, width=0.0115, spacing=0.0105, jitter=0.075)


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the stars, the hills and every stroke."""
    rng = np.random.default_rng(seed)
    plan, detail = plan_night(height, width, rng)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    ground = np.array([0.10, 0.12, 0.22, 0.0], np.float32)
    canvas = Canvas(np.tile(ground, (tall * wide, 1)), tall, wide)
    lay_layer(canvas, plan, BROAD, rng, np.ones_like(detail))
    lay_layer(canvas, plan, MIDDLE, rng, np.full_like(detail, 0.9))
    lay_layer(canvas, plan, FINE, rng, np.clip(0.4 + detail, 0, 1))
    return to_picture(lit(canvas, depth=0.0036 * max(tall, wide)), height, width)
