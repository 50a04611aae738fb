"""Tests of the flags: help in two tiers, any order, and errors that name the flag."""

from __future__ import annotations

import pytest

from impasto.cli import COMMANDS, main
from impasto.cli.flags import CommandParser, add_json, add_settings, given_settings, number_between
from impasto.config import setting_schemas
from impasto.methods import METHODS
from impasto.methods.gatys import GatysConfig


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what a command prints on stdout; its status is 0 and nothing is printed on stderr."""
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def flags_of(method: str, tier: str | None = None) -> list[str]:
    schemas = setting_schemas(METHODS[method].Config)
    return [f"--{name.replace('_', '-')}" for name in schemas if tier in (None, schemas[name]["tier"])]


def parser_of(*names: str) -> CommandParser:
    parser = CommandParser("stylize")
    parser.add_argument("pictures", nargs="*")
    add_settings(parser, GatysConfig, names=names)
    return parser


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    out = help_of(capsys, *command.split(), "--help")
    assert out.startswith(f"usage: impasto {command}")


@pytest.mark.parametrize("method", [*METHODS])
def test_the_help_of_stylize_shows_the_main_settings_within_50_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = help_of(capsys, "stylize", "--method", method, "--help").splitlines()
    assert len(lines) <= 50
    shown = {line.split()[0] for line in lines if line.startswith("  --")}
    assert shown >= {"--method", "--json", "--curves", "--preview"}
    assert shown.intersection(flags_of(method)) == set(flags_of(method, "main"))
    assert lines[-1] == "impasto stylize --help-all shows all settings by group."


@pytest.mark.parametrize("method", [*METHODS])
def test_the_full_help_of_stylize_shows_every_setting_under_its_group(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    schemas = setting_schemas(METHODS[method].Config)
    shown: dict[str, str] = {}
    for line in help_of(capsys, "stylize", "--method", method, "--help-all").splitlines():
        if line.endswith(":") and not line.startswith(" "):
            group = line.removesuffix(":")
        elif line.startswith("  --"):
            shown[line.split()[0].rstrip(",")] = group
    assert {flag: shown[flag] for flag in flags_of(method)} == {
        f"--{name.replace('_', '-')}": schema["group"] for name, schema in schemas.items()
    }
    assert shown.keys() >= {"--bits", "--max-pixels", "--suffix", "--overwrite"}


def test_the_help_of_a_setting_has_its_description_default_and_limits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    out = help_of(capsys, "stylize", "--help-all")
    schemas = setting_schemas(GatysConfig)
    assert f"{schemas['style_scale']['description']} (default: 1.0; at least 0.0625, at most 16)" in out
    assert f"{schemas['lr']['description']} (above 0, at most 100)" in out
    assert f"{schemas['seed']['description']} (default: 0; at least 0)" in out
    assert "`impasto methods` lists the methods" in out
    assert out.index("--output") < out.index("--size ") < out.index("--style-weight")


def test_every_setting_has_help() -> None:
    assert all(
        schema["description"] for method in METHODS for schema in setting_schemas(METHODS[method].Config).values()
    )


def test_a_flag_that_the_help_does_not_show_is_accepted() -> None:
    parser = CommandParser("stylize", show_all=False)
    add_settings(parser, GatysConfig)
    assert "--history" not in parser.format_help()
    assert given_settings(parser.parse(["--history", "3"]), GatysConfig) == {"history": "3"}


def test_images_and_flags_are_accepted_in_any_order() -> None:
    parser = parser_of("style_weight", "sizes")
    options = parser.parse(["a", "--sizes", "1", "2", "--style-weight", "-3e1", "b"])
    assert given_settings(options, GatysConfig) == {"sizes": ["1", "2"], "style_weight": "-3e1"}
    assert options.pictures == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "1"], "unknown flag --size; did you mean --sizes?; see impasto stylize --help"),
        (["--style_weight", "1"], "unknown flag --style_weight; did you mean --style-weight?"),
        (["a", "--unlike-any", "1"], "unknown flag --unlike-any; see"),
        (["--style-weight"], "--style-weight: expected one argument; see impasto stylize --help"),
        (["--sizes", "--style-weight", "1"], "--sizes: expected at least one argument"),
    ],
)
def test_an_unknown_flag_or_a_missing_value_is_an_error(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message.replace('?', '[?]')}"):
        parser_of("style_weight", "sizes").parse(words)


@pytest.mark.parametrize(
    ("flag", "suggestion"),
    [
        ("--gpu", "--device"),
        ("--cuda", "--device"),
        ("--iterations", "--steps"),
        ("--image-size", "--size"),
        ("--learning-rate", "--lr"),
        ("--init", "--start"),
        ("--colour", "--color"),
    ],
)
def test_the_name_of_a_flag_in_other_programs_suggests_our_own(flag: str, suggestion: str) -> None:
    parser = CommandParser("stylize")
    add_settings(parser, GatysConfig)
    with pytest.raises(ValueError, match=f"^unknown flag {flag}; did you mean {suggestion}[?]"):
        parser.parse([flag, "1"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["stylize", "a", "b", "--weights", "own"],
            "method 'gatys' has no setting 'weights'; use --method adain, johns",
        ),
        (
            ["stylize", "--method", "gatys", "a", "--patch-size=3"],
            "'gatys' has no setting 'patch_size'; use --method gpdm",
        ),
        (["video", "a", "b", "--steps", "5"], "method 'micro' has no setting 'steps'; use --method bures, gatys, gpdm"),
        (["video", "a", "b", "--iterations", "5"], "method 'micro' has no setting 'steps'; use --method bures, gatys"),
        (["video", "a", "b", "--preset", "paper"], "--preset: it is not a setting of this command; leave it out"),
        (
            ["train", "adain", "--style_size", "3"],
            "'adain' has no setting 'style_size'; use impasto train johnson; see",
        ),
    ],
)
def test_a_setting_of_another_method_or_recipe_names_those_that_have_it(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    """It was an unknown flag, with the most similar flag as the suggestion."""
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.endswith("--help\n")


@pytest.mark.parametrize("command", [*COMMANDS, "stylize --help-all"])
def test_the_help_is_legible_in_a_terminal_of_20_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    lines = help_of(capsys, *command.split(), "--help").splitlines()
    assert sum(len(line.strip()) == 1 for line in lines) < 3


def test_a_superfluous_argument_is_an_error() -> None:
    parser = CommandParser("methods")
    add_json(parser)
    with pytest.raises(ValueError, match=r"^unexpected argument 'gatys'; see impasto methods --help$"):
        parser.parse(["gatys"])


@pytest.mark.parametrize("text", ["0", "65", "4.5", "many", "", "-1", "inf"])
def test_a_number_out_of_bounds_is_an_error_with_the_bounds_and_the_value(text: str) -> None:
    parser = CommandParser("studio")
    parser.add_argument("--workers", type=number_between(int, 1, 64))
    assert parser.parse(["--workers", "64"]).workers == 64
    with pytest.raises(ValueError, match=f"^--workers: expected a whole number from 1 to 64, not '{text}'; see"):
        parser.parse(["--workers", text])


@pytest.mark.parametrize("text", ["nan", "-0.1", "x"])
def test_a_number_without_an_upper_bound_is_checked(text: str) -> None:
    parser = CommandParser("studio")
    parser.add_argument("--minutes", type=number_between(float, 0))
    assert parser.parse(["--minutes", "0.5"]).minutes == 0.5
    with pytest.raises(ValueError, match=f"^--minutes: expected a number of at least 0, not '{text}'"):
        parser.parse(["--minutes", text])
