"""Optimizers whose parameters are the pixels."""
