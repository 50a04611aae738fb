"""Stylize one image: `python examples/stylize_one.py CONTENT STYLE OUTPUT [--backbone tiny]`."""

import argparse

import impasto

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("content", help="a file, or the name of a sample: astronaut, coffee, chelsea, rocket")
parser.add_argument("style", help="a file, or the name of a sample: brushstrokes, mosaic, woodcut")
parser.add_argument("output", help="file to write; the record is written beside it as .json")
parser.add_argument("--backbone", default="lite", help="loss network; vgg19-caffe is the largest one")
parser.add_argument("--size", type=int, default=512, help="longer side in pixels")
parser.add_argument("--steps", type=int, help="number of steps; default: until converged")
options = parser.parse_args()

result = impasto.stylize(
    options.content, options.style, backbone=options.backbone, size=options.size, steps=options.steps
)
print(result.save(options.output), result.summary()["losses"])
