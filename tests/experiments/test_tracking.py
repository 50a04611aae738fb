"""The export to MLflow: curves, parameters, metrics and images are read back."""

from __future__ import annotations

import os
import shutil
import sqlite3
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
evaluation_network: tiny
metrics: [ssim, style_share, style_share@40]
settings: {size: 48, steps: 3, backbone: tiny}
variants:
  - {name: mild, method: gatys, settings: {style_weight: 10}}
  - {name: without weights, method: gatys, settings: {backbone: vgg19}}
pairs: [[woodcut, mosaic]]
"""
needs_mlflow = pytest.mark.slow  # to create its database takes MLflow several seconds
Export = Callable[[], tuple[int, str, str]]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a database for all tests, because MLflow takes seconds to create one."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/runs.db"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an experiment with one finished run and one failed run."""
    folder = tmp_path_factory.mktemp("experiment")
    (folder / "grid.yaml").write_text(GRID)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("IMPASTO_CACHE", str(folder / "cache"))
        environment.setenv("IMPASTO_OFFLINE", "1")
        environment.delenv("IMPASTO_WEIGHTS", raising=False)
        assert main(["experiment", "run", str(folder / "grid.yaml"), "-o", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the experiment, named after the folder of the test."""
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(GRID.replace("NAME", tmp_path.name), encoding="utf-8")
    shutil.copytree(finished, tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / "experiment.sqlite") as connection:
        connection.execute("UPDATE experiment SET name = ?", (tmp_path.name,))
    connection.close()
    return tmp_path / "out"


@pytest.fixture
def export(folder: Path, uri: str, capsys: pytest.CaptureFixture[str]) -> Export:
    """Return a function that exports the experiment and returns the exit status, stdout and stderr."""
    pytest.importorskip("mlflow", reason="needs the extra `track`: pip install impasto[track]")
    capsys.readouterr()

    def run() -> tuple[int, str, str]:
        status = main(["experiment", "export", "out", "--mlflow", uri])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def exported(uri: str) -> tuple[Any, dict[str, Any]]:
    """Return the client, and the runs of the test's experiment in MLflow by variant."""
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


@needs_mlflow
def test_the_export_has_parameters_curves_metrics_and_images(folder: Path, export: Export, uri: str) -> None:
    assert export() == (0, f"{uri}: 2 of 2 runs are new\n", "")
    client, runs = exported(uri)
    run, (stylized, _) = runs["mild"], stored(folder)
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        **{"variant": "mild", "method": "gatys", "content": "woodcut", "style": "mosaic"},
        **{name: str(value) for name, value in stylized.task.settings.items()},
    }
    for kind in ("total", "content", "style"):
        history = client.get_metric_history(run.info.run_id, f"curve/{kind}")
        assert [(each.step, each.value) for each in history] == [
            (step.index, pytest.approx(step.by_kind()[kind])) for step in stylized.curve
        ]
        assert len(history) == 3
    names = {"ssim": "ssim", "style_share": "style_share", "style_share.40": "style_share@40"}  # MLflow allows no @
    for name, own in names.items():
        assert run.data.metrics[f"metric/{name}"] == pytest.approx(stylized.metrics[own])
    assert run.data.metrics["loss/total"] == pytest.approx(stylized.losses["total"])
    picture = client.download_artifacts(run.info.run_id, f"{stylized.task.key}.png", str(folder))
    assert Path(picture).read_bytes() == (folder / str(stylized.picture)).read_bytes()
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        f"{stylized.task.key}.png",
        f"{stylized.task.key}.json",
    }


@needs_mlflow
def test_a_failed_run_is_exported_with_its_error(export: Export, uri: str) -> None:
    export()
    failed = exported(uri)[1]["without weights"]
    assert failed.info.status == "FAILED"
    assert "IMPASTO_OFFLINE is set" in failed.data.tags["impasto.error"]


@needs_mlflow
def test_exported_runs_are_skipped_and_changed_or_interrupted_ones_are_exported_again(export: Export, uri: str) -> None:
    export()
    client, before = exported(uri)
    assert export()[1].endswith(": 0 of 2 runs are new\n")
    client.update_run(before["without weights"].info.run_id, status="RUNNING")
    grid = Path("grid.yaml")
    grid.write_text(
        grid.read_text(encoding="utf-8").replace("[ssim, style_share, style_share@40]", "[gram]"), encoding="utf-8"
    )
    assert main(["experiment", "run", "grid.yaml", "-o", "out"]) == 0
    assert export()[1].endswith("2 of 2 runs are new\n")
    _, after = exported(uri)
    assert len(after) == 2
    assert {name for name in after["mild"].data.metrics if name.startswith("metric/")} == {"metric/gram"}


@needs_mlflow
def test_telemetry_of_mlflow_is_disabled(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    export()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@needs_mlflow
def test_a_database_that_mlflow_cannot_read_is_a_one_line_error(
    export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("invalid.db").write_text("this is not a database, and long enough to be checked " * 40, encoding="utf-8")
    where = f"sqlite:///{Path('invalid.db').absolute()}"
    assert main(["experiment", "export", "out", "--mlflow", where]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith(f"impasto: MLflow at {where!r}: ")
    assert "file is not a database" in printed.err


def test_without_mlflow_the_error_names_the_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    capsys.readouterr()
    assert main(["experiment", "export", "out", "--mlflow", "sqlite:///runs.db"]) == 2
    assert capsys.readouterr().err == "impasto: MLflow is not installed: pip install impasto[track]\n"
    assert main(["experiment", "export", "out"]) == 2
    assert capsys.readouterr().err == "impasto: the destination is missing; give --mlflow URI\n"
