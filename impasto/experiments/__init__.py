"""Experiments: grids of paintings that run again, resume, and end in a report."""
