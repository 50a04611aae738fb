"""Test the benchmark of GPUs as far as a machine without one can run it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from support import noise

import impasto

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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backbone", "nonsense", "--methods"], "nonsense"),
        (["--backbone", "nonsense", "--methods", "gatys"], "nonsense"),
        (["--methods", "nonsense"], "nonsense"),
        (["--size", "0"], "size: give at least 16, not 0"),
        (["--large", "64", "-1"], r"large: give at least 16, not \[64, -1\]"),
        (["--rounds", "0"], "rounds: give at least 1, not 0"),
    ],
)
def test_a_wrong_option_is_one_line_before_anything_is_measured(
    script: dict[str, Any], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script["main"](["--device", "cpu", "--backbone", "tiny", *words]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert re.match(f"gpu: not run: .*{message}", line)


def test_a_size_that_does_not_fit_is_a_row_and_no_method_is_no_agreement(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*images: Any, **settings: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20.00 MiB")

    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(impasto, "stylize", fail)
    assert script["main"](["--device", "cpu", "--quick", "--methods"]) == 0
    output = capsys.readouterr().out
    assert "| 64 px | CUDA out of memory. Tried to allocate 20.00 MiB |  |" in output
    assert "agree" not in output


def test_a_method_that_cannot_run_is_one_line(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*images: Any, **settings: Any) -> None:
        raise ValueError("size: give at least 32")

    monkeypatch.setattr(impasto, "stylize", fail)
    assert script["main"](["--device", "cpu", "--quick", "--methods", "gatys"]) == 2
    assert capsys.readouterr().out.endswith("\ngpu: ended early: size: give at least 32\n")
