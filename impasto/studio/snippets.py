"""Write a request as a shell command and as a Python script that compute the same picture."""

from __future__ import annotations

import shlex

from impasto.experiments.report.commands import flags_of
from impasto.studio.requests import StylizeRequest


def shell_command(request: StylizeRequest) -> str:
    """Return `impasto stylize ...` for a POSIX shell."""
    words = ["impasto", "stylize", request.content, *request.styles, "-o", "out.png"]
    bits = [] if request.bits == 8 else ["--bits", str(request.bits)]
    return shlex.join([*words, "--method", request.method, *flags_of(request.settings), *bits])


def python_script(request: StylizeRequest) -> str:
    """Return a Python script.

    >>> print(python_script(StylizeRequest(content="chelsea", styles=("mosaic",), settings={"size": 64})))
    import impasto
    <BLANKLINE>
    result = impasto.stylize('chelsea', ['mosaic'], 'gatys', size=64)
    result.save('out.png')
    """
    settings = "".join(f", {name}={value!r}" for name, value in request.settings.items())
    bits = "" if request.bits == 8 else f", bits={request.bits}"
    return (
        "import impasto\n\n"
        f"result = impasto.stylize({request.content!r}, {list(request.styles)!r}, {request.method!r}{settings})\n"
        f"result.save('out.png'{bits})"
    )
