"""Optimizers of the pixels, and the schedule of a run."""
