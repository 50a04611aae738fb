"""Fixtures that several tests of experiments share."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_experiment import run_small

from impasto.experiments.run import Run


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Run]]:
    """The folder and the runs of a small experiment; tests must not write into the folder."""
    folder = tmp_path_factory.mktemp("small")
    return folder, run_small(folder)


@pytest.fixture(scope="session")
def sample_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the whole session, so that each blurred sample is computed once."""
    return tmp_path_factory.mktemp("sample_cache")


@pytest.fixture
def shared_cache(sample_cache: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the cache folder of the session instead of an empty one."""
    monkeypatch.setenv("IMPASTO_CACHE", str(sample_cache))
