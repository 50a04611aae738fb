"""An order as a command line, and as Python."""

from __future__ import annotations

import shlex

from impasto.experiments.report.commands import flags_of
from impasto.studio.requests import Order


def as_command(order: Order) -> str:
    """`impasto stylize ...` for a POSIX shell."""
    words = ["impasto", "stylize", order.content, *order.styles, "-o", "out.png"]
    bits = [] if order.bits == 8 else ["--bits", str(order.bits)]
    return shlex.join([*words, "--method", order.method, *flags_of(order.settings), *bits])


def as_python(order: Order) -> str:
    """A script that paints the same.

    >>> print(as_python(Order(content="chelsea", styles=("mosaic",), settings={"size": 64})))
    import impasto
    <BLANKLINE>
    result = impasto.stylize('chelsea', ['mosaic'], 'gatys', size=64)
    result.save('out.png')
    """
    given = "".join(f", {name}={value!r}" for name, value in order.settings.items())
    bits = "" if order.bits == 8 else f", bits={order.bits}"
    return (
        "import impasto\n\n"
        f"result = impasto.stylize({order.content!r}, {list(order.styles)!r}, {order.method!r}{given})\n"
        f"result.save('out.png'{bits})"
    )
