"""Trainable networks of the feed-forward methods."""
