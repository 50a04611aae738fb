"""Style pictures drawn with numpy and Pillow, the same for the same seed, at any size."""
