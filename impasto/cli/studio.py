"""`impasto studio`: the web page."""

from __future__ import annotations

import dataclasses
import importlib.util
import ipaddress
import secrets
import sys
from pathlib import Path
from typing import Annotated

import tyro

from impasto.cli.flags import parse


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudioForm:
    """Open the studio, a web page on which one paints, watches, steers and compares; Ctrl-C ends it."""

    port: int = 7860
    """Where it listens; 0 finds a free port."""
    host: str = "127.0.0.1"
    """Who may come: this machine, unless another address is given, such as 0.0.0.0; then a token is asked for."""
    token: Annotated[str | None, tyro.conf.arg(help_behavior_hint="(default: made anew)")] = None
    """The token to ask for; where other machines may come there is always one."""
    folder: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """Where paintings and uploads are kept; ~/.local/share/impasto/studio unless given."""
    experiments: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path()
    """Where experiments are looked for, in folders and folders of folders."""
    workers: int = 1
    """Paintings at a time."""
    max_mib: int = 64
    """The largest upload, in MiB."""
    max_pixels: int = 50_000_000
    """The largest picture, in pixels."""


def studio(arguments: list[str]) -> int:
    """`impasto studio`."""
    form, rest = parse(StudioForm, arguments, command="studio")
    if rest:
        raise ValueError(f"impasto studio takes no {rest[0]!r}; see impasto studio --help")
    _check(form)
    from impasto.studio.server import bind, make_app, serve
    from impasto.studio.service import Workshop, default_folder

    token = form.token if form.token or _is_loopback(form.host) else secrets.token_urlsafe(24)
    door = bind(form.host, form.port)
    limits = {"max_bytes": form.max_mib * 2**20, "max_pixels": form.max_pixels}
    workshop = Workshop.open(form.folder or default_folder(), workers=form.workers, **limits)
    app = make_app(workshop, token=token, experiments=form.experiments)
    workshop.line.warm_up()
    host = f"[{form.host}]" if ":" in form.host else form.host
    query = f"?token={token}" if token else ""
    print(f"http://{host}:{door.getsockname()[1]}/{query}", flush=True)
    print("impasto: the studio is open; Ctrl-C ends it", file=sys.stderr, flush=True)
    try:
        serve(app, door)
    except KeyboardInterrupt:
        pass
    finally:
        workshop.line.close()
    return 130


def _check(form: StudioForm) -> None:
    if not 0 <= form.port <= 65535:
        raise ValueError(f"--port: give 0 to 65535, not {form.port}")
    for name, value, most in (("workers", form.workers, 64), ("max-mib", form.max_mib, 4096)):
        if not 1 <= value <= most:
            raise ValueError(f"--{name}: give 1 to {most}, not {value}")
    if form.max_pixels < 256:
        raise ValueError(f"--max-pixels: give at least 256, not {form.max_pixels}")
    if importlib.util.find_spec("gradio") is None:
        raise ValueError("the studio needs gradio: pip install impasto[studio]")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
