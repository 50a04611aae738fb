"""Compare several methods on one pair of images: `impasto compare`."""

from __future__ import annotations

import re
from pathlib import Path

from impasto.cli.experiment import add_run_flags, carry_out
from impasto.cli.flags import CommandParser, add_settings, given_settings, named_as_flag


def compare(arguments: list[str]) -> int:
    """Run `impasto compare`."""
    options = _parser(show_all="--help-all" in arguments).parse(arguments)
    if len(options.pictures) != 2:
        raise ValueError(f"give a CONTENT and a STYLE, not {len(options.pictures)}; see impasto compare --help")
    from impasto.experiments.expand import experiment_of
    from impasto.experiments.yaml_source import Document
    from impasto.methods import METHODS

    settings = {
        name: value for method in METHODS for name, value in given_settings(options, METHODS[method].Config).items()
    }
    content, style = options.pictures
    grid = {
        "name": "compare",
        "summary": f"{Path(content).stem} with {Path(style).stem}",
        "product": {"methods": options.methods or [name for name in METHODS if METHODS[name].any_style]},
        "pairs": [[content, style]],
        "seeds": [settings.pop("seed", 0)],
        "settings": settings,
    }
    try:
        experiment = experiment_of(Document(grid, Path.cwd()))
    except ValueError as error:
        message = re.sub("^seeds: ", "seed: ", str(error))
        raise ValueError(named_as_flag(message, [*settings, "seed"])) from None
    return carry_out(experiment, options)


def _parser(*, show_all: bool) -> CommandParser:
    from impasto.config import MethodConfig
    from impasto.methods import METHODS
    from impasto.methods.gatys import GatysConfig

    parser = CommandParser(
        "compare",
        "Stylize one image by several methods, grade the results and write a report. Each method takes the "
        "settings that it has; `impasto stylize --method NAME --help-all` lists them.",
        show_all=show_all,
    )
    if not show_all:
        parser.epilog = "impasto compare --help-all shows more settings by group."
    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="CONTENT STYLE",
        help="Content image and style image: files or names of samples.",
    )
    parser.add_argument(
        "--methods",
        metavar="NAME",
        nargs="+",
        default=[],
        help=f"Methods to compare: {', '.join(METHODS)}. Default: all that take any style image.",
    )
    add_run_flags(parser)
    names = [*MethodConfig.__dataclass_fields__, "start", "quality", "steps", "backbone"]
    add_settings(parser, GatysConfig, names=names)
    for method in METHODS:  # their descriptions and defaults differ between methods
        others = [name for name in METHODS[method].Config.__dataclass_fields__ if name not in names]
        add_settings(parser, METHODS[method].Config, names=others, hidden=True)
        names += others
    return parser
