"""What an experiment adds to its paintings: `python benchmarks/experiment_overhead.py`.

Many tiny paintings (48 pixels, one step, random features), each judged, saved and filed. Overhead is the wall time less
that of the steps themselves, as each painting counts them. The last line also writes the report, if there is one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from impasto.experiments.expand import experiment_of
from impasto.experiments.runner import run_experiment
from impasto.experiments.store import Store
from impasto.experiments.yaml_source import Document

PAIRS = [["woodcut", "mosaic"], ["geometric", "inkwash"], ["inkwash", "woodcut"], ["mosaic", "brushstrokes"]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    arguments.add_argument("--evaluation-network", default="tiny", help="network of the metrics")
    asked = arguments.parse_args()
    runs = asked.runs
    grid = {
        "name": "overhead",
        "evaluation_network": asked.evaluation_network,
        "settings": {"size": 48, "steps": 1, "backbone": "tiny"},
        "variants": [{"method": "gatys", "name": "tiny"}],
        "pairs": PAIRS,
        "seeds": list(range(runs // len(PAIRS))),
    }
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        experiment = experiment_of(Document(grid, Path(folder)))
        store = Store(folder, create=True)
        store.register(experiment)
        enrolled, busy = time.perf_counter(), time.process_time()
        run_experiment(folder, experiment)
        busy = 1000 * (time.process_time() - busy) / len(experiment.tasks)
        wall = time.perf_counter() - enrolled
        done = store.runs()
        assert all(run.status == "done" for run in done)
        painting = sum(run.seconds or 0 for run in done)
        print(f"{len(done)} runs: to check and enrol them {enrolled - began:.2f} s, to run them {wall:.1f} s")
        each = [1000 * seconds / len(done) for seconds in (wall - painting, painting)]
        print(f"overhead {each[0]:.1f} ms a run, beside {each[1]:.1f} ms; processor {busy:.1f} ms for both")
        began = time.perf_counter()
        run_experiment(folder, experiment)
        print(f"nothing left to do: {time.perf_counter() - began:.2f} s")
        if find_spec("impasto.experiments.report") is not None:
            began = time.perf_counter()
            page = import_module("impasto.experiments.report").write(Path(folder), done, experiment.name, "")
            size = page.stat().st_size / 2**20
            print(f"report: {time.perf_counter() - began:.1f} s, {size:.1f} MiB")
        store.close()


if __name__ == "__main__":
    main()
