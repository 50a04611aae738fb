"""Stylize an image or a folder of images: `impasto stylize`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import impasto.pipeline.stylizer
from impasto.allocator import keep_freed_memory
from impasto.cli.dry_run import print_plan
from impasto.cli.flags import CommandParser, add_part_settings, given_settings, named_as_flag
from impasto.cli.folders import add_folder_outputs, check_single, is_folder, stylize_folder
from impasto.cli.outputs import add_outputs, check_losses, shown_output, stylize_to_file
from impasto.cli.streams import STANDARD, open_inputs
from impasto.cli.workers import chosen_runner
from impasto.images import Source
from impasto.methods import METHODS, configure
from impasto.methods.feed_forward import FeedForwardConfig
from impasto.pipeline.result import Result
from impasto.pipeline.run import OnStep

DEFAULT_METHOD = "gatys"


def stylize(arguments: list[str]) -> int:
    """Run `impasto stylize`."""
    method = chosen_method(arguments, DEFAULT_METHOD)
    config = METHODS[method].Config
    options = stylize_parser(method, show_all="--help-all" in arguments).parse(arguments)
    settings = given_settings(options, config)
    if not options.pictures or (len(options.pictures) < 2 and not has_own_styles(method, settings)):
        raise ValueError("give a CONTENT and at least one STYLE; see impasto stylize --help")
    content, *styles = options.pictures
    shared = {"max_pixels": options.max_pixels, "workers": options.workers, "runner": chosen_runner(options)}
    if not issubclass(config, FeedForwardConfig):
        keep_freed_memory(of_any_size=True)  # pays off over many steps

    def run(on_step: OnStep, checkpoint: Path | None) -> Result:
        (content, *styles), opened = _open_stdin(options.pictures, settings)
        return impasto.pipeline.stylizer.stylize(
            content,
            styles,
            method,
            on_step=on_step,
            output=shown_output(options),
            checkpoint=checkpoint,
            **shared,
            **opened,
        )

    try:
        if is_folder(content):
            return stylize_folder(options, content, styles, settings)
        if options.dry_run:
            (content, *styles), opened = _open_stdin(options.pictures, settings)
            print_plan(content, styles, method, as_json=options.json, output=shown_output(options), **shared, **opened)
            return 0
        check_single(options)
        check_losses(options, method)
        files = METHODS[method].inputs(configure(method, settings))
        inputs = [*options.pictures, *(file for each in files.values() for file in each)]
        return stylize_to_file(run, options, inputs, title=method)
    except ValueError as error:
        raise ValueError(named_as_flag(str(error), [*config.__dataclass_fields__, "overwrite", "workers"])) from error


def _open_stdin(pictures: Sequence[str], settings: dict[str, Any]) -> tuple[list[Source], dict[str, Any]]:
    """Return the pictures and the settings with the content of stdin in place of `-`."""
    files: dict[str, list[str]] = {name: settings[name] for name in ("mask", "style_mask") if name in settings}
    files |= {"start": [settings["start"]]} if settings.get("start") == STANDARD else {}
    sources = iter(open_inputs([*pictures, *(name for names in files.values() for name in names)]))
    opened: list[Source] = list(islice(sources, len(pictures)))
    inputs: dict[str, Any] = {name: list(islice(sources, len(names))) for name, names in files.items()}
    if "start" in inputs:
        (inputs["start"],) = inputs["start"]
    return opened, {**settings, **inputs}


def stylize_parser(method: str, *, show_all: bool = False) -> CommandParser:
    """Return the parser of `impasto stylize` for a method.

    Args:
        method: name of the method; its settings are flags.
        show_all: show all settings in the help, instead of those of the tier `main`.
    """
    parser = CommandParser(
        "stylize",
        f"{METHODS[method].summary}.",
        show_all=show_all,
        standard=("pictures", "output", "mask", "style_mask", "start"),
    )
    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="CONTENT STYLE",
        help="Content image or folder, and style images: files or names of samples.",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        default=method,
        help=f"`impasto methods` lists the methods (default: {DEFAULT_METHOD}).",
    )
    add_outputs(parser)
    add_folder_outputs(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="Print sizes, steps, expected time and memory, and write nothing."
    )
    add_part_settings(parser, METHODS, method, "--method")
    return parser


def has_own_styles(method: str, settings: dict[str, Any]) -> bool:
    """Return whether the weights that the settings name contain style images, so that none needs to be given."""
    if "weights" not in settings:
        return False
    try:
        return bool(METHODS[method].own_styles(configure(method, settings)))
    except ValueError as error:
        raise ValueError(named_as_flag(str(error), METHODS[method].Config.__dataclass_fields__)) from error


def chosen_method(arguments: Sequence[str], default: str) -> str:
    """Return the value of `--method`, which determines the other flags."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--method", default=default)
    try:
        return str(parser.parse_known_args(arguments)[0].method)
    except argparse.ArgumentError as error:
        raise ValueError(f"{error.argument_name}: {error.message}; see impasto stylize --help") from None
