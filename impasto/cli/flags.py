"""Build the parsers of the commands with argparse; every error is a `ValueError` in one line.

The flags of a method or a recipe are generated from the schemas of its settings. They are read as text: the
configuration checks them in the same way as in a call from Python.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from impasto.cli.commands import COMMANDS
from impasto.cli.streams import STANDARD
from impasto.config import names_files, setting_schemas
from impasto.registry import Registry

NEGATIVE_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)")
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
MAX_INT = 2**63 - 1  # the upper limit of a seed, which the help does not mention

SYNONYMS = {
    "--device": ("gpu", "cuda", "cpu", "mps", "gpu-id", "use-gpu", "no-cuda"),
    "--steps": ("iterations", "iters", "iter", "num-steps", "num-iterations", "max-iter", "epochs"),
    "--size": ("image-size", "img-size", "max-size", "resolution", "width", "height", "content-size"),
    "--lr": ("learning-rate", "step-size"),
    "--start": ("init", "init-image", "initialization"),
    "--backbone": ("model", "network", "vgg", "arch"),
    "--color": ("preserve-color", "preserve-colors", "original-colors", "keep-colors"),
    "--tv-weight": ("tv", "smoothness", "smooth-weight"),
    "--style-mix": ("style-blend-weights", "style-weights", "blend"),
    "--output": ("out", "output-image", "result", "save", "dest"),
}
"""Names that other programs have for a flag, and names of its values."""


class CommandParser(argparse.ArgumentParser):
    """Parser of one command; flags and positional arguments may be mixed in any order.

    Args:
        command: name in `COMMANDS`.
        description: text below the usage; by default the summary of the command.
        show_all: for a command with two tiers of flags, whether the help shows all flags, or only the main ones and a
            line about `--help-all`. The flags that are not shown are accepted.
        standard: names of the arguments that may be `-`, which is stdin or stdout; for the others it is an error.
    """

    why_missing: Callable[[str], str] = staticmethod(lambda setting: "")
    """Returns why the command has no flag for a setting; empty for a word that is not the name of a setting."""

    def __init__(
        self,
        command: str,
        description: str | None = None,
        *,
        show_all: bool | None = None,
        standard: Collection[str] = (),
    ) -> None:
        summary = COMMANDS[command].summary
        super().__init__(
            prog=f"impasto {command}",
            usage=f"impasto {command} {COMMANDS[command].usage}",
            description=_escaped(description or f"{summary[0].upper()}{summary[1:]}."),
            allow_abbrev=False,
            exit_on_error=False,
            add_help=False,
            formatter_class=_HelpFormatter,
        )
        self._negative_number_matcher = NEGATIVE_NUMBER  # argparse takes -1e3 and -inf for flags
        self._standard = standard
        self.shows_all = show_all is not False
        self.add_argument("-h", "--help", action="help", help="Show this help.")
        if show_all is not None:
            self.add_argument("--help-all", action="help", help=argparse.SUPPRESS)
        if not self.shows_all:
            self.epilog = f"impasto {command} --help-all shows all settings by group."

    def add_advanced(self, flag: str, **options: Any) -> None:
        """Add a flag that the help shows only with `--help-all`."""
        if not self.shows_all:
            options["help"] = argparse.SUPPRESS
        self.add_argument(flag, **options)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse the arguments of the command.

        Raises:
            ValueError: for an unknown flag, a missing value, a wrong value, or a superfluous argument.
            SystemExit: after printing the help.
        """
        try:
            options, unknown = self.parse_known_intermixed_args(list(arguments))
        except argparse.ArgumentError as error:
            raise ValueError(f"{error.argument_name}: {error.message}; see {self.prog} --help") from None
        for word in unknown:
            if word.startswith("-") and len(word) > 1:
                raise ValueError(f"{self._explain_unknown(word)}; see {self.prog} --help")
        if unknown:
            raise ValueError(f"unexpected argument {unknown[0]!r}; see {self.prog} --help")
        self._check_values(options)
        return options

    def _check_values(self, options: argparse.Namespace) -> None:
        """Check that no value is empty and that only arguments that take an image are `-`.

        An empty value, as of an unset variable of a shell, would be the current folder, and `-` a file of this name.
        """
        for action in self._actions:
            values = getattr(options, action.dest, None)
            given = values if isinstance(values, list) else [values]
            name = action.option_strings[-1] if action.option_strings else action.metavar
            if "" in given:
                raise ValueError(f"{name}: the value is empty; give a name or a number, or leave it out")
            if STANDARD in given and action.dest not in self._standard:
                text = "- (stdin or stdout) is not supported here; give a name, and ./- for a file or folder named -"
                raise ValueError(f"{name}: {text}")

    def _explain_unknown(self, word: str) -> str:
        """Return the error message for an unknown flag."""
        flag = word.partition("=")[0].replace("_", "-")
        synonym = next((own for own, words in SYNONYMS.items() if flag.removeprefix("--") in words), "")
        if synonym in self._option_string_actions:
            return f"unknown flag {word}; did you mean {synonym}?"
        if why := self.why_missing((synonym or flag).removeprefix("--").replace("-", "_")):
            return why
        close = difflib.get_close_matches(flag, list(self._option_string_actions), n=1)
        return f"unknown flag {word}; did you mean {close[0]}?" if close else f"unknown flag {word}"


