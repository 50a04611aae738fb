"""Compute statistics of feature maps that several losses share."""
