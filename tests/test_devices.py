"""Test the selection of devices and precision, and the measurement of peak memory."""

from __future__ import annotations

import mmap
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import TIMEOUT, ForkedProcess

from impasto import devices
from impasto.allocator import return_freed_memory
from impasto.devices import (
    PRECISION_NAMES,
    peak_memory_mib,
    pick_device,
    pick_dtype,
    reset_peak_memory,
)

CPU = torch.device("cpu")


def test_auto_selects_a_device_that_computes() -> None:
    assert torch.ones(2, device=pick_device("auto")).sum() == 2


def test_auto_selects_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: False)
    assert pick_device("auto") == CPU
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 1)
    assert pick_device("auto").type == "xpu"
    assert pick_device("xpu:0") == torch.device("xpu:0")
    with pytest.raises(ValueError, match=r"has no device 'xpu:1'; choose auto, cpu$"):
        pick_device("xpu:1")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("auto").type == "cuda"


@pytest.mark.parametrize("name", ["gpu", "", "cuda:one", "cpu cpu"])
def test_an_unknown_device_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=r"^device: unknown device .*; choose auto, cpu, cuda, cuda:1, mps or xpu$"):
        pick_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "xpu", "meta"])
def test_an_unavailable_device_is_refused_with_the_available_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=rf"^device: this machine has no device '{name}'; choose auto, cpu$"):
        pick_device(name)


def test_a_second_gpu_needs_a_second_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(ValueError, match=r"^device: this machine has no device 'cuda:1'; .*$"):
        pick_device("cuda:1")


def test_a_named_precision_is_selected() -> None:
    assert pick_dtype("fp32", CPU) is torch.float32
    assert pick_dtype("bf16", CPU) is torch.bfloat16


def test_auto_selects_bf16_only_if_the_processor_supports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for capabilities, onednn, expected in [
        ({"avx512_bf16": True}, True, torch.bfloat16),
        ({"amx_bf16": True}, True, torch.bfloat16),
        ({"amx_bf16": True}, False, torch.float32),
        ({"avx2": True}, True, torch.float32),
        ({}, True, torch.float32),
    ]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda capabilities=capabilities: capabilities)
        monkeypatch.setattr(devices, "has_onednn", lambda dtype, onednn=onednn: onednn)
        assert pick_dtype("auto", CPU) is expected


def test_without_bf16_in_onednn_auto_selects_fp32_and_bf16_still_works() -> None:
    program = """
import impasto
from impasto.devices import has_onednn
import torch

print(has_onednn(torch.bfloat16))
for precision in ("auto", "fp32", "bf16"):
    result = impasto.stylize("woodcut", "mosaic", backbone="tiny", size=48, steps=3, precision=precision)
    print(result.precision, sum(result.losses.values()))
"""
    older = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}  # an older processor
    done = subprocess.run([sys.executable, "-c", program], env=older, capture_output=True, text=True, check=True)
    has_bf16, *lines = done.stdout.splitlines()
    (auto, first), (fp32, second), (bf16, third) = (line.split() for line in lines)
    assert (fp32, bf16) == ("fp32", "bf16")
    assert (has_bf16, auto, first) == ("False", "fp32", second) or platform.machine() != "x86_64"
    assert float(third) == pytest.approx(float(second), rel=0.05)
    assert third != second


def test_every_precision_has_a_name() -> None:
    assert {PRECISION_NAMES[pick_dtype(name, CPU)] for name in ("auto", "fp32", "bf16")} == {"fp32", "bf16"}


def test_peak_memory_grows_with_the_memory_in_use_and_never_falls() -> None:
    peak = peak_memory_mib(CPU)
    reset_peak_memory()
    before = peak_memory_mib(CPU)
    # New pages are mapped, because an allocator may reuse freed memory. They must exceed the peak, which after the
    # reset is little more than the memory in use; only Linux reports how much that is.
    statm = Path("/proc/self/statm")
    in_use = int(statm.read_text(encoding="utf-8").split()[1]) * mmap.PAGESIZE / 2**20 if statm.exists() else 0
    mebibytes = max(0, int(before - in_use)) + 64
    pages = mmap.mmap(-1, mebibytes * 2**20)
    block = torch.frombuffer(pages, dtype=torch.float32).fill_(1)
    during = peak_memory_mib(CPU)
    del block, pages
    assert 20 < before <= peak
    assert before + 50 < during < 3 * before + 300
    assert peak_memory_mib(CPU) > during - 1  # Linux counts pages in batches


