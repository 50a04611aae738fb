"""A command keeps the memory it has freed: the next step needs as much again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from impasto import stylize
from impasto.cli.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
faults = []
def count(step):
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
stylize("woodcut", "mosaic", size=512, steps=16, on_step=count)
print((faults[-1] - faults[7]) // 8)
"""
LARGE = """
import resource, sys, torch
from impasto.cli.memory import keep_freed_memory
keep_freed_memory(of_any_size=sys.argv[1] == "of any size")
faults = []
for _ in range(16):
    torch.empty(10 * 2**20).fill_(1)  # 40 MiB
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print((faults[-1] - faults[7]) // 8)
"""


def page_faults_a_step(how: str, script: str = SCRIPT) -> int:
    done = subprocess.run([sys.executable, "-c", script, how], capture_output=True, text=True, check=True, timeout=120)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library, which has no such setting")
def test_memory_that_was_freed_is_not_mapped_anew_for_every_step() -> None:
    given_back, kept = page_faults_a_step("give back"), page_faults_a_step("keep")
    assert given_back > 1000  # or the setting would not be needed
    assert kept < given_back / 4


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library, which has no such setting")
def test_large_pieces_are_kept_too_where_that_is_asked_for() -> None:
    given_back, kept = page_faults_a_step("small ones", LARGE), page_faults_a_step("of any size", LARGE)
    assert given_back >= 10  # or the setting would not be needed; huge pages are few
    assert kept < given_back / 4
