"""Data files of the package: sample styles, weights and bundled experiments."""
