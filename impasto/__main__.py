"""Run the command line with `python -m impasto`."""

from impasto.cli import run

run()
