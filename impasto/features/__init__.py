"""Compute statistics of feature maps that several losses share, and extend the maps beyond their borders."""
