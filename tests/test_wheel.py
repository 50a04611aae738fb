"""Test the wheel: it contains everything that stylizing needs, offline and outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_the_wheel_stylizes_offline_with_the_bundled_network(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 25_000_000
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel, cwd=tmp_path)

    home = str(tmp_path / "home")
    environment = {"PYTHONPATH": str(site), "IMPASTO_OFFLINE": "1", "IMPASTO_WEIGHTS": "", "HOME": home}
    used = run(sys.executable, "-c", "import impasto; print(impasto.__file__)", cwd=tmp_path, **environment)
    assert Path(used.strip()).is_relative_to(site)
    arguments = ("stylize", "woodcut", "pointillism", "-o", "out.png", "--size", "96", "--steps", "3")
    run(sys.executable, "-m", "impasto", *arguments, cwd=tmp_path, **environment)
    assert (tmp_path / "out.png").stat().st_size > 1000
