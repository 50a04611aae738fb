"""Writes the tables of the documentation from the code: `python docs/generate.py`; `--check` only looks.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; `TABLES` says what NAME is made of.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from impasto.backbones import BACKBONES
from impasto.config import setting_schemas
from impasto.experiments.bundled import bundled, find_experiment
from impasto.experiments.expand import read_experiment
from impasto.losses import LOSSES
from impasto.methods import METHODS
from impasto.metrics import METRICS
from impasto.training.recipes import TrainingConfig
from impasto.weights.manifest import MANIFEST, MIB

FOLDER = Path(__file__).parent
TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def settings(config: type[Any]) -> str:
    """Every setting of a method or a recipe: its default, what it may be, and its help."""
    rows = [
        [f"`--{name.replace('_', '-')}`", _value(schema.get("default")), _allowed(schema), schema["description"]]
        for name, schema in setting_schemas(config).items()
    ]
    return table(["flag", "default", "may be", "what it does"], rows)


def backbones() -> str:
    rows = [
        [
            f"`{name}`",
            BACKBONES[name].summary,
            _names(BACKBONES[name].content_layers),
            _names(BACKBONES[name].style_layers),
        ]
        for name in BACKBONES
    ]
    return table(["name", "what it is", "keeps the content at", "takes the style from"], rows)


def losses() -> str:
    rows = [[f"`{name}`", (LOSSES[name].__doc__ or "").split("\n\n")[0], _yes(LOSSES[name])] for name in LOSSES]
    return table(["name", "what it compares", "a mean over places"], rows)


def metrics() -> str:
    """Every metric, with the layers that it compares on the network of reference."""
    network = BACKBONES["vgg19-caffe"]
    rows = [
        [
            f"[`{name}`](#{name})",
            METRICS[name].measures,
            "lower" if METRICS[name].lower_is_better else "higher",
            METRICS[name].summary,
            _names(METRICS[name]().layers(network)).replace("image", "the pixels"),
        ]
        for name in METRICS
    ]
    return table(["name", "judges", "better", "what it is", "layers of VGG-19"], rows)


def experiments() -> str:
    """Every bundled experiment: how many paintings it is, and what it is about."""
    tasks = {name: read_experiment(find_experiment(name)).tasks for name in bundled()}
    rows = [[f"`{name}`", summary, len({task.key for task in tasks[name]})] for name, summary in bundled().items()]
    return table(["name", "what it asks", "paintings"], rows)


def weights() -> str:
    rows = [
        [f"`{name}`", each.summary, f"`{file.filename}`", f"{file.size / MIB:.0f}", each.license]
        for name, each in MANIFEST.items()
        for file in each.files
    ]
    return table(["name", "what it is", "file", "MiB", "license"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "backbones": backbones,
    "losses": losses,
    "metrics": metrics,
    "experiments": experiments,
    "weights": weights,
    **{f"settings-{name}": lambda name=name: settings(METHODS[name].Config) for name in METHODS},
    "settings-training": lambda: settings(TrainingConfig),
}


def main(only_look: bool) -> int:
    """Writes what is out of date, or names it and returns 1."""
    stale = []
    for page in sorted(FOLDER.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        fresh = TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)
        if fresh != text:
            stale.append(page.name)
            if not only_look:
                page.write_text(fresh, encoding="utf-8")
    print(f"{'out of date' if only_look else 'written'}: {', '.join(stale) or 'none'}")
    return 1 if only_look and stale else 0


def _allowed(field: dict[str, Any]) -> str:
    choices = field.get("anyOf", [field])
    return " or ".join(_kind(choice) for choice in choices if choice.get("type") != "null")


def _kind(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"any number of: {_kind(field['items'])}"
    kind = {"integer": "whole number", "number": "number", "string": "text"}[field["type"]]
    low = f"from {_short(field['minimum'])}" if "minimum" in field else ""
    low = f"above {_short(field['exclusiveMinimum'])}" if "exclusiveMinimum" in field else low
    high = f"to {_short(field['maximum'])}" if "maximum" in field else ""
    high = f"and below {_short(field['exclusiveMaximum'])}" if "exclusiveMaximum" in field else high
    return " ".join(part for part in (kind, low, high) if part)


def _cell(value: object) -> str:
    return str(value).replace("|", r"\|").replace("\n", " ")


def _short(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def _value(default: Any) -> str:
    return "" if default is None or default == [] or default == () else f"`{default}`"


def _names(layers: Iterable[str]) -> str:
    return ", ".join(layers)


def _yes(loss: Any) -> str:
    return "yes" if loss.is_spatial_mean else "no"


if __name__ == "__main__":
    sys.exit(main(only_look="--check" in sys.argv[1:]))
