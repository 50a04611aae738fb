"""Manage pretrained weights: `impasto weights list`, `fetch` and `verify`."""

from __future__ import annotations

import argparse
import dataclasses
import json

from impasto.cli.flags import CommandParser, add_json
from impasto.cli.tables import print_rows


def list_weights(arguments: list[str]) -> int:
    """Run `impasto weights list`."""
    parser = CommandParser("weights list")
    add_json(parser, "Print a JSON list with one object per row.")
    options = parser.parse(arguments)
    from impasto.weights import table

    print_rows(table(), as_json=options.json, columns=("name", "size_mib", "license", "path", "summary"))
    return 0


def fetch_weights(arguments: list[str]) -> int:
    """Run `impasto weights fetch`."""
    options = _parse_names("weights fetch", arguments)
    from impasto.weights import MANIFEST, fetch

    if len(options.names) != 1:
        raise ValueError(f"give one NAME of {', '.join(MANIFEST)}, not {len(options.names)}")
    path = fetch(options.names[0])
    print(json.dumps({"name": options.names[0], "path": str(path)}) if options.json else path)
    return 0


def verify_weights(arguments: list[str]) -> int:
    """Run `impasto weights verify`.

    Raises:
        ValueError: if a file does not match its hash, or a named one is missing.
    """
    options = _parse_names("weights verify", arguments)
    from impasto.weights import MANIFEST, verify

    checks = [verify(name) for name in options.names or MANIFEST]
    rows = [{**dataclasses.asdict(check), "path": str(check.path) if check.path else None} for check in checks]
    print_rows(rows, as_json=options.json, columns=("name", "state", "path"))
    bad = [check for check in checks if check.state == "wrong" or (options.names and check.state == "missing")]
    if bad:
        reasons = (f"{check.name} is {check.state}{f' ({check.path})' if check.path else ''}" for check in bad)
        raise ValueError(f"{'; '.join(reasons)}; `impasto weights fetch NAME` downloads it")
    return 0


def _parse_names(command: str, arguments: list[str]) -> argparse.Namespace:
    parser = CommandParser(command)
    parser.add_argument("names", nargs="*", metavar="NAME", help="Name in `impasto weights list`.")
    add_json(parser)
    return parser.parse(arguments)
