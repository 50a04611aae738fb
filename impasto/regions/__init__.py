"""Divide images into regions and assign styles to them."""
