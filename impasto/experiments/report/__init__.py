"""The report of an experiment: an HTML page, a CSV file and a JSON file."""

from impasto.experiments.report.page import page
from impasto.experiments.report.write import write

__all__ = ["page", "write"]
