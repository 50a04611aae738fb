"""From inputs to a saved result."""
