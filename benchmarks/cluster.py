"""Stylize a folder of small pictures by one process, by two workers and on a Ray cluster of two network namespaces.

Prints pictures per second, and checks after kill -9 of workers and of the command that no picture is missing,
incomplete or stylized twice; then both as tables for docs/measurements/clusters.md. Needs Linux, root (for `ip netns`)
and the extra `scale`:

    python benchmarks/cluster.py --pictures 2000

That takes about 20 minutes on two cores that nothing else uses.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import PIL.Image
from common import machine, table

HEAD, NODE = "impasto-head", "impasto-node"
"""Names of the network namespaces: two machines with a cable between them."""
ADDRESSES = {HEAD: "10.99.0.1", NODE: "10.99.0.2"}
PORT = 6399
RAY = ["--runner", "ray", "--ray-address", f"{ADDRESSES[HEAD]}:{PORT}", "--workers", "2"]


def main() -> None:
    """Run all comparisons in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        draw_pictures(folder / "photos", options.pictures)
        stylize = [sys.executable, "-m", "impasto", "stylize", str(folder / "photos"), "mosaic", "--method", "micro"]
        stylize += ["--size", str(options.size), "--json"]
        bench = Bench(folder, stylize, options.pictures)
        bench.measure("one process, one thread", [], "one")
        bench.measure("`--workers 2`", ["--workers", "2"], "two")
        bench.disturb("`--workers 2`", ["--workers", "2"], "two-killed", local_workers)
        with two_machines() as environment:
            bench.environment |= environment
            bench.prefix = ["ip", "netns", "exec", HEAD]
            bench.measure("Ray, two machines", RAY, "ray")
            bench.disturb("Ray, two machines", RAY, "ray-killed", ray_workers)
        print(f"\n{options.pictures} pictures; {machine()}\n\n{bench.tables()}")


class Bench:
    """Runs of a command on one folder of pictures.

    Args:
        folder: folder of the inputs and outputs.
        stylize: the command without an output.
        count: number of pictures.
    """

    def __init__(self, folder: Path, stylize: list[str], count: int) -> None:
        self.prefix: list[str] = []
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._folder, self._stylize, self._count = folder, stylize, count
        self._rates: list[tuple[str, ...]] = []
        self._kills: list[tuple[str, ...]] = []

    def measure(self, title: str, words: list[str], output: str) -> None:
        """Run to the end, and print the rate with and without the start."""
        began = time.perf_counter()
        process = self._start(words, output)
        assert process.stdout is not None
        times = [time.perf_counter() for _ in process.stdout]
        assert process.wait() == 0, self._messages()
        self._check(output)
        seconds, first = time.perf_counter() - began, times[0] - began
        steady = (len(times) - 1) / (times[-1] - times[0])
        figures = f"{seconds:.1f}", f"{self._count / seconds:.2f}", f"{first:.1f} s", f"{steady:.2f}"
        self._rates.append((title, *figures))
        print(f"{title}: {' | '.join(figures)}", flush=True)

    def disturb(self, title: str, words: list[str], output: str, workers: Callable[[int], list[int]]) -> None:
        """Kill a worker after a quarter of the pictures, the command after a half, and run it again."""
        process = self._start(words, output)
        assert process.stdout is not None
        for count, _ in enumerate(process.stdout, 1):
            if count == self._count // 4:
                (victim, *_) = workers(process.pid)
                os.kill(victim, signal.SIGKILL)
            if count == self._count // 2:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.wait()
        time.sleep(5)  # workers end with the command
        before = self._times(output)
        resumed = self._start(words, output)
        printed = [json.loads(line) for line in resumed.communicate()[0].splitlines()]
        assert resumed.returncode == 0, self._messages()
        assert len({each["content"] for each in printed}) == len(printed) == self._count
        skipped = sum(each["status"] == "skipped" for each in printed)
        after = self._times(output)
        assert skipped == len(before) >= self._count // 2
        assert all(after[name] == changed for name, changed in before.items()), "a finished picture was written again"
        self._check(output)
        row = title, self._count // 4, skipped, f"{skipped} skipped, {self._count - skipped} stylized", 0, 0
        self._kills.append(tuple(map(str, row)))
        print(f"{title}, killed: {row[3]} after, each once", flush=True)

    def tables(self) -> str:
        """Return the rates and what was checked; each row of the second table has passed all assertions."""
        rates = ["runner", "seconds", "pictures/s", "first picture after", "pictures/s from then on"]
        kills = ["runner", "worker killed after", "outputs before", "the command again"]
        kills += ["missing or incomplete", "written twice"]
        return f"{table(rates, self._rates)}\n\n{table(kills, self._kills)}"

    def _start(self, words: list[str], output: str) -> subprocess.Popen[str]:
        command = [*self.prefix, *self._stylize, "-o", str(self._folder / output), *words]
        with (self._folder / "messages.txt").open("a") as messages:
            return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=messages, text=True)

    def _messages(self) -> str:
        return (self._folder / "messages.txt").read_text()[-2000:]

    def _times(self, output: str) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (self._folder / output).glob("*.png")}

    def _check(self, output: str) -> None:
        """Compare the pixels of every picture with those of one process; incomplete files cannot be decoded."""
        names = sorted(path.name for path in (self._folder / "one").glob("*.png"))
        assert len(names) == self._count
        assert sorted(path.name for path in (self._folder / output).glob("*.png")) == names
        for name in names:
            ours, theirs = (PIL.Image.open(self._folder / each / name) for each in ("one", output))
            assert ours.tobytes() == theirs.tobytes(), name
            json.loads((self._folder / output / name).with_suffix(".json").read_text())


