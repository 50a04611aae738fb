"""Export a feed-forward model as ONNX, or as a web page that stylizes in the browser: `impasto export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from impasto.cli.flags import CommandParser
from impasto.pipeline import onnx
from impasto.web import export_site


def export(arguments: list[str]) -> int:
    """Run `impasto export`."""
    parser = CommandParser(
        "export",
        "Export a feed-forward model as ONNX, or with --web as a page that stylizes in the browser, for images "
        "of any size.",
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="`micro` (default with --web), `adain`, `micro-STYLE` or `johnson-STYLE` for a style that has a trained "
        "network, or a file of `impasto adapt`.",
    )
    parser.add_argument("-o", "--output", metavar="PATH", help="The .onnx file or the folder to write (required).")
    _add_web_flags(parser)
    options = parser.parse(arguments)
    if len(options.models) > 1 or not (options.models or options.web):
        raise ValueError(f"give one MODEL of {', '.join(onnx.models())}; see impasto export --help")
    if options.output is None:
        raise ValueError("the output is missing; give -o FILE.onnx, or with --web -o FOLDER")
    print(_export_web(options) if options.web else _export_onnx(options))
    return 0


def _add_web_flags(parser: CommandParser) -> None:
    parser.add_argument(
        "--web", action="store_true", help="Write a static web page with the model, its styles and onnxruntime-web."
    )
    parser.add_argument(
        "--style",
        action="append",
        default=[],
        metavar="STYLE",
        help="Image or sample that the page offers beside the bundled styles. Can be given several times (`micro`).",
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="Weights of `micro` for the page, in place of the bundled ones."
    )
    parser.add_argument(
        "--runtime", metavar="FOLDER", help="Folder of onnxruntime-web. Default: download it from npm, once."
    )


def _export_onnx(options: argparse.Namespace) -> Path:
    for name in ("style", "weights", "runtime"):
        if getattr(options, name):
            raise ValueError(f"--{name} is a setting of the web page; add --web, or leave it out")
    return onnx.export(options.models[0], Path(options.output))


def _export_web(options: argparse.Namespace) -> Path:
    return export_site(
        Path(options.output),
        *options.models,
        styles=options.style,
        weights=options.weights and Path(options.weights),
        runtime=options.runtime and Path(options.runtime),
    )
