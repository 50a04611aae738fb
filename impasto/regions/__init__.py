"""Regions of a picture: masks, label maps and guides."""
