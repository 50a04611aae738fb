"""Stylize with an exported model, without torch: `python examples/stylize_onnx.py MODEL.onnx CONTENT STYLE OUTPUT`.

`impasto export micro -o micro.onnx` writes such a model. Only onnxruntime, NumPy and Pillow are needed.
A model for one style image takes no STYLE: give `-`.
"""

import argparse

import numpy
import onnxruntime
from PIL import Image, ImageOps

parser = argparse.ArgumentParser(description=__doc__)
for name in ("model", "content", "style", "output"):
    parser.add_argument(name)
parser.add_argument("--strength", type=float, default=50, help="0 to 100; 50 is the style as trained")
parser.add_argument("--size", type=int, default=512, help="longer side in pixels")
options = parser.parse_args()


def load(path: str) -> numpy.ndarray:
    """Return an image as float32 `(1, 3, H, W)` in [0, 1]."""
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    factor = options.size / max(picture.size)
    picture = picture.resize([round(side * factor) for side in picture.size], Image.Resampling.LANCZOS)
    return (numpy.asarray(picture, numpy.float32) / 255).transpose(2, 0, 1)[None]


session = onnxruntime.InferenceSession(options.model)
names = [each.name for each in session.get_inputs()]
inputs = {"content": load(options.content)}
if "style" in names:
    inputs["style"] = load(options.style)
if "strength" in names:
    inputs["strength"] = numpy.array(options.strength, numpy.float32)
(stylized,) = session.run(None, inputs)
Image.fromarray((stylized[0].transpose(1, 2, 0) * 255).round().astype(numpy.uint8)).save(options.output)