def draw_pictures(folder: Path, count: int) -> None:
    """Write small pictures of smooth noise."""
    folder.mkdir()
    for i in range(count):
        levels = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = PIL.Image.fromarray(levels).resize((64, 48), PIL.Image.Resampling.BICUBIC)
        picture.save(folder / f"{i:05d}.png", compress_level=1)


def local_workers(pid: int) -> list[int]:
    """Return the workers of a command on this machine, which are forks of one of its children."""
    return [grandchild for child in children(pid) for grandchild in children(child)]


def ray_workers(_pid: int) -> list[int]:
    """Return the workers that carry out tasks on all machines of the cluster."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if re.match(r"ray::ImpastoWorker\.work", file.read_text()):
                found.append(int(file.parent.name))
    return found


def children(pid: int) -> list[int]:
    """Return the children of a process, without those that end meanwhile."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found += map(int, file.read_text().split())
    return found


@contextmanager
def two_machines() -> Iterator[dict[str, str]]:
    """Start a Ray cluster in two network namespaces with token authentication; yield its environment variables."""
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    processes = []
    with TemporaryDirectory(prefix="ray-") as folder:
        try:
            connect_namespaces()
            head = ["--head", "--port", str(PORT), "--include-dashboard", "false", "--temp-dir", f"{folder}/head"]
            for name, words in ((HEAD, head), (NODE, ["--address", f"{ADDRESSES[HEAD]}:{PORT}"])):
                processes.append(start_node(name, words, {**os.environ, **environment}))
                time.sleep(15)
            yield environment
        finally:
            for process in reversed(processes):  # a node waits for an answer of the head before it ends
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait()
            for name in ADDRESSES:
                subprocess.run(["ip", "netns", "del", name], check=False)


def connect_namespaces() -> None:
    """Make both namespaces and a virtual cable between them."""
    commands = [f"ip netns add {name}" for name in ADDRESSES]
    commands.append(f"ip link add impasto0 netns {HEAD} type veth peer name impasto0 netns {NODE}")
    for name, address in ADDRESSES.items():
        commands += [
            f"ip -n {name} addr add {address}/24 dev impasto0",
            f"ip -n {name} link set impasto0 up",
            f"ip -n {name} link set lo up",
        ]
    for command in commands:
        subprocess.run(command.split(), check=True)


def start_node(namespace: str, words: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the processes of Ray of one machine, with one core."""
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus", "1"]
    ray += ["--node-ip-address", ADDRESSES[namespace], "--object-store-memory", str(10**8), *words]
    command = ["ip", "netns", "exec", namespace, *ray]
    null = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdout=null, stderr=null, start_new_session=True)


if __name__ == "__main__":
    main()
