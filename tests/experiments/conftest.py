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
