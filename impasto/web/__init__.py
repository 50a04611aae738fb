"""Export a static web page that stylizes pictures in the browser, without a server that computes."""

from impasto.web.site import SIZES, export_site

__all__ = ["SIZES", "export_site"]
