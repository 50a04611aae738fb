"""Command line of impasto."""

from impasto.cli.commands import COMMANDS
from impasto.cli.dispatch import main, run

__all__ = ["COMMANDS", "main", "run"]
