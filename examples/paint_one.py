"""Paints one photograph: `python examples/paint_one.py CONTENT STYLE OUT [--backbone tiny]`."""

import argparse

import impasto

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("content", help="a file, or a sample's name: astronaut, coffee, chelsea, rocket")
parser.add_argument("style", help="a file, or a sample's name: brushstrokes, mosaic, woodcut")
parser.add_argument("output", help="the picture to write; its record goes beside it, as .json")
parser.add_argument("--backbone", default="lite", help="vgg19-caffe is the large one")
parser.add_argument("--size", type=int, default=512, help="longer side in pixels")
parser.add_argument("--steps", type=int, help="until converged if not given")
chosen = parser.parse_args()

result = impasto.stylize(chosen.content, chosen.style, backbone=chosen.backbone, size=chosen.size, steps=chosen.steps)
print(result.save(chosen.output), result.summary()["losses"])
