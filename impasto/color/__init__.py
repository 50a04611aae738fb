"""Color transfer and color spaces."""
