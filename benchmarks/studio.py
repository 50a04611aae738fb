"""How long the studio takes to open and to show something: `python benchmarks/studio.py`.

Starts `impasto studio` as a visitor would, and measures on this machine:
  start-up        from the command to the page's first answer (under 6 s on 2 cores is wanted)
  first preview   from the order to the first preview, `lite` at 512 pixels (under 2 s is wanted)
The first preview is measured twice: at once, and after the studio had time to warm up. Beside the wall time stands the
processor's, which says more where others use the machine too. Status 1 says that a limit was not met.
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
"""Seconds; a visitor has not chosen pictures sooner."""


def main() -> int:
    """Measures, and prints a table."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "impasto", "studio", "--port", "0", "--folder", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            wait_for(url)
            start_up, opened = time.perf_counter() - began, processor_seconds(server.pid)
            at_once = first_preview(url, server.pid)
            time.sleep(WARM)
            warm = first_preview(url, server.pid)
        finally:
            server.terminate()
            server.wait()
    print("| | seconds | of a processor | limit |\n| --- | --- | --- | --- |")
    print(f"| start-up, to the page's first answer | {start_up:.2f} | {opened:.2f} | {START_UP:g} |")
    print(f"| first preview, asked for at once | {at_once[0]:.2f} | {at_once[1]:.2f} | |")
    print(f"| first preview, warm | {warm[0]:.2f} | {warm[1]:.2f} | {FIRST_PREVIEW:g} |")
    return int(start_up > START_UP or warm[0] > FIRST_PREVIEW)


def first_preview(url: str, process: int) -> tuple[float, float]:
    """Seconds from an order to its first preview, and those of a processor."""
    fields = {"content": "chelsea", "style": "brushstrokes", "size": 512, "steps": 1000, "wait": 0}
    began, used = time.perf_counter(), processor_seconds(process)
    with urllib.request.urlopen(f"{url}stylize", data=urlencode(fields).encode()) as answer:
        key = json.load(answer)["key"]
    wait_for(f"{url}jobs/{key}/preview")
    seconds = time.perf_counter() - began, processor_seconds(process) - used
    urllib.request.urlopen(urllib.request.Request(f"{url}jobs/{key}", method="DELETE")).close()
    while json.load(urllib.request.urlopen(f"{url}jobs/{key}"))["status"] in ("waiting", "running"):
        time.sleep(0.05)
    return seconds


def processor_seconds(process: int) -> float:
    """What a process has used so far (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(url: str) -> None:
    """Asks until there is an answer."""
    ends = time.perf_counter() + 300
    while time.perf_counter() < ends:
        try:
            urllib.request.urlopen(url).close()
            return
        except urllib.error.URLError:
            time.sleep(0.02)
    raise SystemExit(f"no answer of {url}")


if __name__ == "__main__":
    sys.exit(main())
