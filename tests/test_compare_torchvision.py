"""Test the part of the comparison with torchvision that needs no torchvision."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


def test_without_torchvision_the_script_says_that_it_has_not_run() -> None:
    code = "import runpy, sys; sys.modules['torchvision'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    command = [sys.executable, "-c", code, str(ROOT / "tools/compare_torchvision.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = "compare_torchvision: not run, because torchvision is not installed: pip install torchvision\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, text, "")


def test_proportional_features_are_equal_and_others_are_not() -> None:
    from compare_torchvision import difference

    maps = torch.rand(1, 4, 5, 6)
    assert difference(3 * maps, maps) < 1e-6
    assert difference(maps, maps + 0.1 * torch.rand(1, 4, 5, 6)) > 1e-3
