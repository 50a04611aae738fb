"""Stylize a clip: `impasto video`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impasto.allocator import keep_freed_memory
from impasto.cli.flags import CommandParser, add_json, add_part_settings, add_settings, given_settings, named_as_flag
from impasto.cli.interrupts import Interrupts
from impasto.cli.progress import Bar, Preview, plural
from impasto.cli.stylize import chosen_method, has_own_styles
from impasto.cli.workers import add_worker_flags, chosen_runner
from impasto.files import same_file
from impasto.images import check_output
from impasto.methods import METHODS
from impasto.types import Step
from impasto.video.records import VideoResult
from impasto.video.settings import NOT_FOR_CLIPS, VideoSettings
from impasto.video.stylize import DEFAULT_METHOD, stylize_video


def video(arguments: list[str]) -> int:
    """Run `impasto video`."""
    method = chosen_method(arguments, DEFAULT_METHOD)
    config = METHODS[method].Config
    options = _parser(method, show_all="--help-all" in arguments).parse(arguments)
    settings = {name: value for name, value in given_settings(options, config).items() if name not in NOT_FOR_CLIPS}
    if not options.files or (len(options.files) < 2 and not has_own_styles(method, settings)):
        raise ValueError("give a CLIP and at least one STYLE; see impasto video --help")
    if options.output is None:
        raise ValueError("the output is missing; give -o FILE")
    clip, *styles = options.files
    inputs = [*options.files, *(settings.get("mask") or ()), *(settings.get("style_mask") or ())]
    _check_inputs(inputs, options.output)
    if options.preview is not None:
        check_output(options.preview)
        _check_inputs(inputs, options.preview)
    settings |= given_settings(options, VideoSettings)
    keep_freed_memory(of_any_size=True)
    names = [*config.__dataclass_fields__, *VideoSettings.__dataclass_fields__, "restart"]
    try:
        with Interrupts("frame") as interrupts:
            result = _run(options, clip, styles, method, settings, interrupts)
    except ValueError as error:
        raise ValueError(named_as_flag(str(error), names)) from error
    return _report(result, options, interrupts)


def _run(
    options: argparse.Namespace,
    clip: str,
    styles: Sequence[str],
    method: str,
    settings: dict[str, Any],
    interrupts: Interrupts,
) -> VideoResult:
    """Stylize the clip; the first signal finishes the frame, and the second Ctrl-C ends the process."""
    preview = Preview(options.preview)
    with Bar(f"{method} {Path(clip).name}", unit="frame") as bar:

        def on_frame(step: Step) -> bool:
            interrupts.phase = "running"
            bar(step)
            preview(step)
            return not interrupts.requested

        return stylize_video(
            clip,
            styles,
            options.output,
            method,
            on_frame=on_frame,
            restart=options.restart,
            workers=options.workers,
            runner=chosen_runner(options),
            **settings,
        )


def _report(result: VideoResult, options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Print what was done; return the exit status."""
    if result.stopped == "cancelled":
        passes = f" of {result.passes} passes" if result.passes > 1 else ""
        text = f"stopped after {result.frames} of {result.total} frames{passes}"
        print(f"impasto: {text}; the same command continues", file=sys.stderr, flush=True)
        return interrupts.status
    summary = result.summary()
    if options.json:
        print(json.dumps({"output": options.output, **summary}))
    else:
        frames = plural(summary["frames"], "frame") + (f" in {result.passes} passes" if result.passes > 1 else "")
        frames += f", {summary['resumed']} of them before" if summary["resumed"] else ""
        rate = summary["frames_per_second"]
        print(f"{options.output}: {frames} in {result.seconds:.1f} s ({rate:.2g} frames/s)")
    return interrupts.status


def _check_inputs(files: Sequence[str], output: str) -> None:
    for file in files:
        if same_file(file, output):
            raise ValueError(f"{file} is an input and would be overwritten: give another name")


def _parser(method: str, *, show_all: bool) -> CommandParser:
    parser = CommandParser("video", f"{METHODS[method].summary}.", show_all=show_all)
    parser.add_argument(
        "files",
        nargs="*",
        metavar="CLIP STYLE",
        help="Clip (a video file, an animated image or a folder of numbered frames), and style images.",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        default=method,
        help=f"`impasto methods` lists the methods (default: {DEFAULT_METHOD}).",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="Clip to write (required): .mp4, .mov, .webm, .mkv (lossless), .gif, .apng, or a folder.",
    )
    add_json(parser)
    parser.add_argument("--preview", metavar="FILE", help="Image that shows the last frame, written while it runs.")
    parser.add_argument(
        "--restart", action="store_true", help="Discard finished frames of a run with other inputs or settings."
    )
    add_worker_flags(parser, "stylize shots", advanced=True)
    add_settings(parser, VideoSettings)
    add_part_settings(parser, METHODS, method, "--method", without=NOT_FOR_CLIPS)
    return parser
