"""Write a request as a shell command and as a Python script that compute the same picture.

The picture of a job that was stopped is computed from its record: `impasto replay` knows after which step it ends.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.experiments.report.commands import flags_of
from impasto.studio.requests import StylizeRequest


def shell_command(request: StylizeRequest, picture: Path | None = None) -> str:
    """Return `impasto stylize ...`, or `impasto replay ...` for a job that was stopped, for a POSIX shell.

    Args:
        request: the request.
        picture: the stored result, which has the record.
    """
    if request.stop_at is not None and picture is not None:
        return shlex.join(["impasto", "replay", str(picture), "-o", "out.png"])
    words = ["impasto", "stylize", request.content, *request.styles, "-o", "out.png"]
    bits = [] if request.bits == 8 else ["--bits", str(request.bits)]
    return shlex.join([*words, "--method", request.method, *flags_of(_given(request.settings)), *bits])


def python_script(request: StylizeRequest, picture: Path | None = None) -> str:
    """Return a Python script; the arguments are those of `shell_command`.

    >>> print(python_script(StylizeRequest(content="chelsea", styles=("mosaic",), settings={"size": 64})))
    import impasto
    <BLANKLINE>
    result = impasto.stylize('chelsea', ['mosaic'], 'gatys', size=64)
    result.save('out.png')
    """
    bits = "" if request.bits == 8 else f", bits={request.bits}"
    if request.stop_at is not None and picture is not None:
        return f"import impasto\n\nresult = impasto.replay({str(picture)!r})\nresult.save('out.png'{bits})"
    settings = "".join(f", {name}={value!r}" for name, value in _given(request.settings).items())
    return (
        "import impasto\n\n"
        f"result = impasto.stylize({request.content!r}, {list(request.styles)!r}, {request.method!r}{settings})\n"
        f"result.save('out.png'{bits})"
    )


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without tiles that were switched off by the run itself, because the memory sufficed."""
    return {name: value for name, value in settings.items() if (name, value) != ("tile", 0)}
