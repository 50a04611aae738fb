"""Test that every picture keeps its own record, and that no other file is replaced."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import PIL.Image
import pytest
import torch
from support import noise

import impasto
from impasto.cli import main
from impasto.experiments.store import REPORT_FILES, Store
from impasto.pipeline.records import load_record, record_path
from impasto.pipeline.result import Result

QUICK = ["--backbone", "tiny", "--size", "32", "--steps", "1"]
MINE = '{"camera": "mine", "f": 1.4}'


@pytest.fixture(scope="module")
def results() -> tuple[Result, Result]:
    """Return two results that differ in their seed."""
    settings = {"backbone": "tiny", "size": 32, "steps": 1, "start": "noise", "device": "cpu"}
    return tuple(impasto.stylize("woodcut", "mosaic", seed=seed, **settings) for seed in (1, 2))  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": [{"role": "content", "path": 5, "name": "a", "sha256": "0"}]}, "is corrupt"),
        ({"inputs": [{"role": "content", "path": "a", "name": None, "sha256": "0"}]}, "is corrupt"),
        ({"inputs": [{"role": ["content"], "path": "a", "name": "a", "sha256": "0"}]}, "is corrupt"),
        ({"inputs": [{"role": "content", "name": "a", "sha256": "0"}]}, "is corrupt"),
        ({"bits": 12}, "is corrupt"),
        ({"keep_location": "yes"}, "is corrupt"),
        ({"format": 2}, "has format 2, and this version of impasto reads 1"),
        ({"format": None}, "has format None"),
    ],
)
def test_a_record_that_was_edited_or_is_newer_is_an_error_of_one_line(
    changed: dict[str, object], message: str, results: tuple[Result, Result], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("edited.json").write_text(json.dumps({**results[0].record(), **changed}), encoding="utf-8")
    assert main(["replay", "edited.json", "-o", "out.png"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_replay_with_other_weights_warns(results: tuple[Result, Result]) -> None:
    record = results[0].record()
    Path("same.json").write_text(json.dumps(record), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        impasto.replay("same.json")
    Path("other.json").write_text(
        json.dumps({**record, "weights": {"name": "tiny.safetensors", "sha256": "0"}}), encoding="utf-8"
    )
    with pytest.warns(UserWarning, match="computed with other weights: .*tiny.safetensors"):
        impasto.replay("other.json")


@pytest.mark.parametrize("content", [MINE, "[1, 2]", "not JSON", "", "[" * 100_000, '{"method": "gatys"}'])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_saving_refuses_to_replace_a_json_file_that_is_not_a_record(
    results: tuple[Result, Result], folder: Path, content: str, suffix: str
) -> None:
    Path("photo.json").write_text(content, encoding="utf-8")
    before = listed(folder)
    message = f"cannot write 'photo{suffix}': the record would replace 'photo.json', which is not a record of impasto"
    with pytest.raises(ValueError, match=re.escape(message)):
        results[0].save(f"photo{suffix}")
    assert listed(folder) == before


def test_a_folder_in_place_of_the_record_is_not_replaced(results: tuple[Result, Result], folder: Path) -> None:
    Path("photo.json").mkdir()
    with pytest.raises(ValueError, match="which is not a record of impasto"):
        results[0].save("photo.png")
    assert [path.name for path in folder.iterdir()] == ["photo.json"]


@pytest.mark.parametrize("command", ["stylize", "replay"])
def test_a_command_refuses_before_it_runs_and_leaves_all_files_as_they_are(
    results: tuple[Result, Result], folder: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results[0].save("painting.png")
    Path("photo.json").write_text(MINE, encoding="utf-8")
    before = listed(folder)
    words = ["woodcut", "mosaic", *QUICK] if command == "stylize" else ["painting.png"]
    assert main([command, *words, "-o", "photo.png"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "the record would replace 'photo.json', which is not a record of impasto; give another name" in printed
    assert listed(folder) == before


def test_the_record_of_an_earlier_run_is_replaced(results: tuple[Result, Result]) -> None:
    for result in results:
        result.save("photo.jpg")
        assert load_record("photo.jpg")["seed"] == result.seed


@pytest.mark.parametrize("suffixes", [(".jpg", ".png"), (".png", ".jpg"), (".jpg", ".webp")])
def test_two_pictures_whose_names_differ_in_the_suffix_have_their_own_records(
    results: tuple[Result, Result], suffixes: tuple[str, str]
) -> None:
    for suffix, result in zip(suffixes, results, strict=True):
        result.save(f"a{suffix}")
    for suffix, result in zip(suffixes, results, strict=True):
        assert load_record(f"a{suffix}")["picture"] == f"a{suffix}"
        assert load_record(f"a{suffix}")["seed"] == result.seed
        assert torch.equal(impasto.replay(f"a{suffix}").image, result.image)
    assert record_path(Path(f"a{suffixes[0]}")) == Path("a.json")
    assert record_path(Path(f"a{suffixes[1]}")) == Path(f"a{suffixes[1]}.json")
    results[0].save(f"a{suffixes[1]}")  # again, to the same name
    assert load_record(f"a{suffixes[1]}")["seed"] == 1
    assert load_record("a.json")["seed"] == 1


def test_a_picture_beside_the_record_of_another_one_has_no_record(results: tuple[Result, Result]) -> None:
    results[0].save("a.png")
    PIL.Image.new("RGB", (32, 32)).save("a.jpg")
    with pytest.raises(ValueError, match=re.escape("'a.jpg': no record in the file or beside it")):
        load_record("a.jpg")


def test_a_picture_that_is_renamed_together_with_its_record_keeps_it(results: tuple[Result, Result]) -> None:
    results[0].save("a.jpg")
    Path("a.jpg").rename("b.jpg")
    Path("a.json").rename("b.json")
    assert load_record("b.jpg")["seed"] == 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "", 7, None, ["a.png"]])
def test_a_record_with_a_wrong_name_of_its_picture_is_read(results: tuple[Result, Result], name: object) -> None:
    results[0].save("a.jpg")
    Path("a.json").write_text(
        json.dumps({**json.loads(Path("a.json").read_text(encoding="utf-8")), "picture": name}), encoding="utf-8"
    )
    assert load_record("a.jpg")["seed"] == 1


@pytest.mark.parametrize("name", REPORT_FILES)
@pytest.mark.parametrize("command", ["compare", "experiment run"])
def test_the_folder_of_an_experiment_must_not_contain_another_report(
    folder: Path, name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out", name).write_text("mine", encoding="utf-8")
    Path("trial.yaml").write_text(
        '{"name": "trial", "pairs": [["woodcut", "mosaic"]], "variants": [{"method": "micro"}]}', encoding="utf-8"
    )
    before = listed(folder)
    words = ["woodcut", "mosaic", "--methods", "gatys"] if command == "compare" else ["trial.yaml"]
    assert main([*command.split(), *words, "-o", "out"]) == 2
    assert f"the report of an experiment would replace 'out/{name}'" in capsys.readouterr().err
    assert listed(folder) == before


def test_an_experiment_writes_its_own_report_again(folder: Path) -> None:
    Store(folder, create=True).close()
    Path("report.html").write_text("of this experiment", encoding="utf-8")
    Store(folder, create=True).close()


@pytest.mark.parametrize("name", ["curve.json", "curve.svg", "sheet.png", "mine.safetensors"])
def test_the_folder_of_a_new_training_must_not_contain_files_that_it_would_replace(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos").mkdir()
    impasto.save_image(noise(1, 3, 64, 64), "photos/a.png")
    Path("out").mkdir()
    Path("out", name).write_text("mine", encoding="utf-8")
    before = listed(folder)
    words = ["--photos", "photos", "--paintings", "photos", "--steps", "1", "--batch", "1", "--crop", "32"]
    assert main(["train", "micro", *words, "-o", "out"]) == 2
    assert f"a new training would replace 'out/{name}'" in capsys.readouterr().err
    assert listed(folder) == before


def test_numbered_images_replace_only_those_of_an_earlier_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["stylize", "woodcut", "mosaic", *QUICK, "-o", "out.png", "--save-every", "1"]
    Path("out-000001.png").write_bytes(b"mine")
    assert main(words) == 2
    assert "out-000001.png exists and could be overwritten by --save-every" in capsys.readouterr().err
    assert Path("out-000001.png").read_bytes() == b"mine"
    Path("out-000001.png").unlink()
    assert main(words) == 0
    assert main(words) == 0


def test_the_demo_does_not_replace_another_contact_sheet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("demo").mkdir()
    Path("demo/contact-sheet.png").write_bytes(b"mine")
    assert main(["demo"]) == 2
    assert "the demo would replace 'demo/contact-sheet.png'" in capsys.readouterr().err
    assert listed(folder) == {"demo/contact-sheet.png": b"mine"}
