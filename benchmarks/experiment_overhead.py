"""Measure the overhead of an experiment: `python benchmarks/experiment_overhead.py [--runs 1000]`.

The runs are tiny (48 pixels, one step, random features); each result is graded, saved and recorded. The overhead is the
wall time minus the time of the steps as each run measures it. The last line is the time to write the report.
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
    """Run the experiment and print its overhead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--evaluation-network", default="tiny", help="network that grades the results")
    options = parser.parse_args()
    grid = {
        "name": "overhead",
        "evaluation_network": options.evaluation_network,
        "settings": {"size": 48, "steps": 1, "backbone": "tiny"},
        "variants": [{"method": "gatys", "name": "tiny"}],
        "pairs": PAIRS,
        "seeds": list(range(options.runs // len(PAIRS))),
    }
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        experiment = experiment_of(Document(grid, Path(folder)))
        store = Store(folder, create=True)
        store.register(experiment)
        registered, busy = time.perf_counter(), time.process_time()
        run_experiment(folder, experiment)
        busy = 1000 * (time.process_time() - busy) / len(experiment.tasks)
        wall = time.perf_counter() - registered
        done = store.runs()
        assert all(run.status == "done" for run in done)
        steps = sum(run.seconds or 0 for run in done)
        print(f"{len(done)} runs: check and register {registered - started:.2f} s, run {wall:.1f} s")
        each = [1000 * seconds / len(done) for seconds in (wall - steps, steps)]
        print(f"overhead {each[0]:.1f} ms per run, steps {each[1]:.1f} ms; processor time {busy:.1f} ms for both")
        started = time.perf_counter()
        run_experiment(folder, experiment)
        print(f"repeated without missing runs: {time.perf_counter() - started:.2f} s")
        if find_spec("impasto.experiments.report") is not None:
            started = time.perf_counter()
            page = import_module("impasto.experiments.report").write(Path(folder), done, experiment.name, "")
            size = page.stat().st_size / 2**20
            print(f"report: {time.perf_counter() - started:.1f} s, {size:.1f} MiB")
        store.close()


if __name__ == "__main__":
    main()
