"""An experiment in MLflow: its curves, parameters and pictures are read back from there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from impasto.cli import main
from impasto.experiments.run import Run
from impasto.experiments.store import Store

GRID = """\
name: NAME
judge: tiny
metrics: [ssim, style_share]
settings: {size: 48, steps: 3, backbone: tiny}
variants:
  - {name: mild, method: gatys, settings: {style_weight: 10}}
  - {name: without weights, method: gatys, settings: {backbone: vgg19}}
pairs: [[woodcut, mosaic]]
"""
Export = Callable[[], tuple[int, str, str]]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database for all tests: to make one takes MLflow seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/runs.db"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an experiment of one painting and one failure was run; it is called as the test's folder is."""
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(GRID.replace("NAME", tmp_path.name))
    assert main(["experiment", "run", "grid.yaml", "-o", "out"]) == 0
    return tmp_path / "out"


@pytest.fixture
def export(folder: Path, uri: str, capsys: pytest.CaptureFixture[str]) -> Export:
    """Exports the experiment; returns the exit status, stdout and stderr."""
    pytest.importorskip("mlflow", reason="needs the extra `track`: pip install impasto[track]")
    capsys.readouterr()

    def run() -> tuple[int, str, str]:
        status = main(["experiment", "export", "out", "--mlflow", uri])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def filed(uri: str) -> tuple[Any, dict[str, Any]]:
    """The client, and the runs that MLflow holds of this test's experiment, by variant."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(Path.cwd().name)
    runs = {run.data.params["variant"]: run for run in client.search_runs([experiment.experiment_id])}
    return client, runs


def stored(folder: Path) -> list[Run]:
    store = Store(folder)
    runs = store.runs()
    store.close()
    return runs


def test_mlflow_shows_curves_parameters_figures_and_pictures(folder: Path, export: Export, uri: str) -> None:
    assert export() == (0, f"{uri}: 2 of 2 runs are new\n", "")
    client, runs = filed(uri)
    run, (painted, _) = runs["mild"], stored(folder)
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        **{"variant": "mild", "method": "gatys", "content": "woodcut", "style": "mosaic"},
        **{name: str(value) for name, value in painted.task.settings.items()},
    }
    for kind in ("total", "content", "style"):
        history = client.get_metric_history(run.info.run_id, f"curve/{kind}")
        assert [(each.step, each.value) for each in history] == [
            (step.index, pytest.approx(step.by_kind()[kind])) for step in painted.curve
        ]
        assert len(history) == 3
    assert {name: run.data.metrics[f"metric/{name}"] for name in painted.metrics} == pytest.approx(painted.metrics)
    assert run.data.metrics["loss/total"] == pytest.approx(painted.losses["total"])
    picture = client.download_artifacts(run.info.run_id, f"{painted.task.key}.png", str(folder))
    assert Path(picture).read_bytes() == (folder / str(painted.picture)).read_bytes()
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        f"{painted.task.key}.png",
        f"{painted.task.key}.json",
    }


def test_a_failure_is_filed_as_one_with_its_reason(export: Export, uri: str) -> None:
    export()
    failed = filed(uri)[1]["without weights"]
    assert failed.info.status == "FAILED"
    assert "IMPASTO_OFFLINE is set" in failed.data.tags["impasto.error"]


def test_what_is_filed_is_let_be_and_what_changed_or_was_interrupted_is_filed_anew(export: Export, uri: str) -> None:
    export()
    client, before = filed(uri)
    assert export()[1].endswith(": 0 of 2 runs are new\n")
    client.update_run(before["without weights"].info.run_id, status="RUNNING")
    grid = Path("grid.yaml")
    grid.write_text(grid.read_text().replace("[ssim, style_share]", "[gram]"))
    assert main(["experiment", "run", "grid.yaml", "-o", "out"]) == 0
    assert export()[1].endswith("2 of 2 runs are new\n")
    _, after = filed(uri)
    assert len(after) == 2
    assert {name for name in after["mild"].data.metrics if name.startswith("metric/")} == {"metric/gram"}


def test_nothing_is_told_to_the_makers_of_mlflow(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    export()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_store_that_mlflow_cannot_read_is_one_line(export: Export, capsys: pytest.CaptureFixture[str]) -> None:
    Path("no.db").write_text("this is no database, and long enough to be looked at " * 40)
    where = f"sqlite:///{Path('no.db').absolute()}"
    assert main(["experiment", "export", "out", "--mlflow", where]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"impasto: MLflow at {where!r}: ")
    assert "file is not a database" in said.err


def test_without_mlflow_one_line_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    capsys.readouterr()
    assert main(["experiment", "export", "out", "--mlflow", "sqlite:///runs.db"]) == 2
    assert capsys.readouterr().err == "impasto: MLflow is not installed: pip install impasto[track]\n"
    assert main(["experiment", "export", "out"]) == 2
    assert capsys.readouterr().err == "impasto: the destination is missing; give --mlflow URI\n"
