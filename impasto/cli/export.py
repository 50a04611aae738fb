"""Export a feed-forward model as ONNX: `impasto export`."""

from __future__ import annotations

from pathlib import Path

from impasto.cli.flags import CommandParser
from impasto.pipeline import onnx


def export(arguments: list[str]) -> int:
    """Run `impasto export`."""
    parser = CommandParser(
        "export", "Export a feed-forward model as ONNX. The exported model stylizes images of any size."
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="`micro`, `adain`, or `johnson-STYLE` for a style that has a trained network.",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="The .onnx file to write (required).")
    options = parser.parse(arguments)
    if len(options.models) != 1:
        raise ValueError(f"give one MODEL of {', '.join(onnx.models())}; see impasto export --help")
    if options.output is None:
        raise ValueError("the output is missing; give -o FILE.onnx")
    print(onnx.export(options.models[0], Path(options.output)))
    return 0
