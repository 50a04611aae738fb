"""Test which freed memory stays in the process to serve the next step, and which is returned to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
from support import TIMEOUT

pytestmark = pytest.mark.slow
PROCESSES = 4
"""Fresh processes: how often the C library maps a block again depends on the addresses, which differ between them."""
# Runs each case in a fork of one process, which imports PyTorch once. Prints the page faults per step of each case.
SCRIPT = """
import os, resource, sys, torch
import impasto.pipeline.stylizer
from impasto import stylize
from impasto.allocator import keep_freed_memory
from impasto.allocator import large_blocks
torch.set_num_threads(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def steps(size, keep):
    if keep:
        keep_freed_memory()
    counts = []
    settings = {"backbone": "tiny", "size": size, "steps": 9, "loss_scales": 1}
    stylize("woodcut", "mosaic", on_step=lambda step: counts.append(faults()), **settings)
    return counts
def allocations(of_any_size, kept=True):
    keep_freed_memory(of_any_size=of_any_size)
    counts = []
    with large_blocks(kept=kept):
        for _ in range(9):
            torch.empty(10 * 2**20).fill_(1)  # 40 MiB
            counts.append(faults())
    return counts
small, returned, large = (allocations, (False,)), (allocations, (True, False)), (allocations, (True,))
for run, options in ((steps, (384, False)), (steps, (384, True)), small, returned, large):
    child = os.fork()
    if child == 0:
        counts = run(*options)
        os.write(1, f"{(counts[-1] - counts[4]) // 4}\\n".encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""

CASES = (
    "run, default",  # between 300 and 4000 in a process
    "run, kept",
    "40 MiB, small blocks kept",
    "40 MiB, returned in a context",
    "40 MiB, all blocks kept",
)


@pytest.fixture(scope="module")
def page_faults() -> dict[str, int]:
    """Return the number of page faults per step by case, added up over the processes."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library, without this setting")
    command = [sys.executable, "-c", SCRIPT]
    counts = []
    for _ in range(PROCESSES):
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT)
        counts.append([int(count) for count in done.stdout.split()])
    return dict(zip(CASES, map(sum, zip(*counts, strict=True)), strict=True))


def test_freed_memory_is_not_mapped_again_in_every_step(page_faults: dict[str, int]) -> None:
    assert page_faults["run, default"] > 300 * PROCESSES / 2  # otherwise the setting would not be needed
    assert page_faults["run, kept"] < page_faults["run, default"] / 4


def test_freed_blocks_of_any_size_are_kept_with_the_option(page_faults: dict[str, int]) -> None:
    assert page_faults["40 MiB, small blocks kept"] >= 10  # otherwise the option would not be needed
    assert page_faults["40 MiB, all blocks kept"] < page_faults["40 MiB, small blocks kept"] / 4


def test_large_blocks_are_returned_in_a_context_that_does_not_keep_them(page_faults: dict[str, int]) -> None:
    assert page_faults["40 MiB, returned in a context"] >= 10
