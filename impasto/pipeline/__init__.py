"""Load the inputs, run a method, and save the result with its record."""
