"""Interpolate between two styles: `python examples/interpolate.py CONTENT FIRST SECOND OUTPUT`."""

import argparse

import impasto
from impasto.images.contact_sheet import contact_sheet

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the second style

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("content", help="a file, or the name of a sample: astronaut, coffee, chelsea, rocket")
parser.add_argument("first", help="style image of the left end: a file, or the name of a sample")
parser.add_argument("second", help="style image of the right end")
parser.add_argument("output", help="file to write")
parser.add_argument("--backbone", default="lite", help="loss network; vgg19-caffe is the largest one")
parser.add_argument("--size", type=int, default=256, help="longer side of a cell in pixels")
parser.add_argument("--steps", type=int, default=100, help="number of steps per cell")
parser.add_argument("--color", default="style", help="source of the colors: style, luminance, moments, histogram")
options = parser.parse_args()

settings = {name: getattr(options, name) for name in ("backbone", "size", "steps", "color")}
styles = [options.first, options.second]
cells = [impasto.stylize(options.content, styles, style_mix=(1 - x, x), **settings).image for x in WEIGHTS]
names = [f"{1 - x:.0%} + {x:.0%}" for x in WEIGHTS]
impasto.save_image(contact_sheet([cells], column_names=names, cell=options.size), options.output)
