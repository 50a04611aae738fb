"""Test the part of the comparison with torchvision that needs no torchvision."""

from __future__ import annotations

from pathlib import Path

import torch
from support import TIMEOUT, ForkedProcess

ROOT = Path(__file__).parents[1]


def test_without_torchvision_the_script_says_that_it_has_not_run(tmp_path: Path) -> None:
    code = "import runpy, sys; sys.modules['torchvision'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    process = ForkedProcess(tmp_path, code, ROOT / "tools/compare_torchvision.py")
    printed = process.communicate(TIMEOUT)
    text = "compare_torchvision: not run, because torchvision is not installed: pip install torchvision\n"
    assert (process.returncode, *printed) == (2, text, "")


def test_proportional_features_are_equal_and_others_are_not() -> None:
    from compare_torchvision import difference

    maps = torch.rand(1, 4, 5, 6)
    assert difference(3 * maps, maps) < 1e-6
    assert difference(maps, maps + 0.1 * torch.rand(1, 4, 5, 6)) > 1e-3
