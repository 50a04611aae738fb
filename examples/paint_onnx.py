"""Paints with an exported model, without torch: `python examples/paint_onnx.py MODEL.onnx CONTENT STYLE OUT`.

`impasto export micro -o micro.onnx` writes such a model. Needs onnxruntime, NumPy and Pillow alone.
A model of one style takes no STYLE: give `-`.
"""

import argparse

import numpy
import onnxruntime
from PIL import Image

parser = argparse.ArgumentParser(description=__doc__)
for name in ("model", "content", "style", "output"):
    parser.add_argument(name)
parser.add_argument("--size", type=int, default=512, help="longer side in pixels")
chosen = parser.parse_args()


def load(path: str) -> numpy.ndarray:
    """float32 `(1, 3, H, W)` in [0, 1]."""
    picture = Image.open(path).convert("RGB")
    factor = chosen.size / max(picture.size)
    picture = picture.resize([round(side * factor) for side in picture.size], Image.Resampling.LANCZOS)
    return (numpy.asarray(picture, numpy.float32) / 255).transpose(2, 0, 1)[None]


pictures = {"content": load(chosen.content)}
if chosen.style != "-":
    pictures["style"] = load(chosen.style)
(painted,) = onnxruntime.InferenceSession(chosen.model).run(None, pictures)
Image.fromarray((painted[0].transpose(1, 2, 0) * 255).round().astype(numpy.uint8)).save(chosen.output)
