"""Objectives: weighted sums of losses."""
