"""What the package carries besides code: sample styles, and the code that draws them."""
