"""`impasto metrics`: how near a painting is to its content and its style, beside two pictures that are no paintings."""

from __future__ import annotations

import dataclasses
import json
from math import isfinite
from typing import Annotated, Any

import tyro

from impasto.backbones import BACKBONES
from impasto.cli.flags import parse
from impasto.cli.listing import show
from impasto.metrics import METRICS, PIXELS
from impasto.metrics.evaluate import compared_layers, evaluate_with_baselines

Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricsForm:
    """Grade a painting, beside the content itself (identity) and the style itself (style copy)."""

    pictures: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(metavar="CONTENT STYLE OUTPUT", help_behavior_hint="(required)"),
    ] = ()
    """The photograph and the picture it was painted after, as files or names of samples; then the painting, a file."""
    backbone: Annotated[str, tyro.conf.arg(metavar="NAME")] = "vgg19-caffe"
    """Network whose features are compared; `impasto backbones` lists them."""
    layers: Names = ()
    """Layers that every metric compares in place of its own."""
    metrics: Names = ()
    """Metrics to compute; all of them unless given."""
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1, mps."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the numbers as one JSON object."""


def metrics(arguments: list[str]) -> int:
    """`impasto metrics`."""
    form, rest = parse(MetricsForm, arguments, command="metrics")
    pictures = [*form.pictures, *rest]
    if len(pictures) != 3:
        raise ValueError(f"give a CONTENT, a STYLE and an OUTPUT, not {len(pictures)}; see impasto metrics --help")
    content, style, output = pictures
    layers = compared_layers(BACKBONES[form.backbone], form.layers, form.metrics)
    choice: dict[str, Any] = {"backbone": form.backbone, "layers": form.layers, "metrics": form.metrics}
    numbers = evaluate_with_baselines(content, style, output, **choice, device=form.device)
    if form.json:
        plain = {row: {name: x if isfinite(x) else None for name, x in each.items()} for row, each in numbers.items()}
        told = {"output": output, "backbone": form.backbone, "layers": layers, "metrics": plain.pop("output"), **plain}
        print(json.dumps(told))
        return 0
    lines = [
        {
            "metric": name,
            "judges": METRICS[name].measures,
            "better": "↓" if METRICS[name].lower_is_better else "↑",
            **{role: f"{each[name]:.4g}" for role, each in numbers.items()},
            "layers": "the pixels" if compared == PIXELS else compared,
        }
        for name, compared in layers.items()
    ]
    print(f"{output}, by the features of {form.backbone}: {BACKBONES[form.backbone].summary}")
    return show(lines, as_json=False, columns=("metric", "judges", "better", *numbers, "layers"))