def test_peak_memory_is_that_of_the_process_and_not_of_its_parent() -> None:
    program = "import torch; from impasto.devices import peak_memory_mib; print(peak_memory_mib(torch.device('cpu')))"
    alone = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=TIMEOUT)
    parent = f"""
import subprocess, sys
block = bytearray(b"1") * (1500 << 20)
subprocess.run([sys.executable, "-c", {program!r}], check=True)
"""
    below = subprocess.run([sys.executable, "-c", parent], check=True, capture_output=True, text=True, timeout=TIMEOUT)
    assert float(below.stdout) == pytest.approx(float(alone.stdout), rel=0.1)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory is returned with glibc only")
def test_freed_memory_below_a_block_in_use_is_returned_to_the_system() -> None:
    def mebibytes_in_use() -> float:
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * mmap.PAGESIZE / 2**20

    blocks = [torch.ones(25_000) for _ in range(640)]  # 100 kB each, below the size that is mapped separately
    full = mebibytes_in_use()
    del blocks[:-1]
    return_freed_memory()
    assert mebibytes_in_use() < full - 40


# Computes, forks, and computes again in the new process, which lacks the threads of OpenMP.
FORK = """
import os, signal, torch
from impasto.devices import torch_defaults
def compute():
    with torch_defaults():
        return torch.nn.functional.conv2d(torch.randn(1, 16, 128, 128), torch.randn(16, 16, 3, 3)).sum().item()
torch.set_num_threads(2)
first = compute()
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(0 if abs(compute() / first - 1) < 1e-4 else 3)
print(os.waitpid(child, 0)[1], torch.get_num_threads())
"""


def test_a_process_that_was_forked_after_a_computation_computes(tmp_path: Path) -> None:
    out, err = ForkedProcess(tmp_path, FORK).communicate(TIMEOUT)
    assert (out, err) == ("0 2\n", "")


def test_the_free_memory_is_what_the_tightest_limit_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, unlimited = (tmp_path / name for name in ("old", "new", "unlimited"))
    files = {
        old: {"memory.limit_in_bytes": "1000000", "memory.usage_in_bytes": "700000", "memory.stat": "cache 5\n"},
        new: {"memory.max": "900000", "memory.current": "700000", "memory.stat": "anon 1\ninactive_file 50000\n"},
        unlimited: {"memory.max": "max", "memory.current": "700000", "memory.stat": "inactive_file 0\n"},
    }
    for folder, contents in files.items():
        folder.mkdir()
        for name, text in contents.items():
            (folder / name).write_text(text)
    left = {folder: devices._left_in_group(folder) for folder in (old, new, unlimited, tmp_path)}
    assert left == {old: 300_000, new: 250_000, unlimited: sys.maxsize, tmp_path: sys.maxsize}
    monkeypatch.setattr(devices, "_control_groups", lambda: [unlimited, old, new])
    assert devices.free_memory(torch.device("cpu")) == 250_000


def test_a_worker_has_its_share_of_the_memory_also_while_others_are_at_their_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, limit = torch.device("cpu"), 10 * 2**30
    monkeypatch.setattr(devices, "_share", devices.MemoryShare())
    monkeypatch.setattr(devices, "_control_groups", lambda: [Path("group")])
    monkeypatch.setattr(devices, "_field", lambda path, name: limit)
    monkeypatch.setattr(devices, "_left_in_group", lambda folder: limit)
    share = devices.MemoryShare.of(4)
    assert share == devices.MemoryShare(limit // 4, 0.25)
    monkeypatch.setattr(devices, "memory_in_use_mib", lambda device: 512)
    assert share.start(lambda: devices.free_memory(cpu)) == limit // 4 - 2**29
    monkeypatch.setattr(devices, "_left_in_group", lambda folder: limit // 2)
    assert devices.free_memory(cpu) == limit // 4 - 2**29
    monkeypatch.setattr(devices, "_left_in_group", lambda folder: 2**20)
    assert devices.free_memory(cpu) == 2**20


def test_a_worker_has_its_fraction_of_the_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_share", devices.MemoryShare(gpu=0.25))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (700, 1000))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 120)
    assert devices.free_memory(torch.device("cuda")) == 150
    monkeypatch.setattr(devices, "_share", devices.MemoryShare())
    assert devices.free_memory(torch.device("cuda")) == 720
