"""Draw the address of the studio as a QR code, which the camera of a phone opens."""

from __future__ import annotations

import io

import segno


def qr_svg(address: str) -> str:
    """Return the QR code of an address as SVG, dark on white, with its quiet zone."""
    svg = io.BytesIO()
    segno.make(address, micro=False).save(svg, kind="svg", border=4, light="#fff", omitsize=True, xmldecl=False)
    return svg.getvalue().decode()


def qr_text(address: str) -> str:
    """Return the QR code of an address for a terminal: white on black, two modules in a character."""
    text = io.StringIO()
    segno.make(address, micro=False).terminal(text, border=2, compact=True)
    return "\n".join(f"\x1b[97;40m{line}\x1b[0m" for line in text.getvalue().rstrip().splitlines())
