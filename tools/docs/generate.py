"""Write the generated parts of the documentation: `python tools/docs/generate.py`; `--check` only compares.

A generated part stands between `<!-- table: NAME -->` and `<!-- end -->`; `PARTS` maps NAME to its function.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from impasto.backbones import BACKBONES
from impasto.cli import COMMANDS
from impasto.cli import main as run_command
from impasto.config import setting_schemas
from impasto.experiments.bundled import bundled, find_experiment
from impasto.experiments.expand import read_experiment
from impasto.losses import LOSSES
from impasto.methods import METHODS
from impasto.metrics import METRICS
from impasto.training.adapt import AdaptSettings
from impasto.training.recipes import RECIPES, TrainingConfig
from impasto.weights.manifest import MANIFEST, MIB

FOLDER = Path(__file__).parents[2] / "docs"
PART = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def settings(config: type[Any], without: Iterable[str] = (), changed: Iterable[str] = ()) -> str:
    """Return the settings of a method or a recipe: the main ones first, then the others by group."""
    groups: dict[str, list[list[str]]] = {}
    for name, schema in setting_schemas(config).items():
        if name in without:
            continue
        group = "Main settings" if schema["tier"] == "main" else schema["group"]
        group = "Defaults that differ from those of every recipe" if name in changed else group
        flag = f"`--{name.replace('_', '-')}`"
        groups.setdefault(group, []).append(
            [flag, _value(schema.get("default")), _allowed(schema), schema["description"]]
        )
    main = {name: rows for name, rows in groups.items() if name == "Main settings"}
    return "\n".join(
        f"**{name}**\n\n" + table(["flag", "default", "values", "description"], rows)
        for name, rows in {**main, **groups}.items()
    )


def recipes() -> str:
    """Return the settings of each recipe that it does not share with the other recipes."""
    shared = setting_schemas(TrainingConfig)
    parts = []
    for name in RECIPES:
        config = RECIPES[name].Config
        own = setting_schemas(config)
        same = [key for key in shared if own[key].get("default") == shared[key].get("default")]
        summary = RECIPES[name].summary
        parts.append(f"### `{name}`\n\n{summary[0].upper()}{summary[1:]}.\n\n{settings(config, same, shared)}")
    return "\n".join(parts)


def backbones() -> str:
    """Return every backbone with its layers."""
    rows = [
        [
            f"`{name}`",
            BACKBONES[name].summary,
            _names(BACKBONES[name].content_layers),
            _names(BACKBONES[name].style_layers),
        ]
        for name in BACKBONES
    ]
    return table(["name", "description", "content layers", "style layers"], rows)


def losses() -> str:
    """Return every loss with its summary."""
    rows = [
        [
            f"`{name}`",
            LOSSES[name].role,
            (LOSSES[name].__doc__ or "").split("\n\n")[0],
            "yes" if LOSSES[name].is_spatial_mean else "no",
        ]
        for name in LOSSES
    ]
    return table(["name", "role", "description", "spatial mean"], rows)


def metrics() -> str:
    """Return every metric with the layers that it compares on VGG-19."""
    network = BACKBONES["vgg19-caffe"]
    rows = [
        [
            f"[`{name}`](#{name})" if name in METRIC_SECTIONS else f"`{name}`",
            METRICS[name].measures,
            "lower" if METRICS[name].lower_is_better else "higher",
            METRICS[name].summary,
            _names(METRICS[name]().layers(network)).replace("image", "the pixels"),
        ]
        for name in METRICS
    ]
    return table(["name", "measures", "better", "description", "layers of VGG-19"], rows)


def experiments() -> str:
    """Return every bundled experiment with its number of outputs."""
    tasks = {name: read_experiment(find_experiment(name)).tasks for name in bundled()}
    rows = [[f"`{name}`", summary, len({task.key for task in tasks[name]})] for name, summary in bundled().items()]
    return table(["name", "question", "outputs"], rows)


def weights() -> str:
    """Return every file of pretrained weights."""
    rows = [
        [f"`{name}`", each.summary, f"`{file.filename}`", f"{file.size / MIB:.0f}", each.license]
        for name, each in MANIFEST.items()
        for file in each.files
    ]
    return table(["name", "description", "file", "MiB", "license"], rows)


def methods() -> str:
    """Return every method with its summary, for the page in the folder of the methods."""
    has_page = {name: (FOLDER / "reference" / "methods" / f"{name}.md").exists() for name in METHODS}
    rows = [[f"[`{name}`]({name}.md)" if has_page[name] else f"`{name}`", METHODS[name].summary] for name in METHODS]
    return table(["name", "description"], rows)


def commands() -> str:
    """Return every command with its summary."""
    return table(
        ["command", "description"], [[f"`impasto {name} {use}`", text] for name, (use, text, _) in COMMANDS.items()]
    )


def help_text(words: str) -> str:
    """Return the help of one command as a block of text."""
    os.environ["COLUMNS"] = "100"
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert run_command([*words.split(), "--help"]) == 0, words
    return f"```text\n{printed.getvalue().strip()}\n```\n"


METRIC_SECTIONS = re.findall(r"^## `(\w+)`$", (FOLDER / "reference" / "metrics.md").read_text("utf-8"), re.MULTILINE)
PARTS: dict[str, Callable[[], str]] = {
    "backbones": backbones,
    "losses": losses,
    "metrics": metrics,
    "experiments": experiments,
    "weights": weights,
    "recipes": recipes,
    "methods": methods,
    "commands": commands,
    "settings-adapt": partial(settings, AdaptSettings),
    "settings-training": partial(settings, TrainingConfig),
    **{f"settings-{name}": partial(settings, METHODS[name].Config) for name in METHODS},
    **{f"help-{name.replace(' ', '-')}": partial(help_text, name) for name in COMMANDS},
}


def main(check: bool) -> int:
    """Write the parts that are out of date; with `check`, print their pages and return 1."""
    stale = []
    for page in sorted(FOLDER.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        fresh = PART.sub(lambda found: found[1] + PARTS[found[2]]() + found[3], text)
        if fresh != text:
            stale.append(page.relative_to(FOLDER).as_posix())
            if not check:
                page.write_text(fresh, encoding="utf-8")
    print(f"{'out of date' if check else 'written'}: {', '.join(stale) or 'none'}")
    return 1 if check and stale else 0


def _allowed(field: dict[str, Any]) -> str:
    choices = field.get("anyOf", [field])
    return " or ".join(_kind(choice) for choice in choices if choice.get("type") != "null")


def _kind(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {_kind(field['items'])}"
    kind = {"integer": "integer", "number": "number", "string": "text", "boolean": "flag"}[field["type"]]
    low = f"from {_short(field['minimum'])}" if "minimum" in field else ""
    low = f"above {_short(field['exclusiveMinimum'])}" if "exclusiveMinimum" in field else low
    high = f"to {_short(field['maximum'])}" if "maximum" in field else ""
    high = f"below {_short(field['exclusiveMaximum'])}" if "exclusiveMaximum" in field else high
    return " ".join(part for part in (kind, low, high) if part)


def _cell(value: object) -> str:
    return str(value).replace("|", r"\|").replace("\n", " ")


def _short(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def _value(default: Any) -> str:
    if isinstance(default, list | tuple):
        return f"`{' '.join(map(str, default))}`" if default else ""
    return "" if default is None else f"`{default}`"


def _names(layers: Iterable[str]) -> str:
    return ", ".join(layers)


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
