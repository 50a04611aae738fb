"""The report of an experiment: one HTML page, a CSV file and a JSON file."""

from impasto.experiments.report.page import page
from impasto.experiments.report.write import write

__all__ = ["page", "write"]
