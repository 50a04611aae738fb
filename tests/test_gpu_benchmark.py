"""Test the benchmark of GPUs as far as a machine without one can run it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from support import noise

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as environment:
        environment.syspath_prepend(str(SCRIPT.parent))
        return runpy.run_path(str(SCRIPT))


def test_without_a_gpu_one_line_says_that_nothing_was_measured(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert script["main"](["--device", "cuda"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("gpu: not run: device: ")


def test_the_cpu_agrees_with_itself_and_every_evaluation_is_timed(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function: function)  # takes a minute
    assert script["main"](["--device", "cpu", "--quick", "--methods", "micro"]) == 0
    output = capsys.readouterr().out
    assert "| micro | 0 |" in output
    rows = dict(re.findall(r"^\| ((?:plain loop|impasto), .+?) \| ([\d.]+) \|", output, re.MULTILINE))
    assert [name for name in rows if "torch.compile" not in name] == [
        *("plain loop, fp32, NCHW", "plain loop, fp32, channels last"),
        *("plain loop, bf16, NCHW", "plain loop, bf16, channels last", "impasto, fp32", "impasto, bf16"),
    ]
    assert len(rows) == 10
    assert re.search(r"\| 64 px \| [\d.]+ \| \d+ \|", output)
    assert output.endswith("all methods agree with the CPU\n")


def test_the_plain_loop_has_the_gradient_of_impasto(script: dict[str, Any]) -> None:
    device, pictures = torch.device("cpu"), (noise(1, 3, 32, 48), noise(1, 3, 48, 32, seed=1))
    _, gradient = script["ours"](device, "tiny", torch.float32, pictures)()
    for memory_format in (torch.contiguous_format, torch.channels_last):
        plain = script["plain"](device, "tiny", torch.float32, pictures, memory_format, False)()
        assert (plain - gradient).abs().max() < 1e-4 * gradient.abs().max()
