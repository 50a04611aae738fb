"""The studio: a web page on which one paints, watches, steers and compares; `impasto studio` opens it.

`orders`, `uploads`, `history` and `jobs` know no page; `page/` and `server` show them.
"""
