"""Run the command line as `python -m impasto.cli`."""

from impasto.cli import run

run()
