"""Run reproducible, resumable experiments over methods, settings, images and seeds, and report the results."""
