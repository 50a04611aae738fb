"""Evaluate a stylized image by metrics: `impasto metrics`."""

from __future__ import annotations

import argparse
import json
import os
from math import isfinite
from typing import Any

from impasto.backbones import BACKBONES
from impasto.cli.flags import CommandParser, add_json
from impasto.cli.streams import open_inputs
from impasto.cli.tables import print_rows
from impasto.images.decoding import CLIP_SUFFIXES
from impasto.metrics import METRICS, PIXELS
from impasto.metrics.evaluate import evaluate_with_baselines
from impasto.metrics.reference import compared_layers

ANIMATED_SUFFIXES = frozenset((".apng", ".gif"))
METRICS_HELP = (
    "Metrics to compute; NAME@SIZE, such as style_share@256, first reduces all images to SIZE pixels. Default: all "
    "metrics, and content and style_share also at those of 512, 256 and 128 pixels that are smaller than the output."
)


def metrics(arguments: list[str]) -> int:
    """Run `impasto metrics`."""
    options = _parse(arguments)
    count = len(options.images)
    if count != 3:
        raise ValueError(f"give a CONTENT, a STYLE and an OUTPUT, not {count}; see impasto metrics --help")
    output = options.images[2]
    if is_clip(output):
        return clip_metrics(options)
    if options.report is not None:
        raise ValueError("report: it is for clips; impasto compare writes one of images")
    opened = open_inputs(options.images)
    choice: dict[str, Any] = {"backbone": options.backbone, "layers": options.layers, "metrics": options.metrics}
    values = evaluate_with_baselines(*opened, **choice, device=options.device)
    layers = compared_layers(BACKBONES[options.backbone], options.layers, tuple(values["output"]))
    if options.json:
        plain = {role: {name: x if isfinite(x) else None for name, x in each.items()} for role, each in values.items()}
        facts = {"output": output, "backbone": options.backbone, "layers": layers}
        print(json.dumps({**facts, "metrics": plain.pop("output"), **plain}))
        return 0
    rows = [
        {
            "metric": name,
            "measures": METRICS[name].measures,
            "better": "↓" if METRICS[name].lower_is_better else "↑",
            **{role: f"{each[name]:.4g}" for role, each in values.items()},
            "layers": "pixels" if compared == PIXELS else compared,
        }
        for name, compared in layers.items()
    ]
    print(f"{output}, evaluation network {options.backbone}: {BACKBONES[options.backbone].summary}")
    print_rows(rows, as_json=False, columns=("metric", "measures", "better", *values, "layers"))
    return 0


def clip_metrics(options: argparse.Namespace) -> int:
    """Print the metrics of a stylized clip."""
    from impasto.video.grading import CLIP_METRICS, grade_clip
    from impasto.video.report import check_report, write_report

    content, style, output = options.images
    if options.report is not None:
        check_report(options.report)
    choice: dict[str, Any] = {"backbone": options.backbone, "layers": options.layers, "device": options.device}
    values = grade_clip(content, style, output, metrics=options.metrics or CLIP_METRICS, **choice)
    if options.report is not None:
        write_report(options.report, content, output, values)
    if options.json:
        plain = {role: {name: x if isfinite(x) else None for name, x in each.items()} for role, each in values.items()}
        facts = {"output": output, "backbone": options.backbone}
        print(json.dumps({**facts, "metrics": plain.pop("output"), **plain}))
        return 0
    rows = [
        {"metric": name, **{role: f"{each[name]:.4g}" for role, each in values.items()}} for name in values["output"]
    ]
    print(f"{output}, evaluation network {options.backbone}: {BACKBONES[options.backbone].summary}")
    print_rows(rows, as_json=False, columns=("metric", *values))
    return 0


def is_clip(output: str) -> bool:
    """Return whether an output is a clip: a folder of frames, or a file with the suffix of a video."""
    return os.path.isdir(output) or os.path.splitext(output)[1].lower() in CLIP_SUFFIXES | ANIMATED_SUFFIXES


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = CommandParser(
        "metrics",
        "Compute metrics of a stylized image. For comparison, the metrics of the content image itself (identity) and "
        "of the style image itself (style copy) are printed too. For a clip and its stylized clip, these are the warp "
        "errors, and the means of some metrics over 8 frames.",
        standard=("images",),
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="CONTENT STYLE OUTPUT",
        help="Content image and style image (files or names of samples), then the stylized image (a file); or clips.",
    )
    parser.add_argument(
        "--backbone",
        metavar="NAME",
        default="vgg19-caffe",
        help="Evaluation network; `impasto backbones` lists the networks (default: vgg19-caffe).",
    )
    parser.add_argument(
        "--layers",
        metavar="NAME",
        nargs="+",
        default=(),
        help="Layers that every metric compares. Default: the layers of each metric.",
    )
    parser.add_argument("--metrics", metavar="NAME", nargs="+", default=(), help=METRICS_HELP)
    parser.add_argument(
        "--report", metavar="FILE", help="Page (.html) that shows a clip beside its input, with the metrics."
    )
    parser.add_argument(
        "--device",
        metavar="NAME",
        default="auto",
        help="Device of the computation: auto, cpu, cuda, cuda:1, mps or xpu (default: auto).",
    )
    add_json(parser)
    return parser.parse(arguments)
