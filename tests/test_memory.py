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


def page_faults_a_step(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True, timeout=120)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library, which has no such setting")
def test_memory_that_was_freed_is_not_mapped_anew_for_every_step() -> None:
    given_back, kept = page_faults_a_step("give back"), page_faults_a_step("keep")
    assert given_back > 1000  # or the setting would not be needed
    assert kept < given_back / 4
