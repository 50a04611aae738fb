"""Networks: bodies that are trained here."""
