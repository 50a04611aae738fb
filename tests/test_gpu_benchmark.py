"""Test the benchmark of GPUs as far as a machine without one can run it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_without_a_gpu_one_line_says_that_nothing_was_measured(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert script["main"](["--device", "cuda"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("gpu: not run: device: ")


def test_the_cpu_agrees_with_itself(script: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--methods", "micro", "--size", "32", "--large", "48"]
    assert script["main"](["--device", "cpu", *small]) == 0
    output = capsys.readouterr().out
    assert "| micro | 0 |" in output
    assert "gatys, 32 px, bf16: 0.0" in output
    assert "48 px: " in output
    assert output.endswith("all methods agree with the CPU\n")
