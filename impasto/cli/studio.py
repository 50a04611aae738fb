"""Serve the web application: `impasto studio`."""

from __future__ import annotations

import argparse
import importlib.util
import ipaddress
import os
import secrets
import socket
import sys
import webbrowser
from pathlib import Path
from types import FrameType
from typing import Any

from impasto.cli.flags import CommandParser, number_between
from impasto.cli.interrupts import handle_signals, leave_terminal


def studio(arguments: list[str]) -> int:
    """Run `impasto studio`."""
    options = _parse(arguments)
    if not all(map(importlib.util.find_spec, ("uvicorn", "starlette", "segno"))):
        raise ValueError("the studio needs a web server: pip install impasto[studio]")
    from impasto.studio.qr_code import qr_text
    from impasto.studio.server import address_for_others, bind, make_app, make_server
    from impasto.studio.service import StudioService, default_folder

    token = options.token if options.token or _is_loopback(options.host) else secrets.token_urlsafe(24)
    listener = bind(options.host, options.port)
    limits = {"max_bytes": options.max_mib * 2**20, "max_pixels": options.max_pixels}
    folder = default_folder() if options.folder is None else Path(options.folder)
    service = StudioService.open(folder, workers=options.workers, **limits)
    host = address_for_others(options.host)
    host = f"[{host}]" if ":" in host else host
    query = f"?token={token}" if token else ""
    address = f"http://{host}:{listener.getsockname()[1]}/{query}"
    is_shared = not _is_loopback(options.host)
    address_of_phones = address if is_shared else None
    app = make_app(service, token=token, experiments=Path(options.experiments), address=address_of_phones)
    service.queue.warm_up()
    print(address, flush=True)
    if is_shared and _can_show("▀▄█"):
        print(qr_text(address), file=sys.stderr)
    print("impasto: the studio is running; Ctrl-C stops it", file=sys.stderr, flush=True)
    if options.browser and _has_screen():
        webbrowser.open(address)
    try:
        return _serve(make_server(app), listener)
    finally:
        service.queue.close()  # running jobs keep their best image


def _serve(server: Any, listener: socket.socket) -> int:
    """Run a server of `make_server` until a signal; return the exit status."""
    signals: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        leave_terminal()
        signals.append(number)
        server.should_exit = True

    with handle_signals(stop):
        server.run(sockets=[listener])  # it handles Ctrl-C and SIGTERM and raises them again when it has ended
    return 128 + signals[0] if signals else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = CommandParser(
        "studio",
        "Open the studio, a web application to stylize images, follow and steer the runs, and compare the results. "
        "Ctrl-C stops it.",
    )
    _add_server_flags(parser)
    _add_limits(parser)
    return parser.parse(arguments)


def _add_server_flags(parser: CommandParser) -> None:
    parser.add_argument(
        "--port",
        metavar="INT",
        type=number_between(int, 0, 65535),
        default=7860,
        help="Port of the server; 0 selects a free port (default: 7860).",
    )
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="Address of the server. Other machines can connect to an address such as 0.0.0.0, with a token (default: "
        "127.0.0.1, this machine only).",
    )
    parser.add_argument(
        "--token",
        metavar="TEXT",
        help="Token that clients must send. Default: a random one if other machines can connect, else none.",
    )
    parser.add_argument(
        "--no-browser",
        dest="browser",
        action="store_false",
        help="Do not open the page in a browser; without a terminal or a screen it is never opened.",
    )
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        help="Folder of results and uploads. Default: ~/.local/share/impasto/studio.",
    )
    parser.add_argument(
        "--experiments",
        metavar="FOLDER",
        default=".",
        help="Folder that is searched for experiments, two levels deep (default: the current folder).",
    )


def _add_limits(parser: CommandParser) -> None:
    parser.add_argument(
        "--workers",
        metavar="INT",
        type=number_between(int, 1, 64),
        default=1,
        help="Number of images that are stylized at the same time (default: 1).",
    )
    parser.add_argument(
        "--max-mib",
        metavar="INT",
        type=number_between(int, 1, 4096),
        default=64,
        help="Largest accepted upload, in MiB (default: 64).",
    )
    parser.add_argument(
        "--max-pixels",
        metavar="INT",
        type=number_between(int, 256),
        default=50_000_000,
        help="Largest accepted image, in pixels (default: 50000000).",
    )


def _has_screen() -> bool:
    """Return whether the command was typed into a terminal of a machine that can open a browser window."""
    has_windows = sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
    return sys.stdout.isatty() and has_windows


def _can_show(characters: str) -> bool:
    """Return whether messages go to a terminal with these characters."""
    try:
        characters.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        return False
    return sys.stderr.isatty()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
