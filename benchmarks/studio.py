"""Measure how long the studio takes to start and to show a preview: `python benchmarks/studio.py`.

Starts `impasto studio` and measures on this machine:
  start-up        from the command to the first response of the page (limit: 6 s on 2 cores)
  first preview   from the request to the first preview, with `lite` at 512 pixels (limit: 2 s)
The first preview is measured immediately and after the studio had time to warm up. The processor time is printed too:
it depends less on other processes. Exit status 1 means that a limit was exceeded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

START_UP, FIRST_PREVIEW = 6.0, 2.0
WARM = 5.0
"""Seconds of warm-up; a user needs longer to choose images."""


def main() -> int:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, "-m", "impasto", "studio", "--port", "0", "--folder", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            wait_for(url)
            start_up, opened = time.perf_counter() - started, processor_seconds(server.pid)
            cold = first_preview(url, server.pid)
            time.sleep(WARM)
            warm = first_preview(url, server.pid)
        finally:
            server.terminate()
            server.wait()
    print("| | seconds | processor time | limit |\n| --- | --- | --- | --- |")
    print(f"| start-up, first response of the page | {start_up:.2f} | {opened:.2f} | {START_UP:g} |")
    print(f"| first preview, immediately | {cold[0]:.2f} | {cold[1]:.2f} | |")
    print(f"| first preview, warm | {warm[0]:.2f} | {warm[1]:.2f} | {FIRST_PREVIEW:g} |")
    return int(start_up > START_UP or warm[0] > FIRST_PREVIEW)


def first_preview(url: str, process: int) -> tuple[float, float]:
    """Return the time from a request to its first preview, and the processor time, in seconds."""
    fields = {"content": "chelsea", "style": "brushstrokes", "size": 512, "steps": 1000, "wait": 0}
    started, used = time.perf_counter(), processor_seconds(process)
    with urllib.request.urlopen(f"{url}stylize", data=urlencode(fields).encode()) as answer:
        key = json.load(answer)["key"]
    wait_for(f"{url}jobs/{key}/preview")
    seconds = time.perf_counter() - started, processor_seconds(process) - used
    urllib.request.urlopen(urllib.request.Request(f"{url}jobs/{key}", method="DELETE")).close()
    while json.load(urllib.request.urlopen(f"{url}jobs/{key}"))["status"] in ("waiting", "running"):
        time.sleep(0.05)
    return seconds


def processor_seconds(process: int) -> float:
    """Return the processor time of a process (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(url: str) -> None:
    """Request an address until it responds."""
    ends = time.perf_counter() + 300
    while time.perf_counter() < ends:
        try:
            urllib.request.urlopen(url).close()
            return
        except urllib.error.URLError:
            time.sleep(0.02)
    raise SystemExit(f"no response from {url}")


if __name__ == "__main__":
    sys.exit(main())
