"""Objectives: sums of weighted losses that a method minimizes."""