def add_json(parser: CommandParser, description: str = "Print one JSON object on the last line of stdout.") -> None:
    """Add the flag `--json`."""
    parser.add_argument("--json", action="store_true", help=description)


def add_settings(
    parser: CommandParser, config: type[Any], *, names: Collection[str] | None = None, hidden: bool = False
) -> None:
    """Add a flag for every setting of a configuration class; a setting that is not given stays None.

    The help shows all settings by group, or those of the tier `main` if `parser.shows_all` is false.

    Args:
        parser: parser of the command.
        config: configuration class of a method or a recipe.
        names: settings to add; by default all.
        hidden: whether no help shows the settings.
    """
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, schema in setting_schemas(config).items():
        if names is not None and name not in names:
            continue
        title = schema["group"] if parser.shows_all else "main settings"
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        is_shown = not hidden and (parser.shows_all or schema["tier"] == "main")
        options = _value_options(schema)
        options["help"] = _setting_help(schema, with_limits=parser.shows_all) if is_shown else argparse.SUPPRESS
        groups[title].add_argument(f"--{name.replace('_', '-')}", **options)


def add_part_settings(
    parser: CommandParser, parts: Registry[Any], part: str, choice: str, *, without: Collection[str] = ()
) -> None:
    """Add a flag for every setting of a method or a recipe; a setting of another one is an error that says so.

    Args:
        parser: parser of the command.
        parts: all methods or all recipes.
        part: name of the one whose settings are added.
        choice: words before its name in the command, such as `--method`.
        without: settings that the command does not have.
    """
    config = parts[part].Config
    add_settings(parser, config, names=[name for name in config.__dataclass_fields__ if name not in without])
    parser.why_missing = partial(_why_missing, parts, part, choice, without)


def given_settings(options: argparse.Namespace, config: type[Any]) -> dict[str, Any]:
    """Return the settings of a configuration class that were given as flags, as text."""
    values = {name: getattr(options, name, None) for name in setting_schemas(config)}
    return {name: value for name, value in values.items() if value is not None}


def number_between(kind: type[int] | type[float], least: float, most: float | None = None) -> Callable[[str], float]:
    """Return a function that reads a number within bounds, for the argument `type` of `add_argument`."""
    noun = "a whole number" if kind is int else "a number"
    bounds = f"from {least:.10g} to {most:.10g}" if most is not None else f"of at least {least:.10g}"

    def read(text: str) -> float:
        try:
            value: float = kind(text)
        except ValueError:
            value = float("nan")  # within no bounds
        if not least <= value <= (float("inf") if most is None else most):
            raise argparse.ArgumentTypeError(f"expected {noun} {bounds}, not {text!r}")
        return value

    return read


def named_as_flag(message: str, settings: Collection[str]) -> str:
    """Return an error message about a setting with the name of the setting replaced by its flag.

    >>> named_as_flag("style_mix.1: input should be positive", ["style_mix"])
    '--style-mix: input should be positive'
    """
    name = re.match(r"(\w+)(\.\d+)?: ", message)
    if name is None or name[1] not in settings:
        return message
    return f"--{name[1].replace('_', '-')}: {message[name.end() :]}"


class _HelpFormatter(argparse.HelpFormatter):
    """Formatter of the help with wide flags and short lists: `FLOAT ...` instead of `FLOAT [FLOAT ...]`."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=27)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        text = super()._format_args(action, default_metavar)
        return f"{action.metavar} ..." if action.nargs == "+" else text


def _why_missing(parts: Registry[Any], part: str, choice: str, without: Collection[str], setting: str) -> str:
    """Return the error message for a setting that the command or the part does not have; empty for other words."""
    if setting in without:
        return f"--{setting.replace('_', '-')}: it is not a setting of this command; leave it out"
    *others, last = ["", *(name for name in parts if setting in parts[name].Config.__dataclass_fields__)]
    if not last:
        return ""
    names = f"{', '.join(others[1:])} or {last}" if others[1:] else last
    return f"{parts.name} {part!r} has no setting {setting!r}; use {choice} {names}"


def _value_options(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `add_argument` that follow from the type of a setting."""
    value = _value_schema(schema)
    if value.get("type") == "boolean":
        return {"action": argparse.BooleanOptionalAction, "default": None}
    metavar = {"integer": "INT", "number": "FLOAT"}.get(value.get("type", ""), "NAME")
    if names_files(schema):
        metavar = "FILE"
    if "enum" in value:
        metavar = f"{{{','.join(value['enum'])}}}"
    return {"metavar": metavar, "nargs": "+" if schema.get("type") == "array" else None}


def _value_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of one value: that of the items of a list, and that which is not null of an optional value."""
    if schema.get("type") == "array":
        return dict(schema["items"])
    return next((each for each in schema.get("anyOf", ()) if each["type"] != "null"), schema)


def _setting_help(schema: dict[str, Any], *, with_limits: bool) -> str:
    default, value = schema.get("default"), _value_schema(schema)
    notes = [] if default in (None, [], "") else [f"default: {default}"]
    limits = ", ".join(f"{word} {value[key]:.10g}" for key, word in LIMITS.items() if value.get(key, MAX_INT) < MAX_INT)
    if limits and with_limits:
        notes.append(limits)
    return _escaped(f"{schema['description']} ({'; '.join(notes)})" if notes else schema["description"])


def _escaped(text: str) -> str:
    """Escape the percent signs, which argparse would format."""
    return text.replace("%", "%%")
