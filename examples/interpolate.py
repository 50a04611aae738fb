"""A strip from one style to another: `python examples/interpolate.py CONTENT FIRST SECOND OUT`."""

import argparse

import impasto
from impasto.images.contact_sheet import contact_sheet

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the second style

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("content", help="a file, or a sample's name: astronaut, coffee, chelsea, rocket")
parser.add_argument("first", help="a style, at the left end: a file, or a sample's name")
parser.add_argument("second", help="a style, at the right end")
parser.add_argument("output", help="the picture to write")
parser.add_argument("--backbone", default="lite", help="vgg19-caffe is the large one")
parser.add_argument("--size", type=int, default=256, help="longer side of a cell in pixels")
parser.add_argument("--steps", type=int, default=100, help="for each cell")
parser.add_argument("--color", default="style", help="whose colors: style, luminance, moments, histogram")
chosen = parser.parse_args()

settings = {name: getattr(chosen, name) for name in ("backbone", "size", "steps", "color")}
styles = [chosen.first, chosen.second]
cells = [impasto.stylize(chosen.content, styles, style_mix=(1 - x, x), **settings).image for x in SHARES]
names = [f"{1 - x:.0%} + {x:.0%}" for x in SHARES]
impasto.save_image(contact_sheet([cells], column_names=names, cell=chosen.size), chosen.output)
