"""Run, report, export and list experiments: `impasto experiment run`, `report`, `export` and `list`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from impasto.cli.flags import CommandParser, add_json
from impasto.cli.interrupts import exit_status
from impasto.cli.tables import print_rows
from impasto.cli.workers import add_worker_flags, chosen_runner


def run(arguments: list[str]) -> int:
    """Run `impasto experiment run`."""
    parser = CommandParser(
        "experiment run",
        "Carry out the runs of an experiment, grade the results and write a report. After an interruption, or when "
        "the experiment was extended, only the missing runs are carried out.",
    )
    parser.add_argument(
        "experiments",
        nargs="*",
        metavar="FILE|NAME",
        help="YAML file, or name in `impasto experiment list`.",
    )
    parser.add_argument("--quick", action="store_true", help="Use small images and few steps, for a trial.")
    add_run_flags(parser)
    options = parser.parse(arguments)
    if len(options.experiments) != 1:
        raise ValueError(f"give one FILE or NAME, not {len(options.experiments)}; see impasto experiment run --help")
    from impasto.experiments.bundled import find_experiment

    file = find_experiment(options.experiments[0])
    from impasto.experiments.expand import read_experiment

    return carry_out(read_experiment(file, quick=options.quick), options)


def report(arguments: list[str]) -> int:
    """Run `impasto experiment report`."""
    parser = CommandParser("experiment report", "Write the report of an experiment again, with all finished runs.")
    _add_folder(parser)
    options = parser.parse(arguments)
    with _opened(options.folders, "report") as store:
        page, sentences = _write_report(store)
    print("\n".join([str(page), *sentences]))
    return 0


def export(arguments: list[str]) -> int:
    """Run `impasto experiment export`."""
    parser = CommandParser(
        "experiment export",
        "Export the runs of an experiment to MLflow: settings, curves, metrics and images. Runs that MLflow already "
        "has are left unchanged.",
    )
    _add_folder(parser)
    parser.add_argument(
        "--mlflow", metavar="URI", help="Tracking server http://HOST:PORT, or file sqlite:///FILE (required)."
    )
    options = parser.parse(arguments)
    if options.mlflow is None:
        raise ValueError("the destination is missing; give --mlflow URI")
    from impasto.experiments.tracking import export as export_to_mlflow

    with _opened(options.folders, "export") as store:
        exported, finished = export_to_mlflow(store, options.mlflow)
    print(f"{options.mlflow}: {exported} of {finished} runs are new")
    return 0


def list_bundled(arguments: list[str]) -> int:
    """Run `impasto experiment list`."""
    parser = CommandParser("experiment list")
    add_json(parser, "Print a JSON list with one object per row.")
    options = parser.parse(arguments)
    from impasto.experiments.bundled import bundled

    rows = [{"name": name, "summary": summary} for name, summary in bundled().items()]
    print_rows(rows, as_json=options.json, columns=("name", "summary"))
    return 0


def add_run_flags(parser: CommandParser) -> None:
    """Add the flags that determine where and how the runs of an experiment are carried out."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        help="Folder of images, metrics and report (required). Runs that it already contains are not repeated.",
    )
    add_worker_flags(parser, "carry out runs")
    parser.add_argument("--retry", action="store_true", help="Repeat the runs that failed.")
    add_json(parser)


def carry_out(experiment: Any, options: argparse.Namespace) -> int:
    """Carry out the runs of an experiment and report.

    Args:
        experiment: `impasto.experiments.expand.Experiment`.
        options: values of the flags of `add_run_flags`.

    Returns:
        The exit status.
    """
    from impasto.experiments.runner import run_experiment
    from impasto.experiments.store import Store

    if options.output is None:
        raise ValueError("the output is missing; give -o FOLDER")
    runner = chosen_runner(options)
    store = Store(options.output, create=True)
    store.register(experiment)
    if options.retry:
        store.retry()
    status = 0
    try:
        run_experiment(options.output, experiment, workers=options.workers, runner=runner, on_run=_progress(store))
    except KeyboardInterrupt as error:
        status = exit_status(error)
        print("impasto: stopped; the same command continues", file=sys.stderr, flush=True)
    page, sentences = (None, []) if status else _write_report(store)
    counts = store.counts()
    store.close()
    _print_summary(options, counts, page, sentences)
    return status


def _progress(store: Any) -> Callable[[Any], None]:
    """Return a function that prints one line about each finished run."""
    total = sum(store.counts().values())

    def print_run(run: Any) -> None:
        counts = store.counts()
        cell = f"{run.task.variant}: {Path(run.task.content).stem} with {Path(run.task.style).stem}"
        outcome = f"failed: {run.error}" if run.status == "failed" else f"{run.seconds:.1f} s"
        print(f"{counts['done'] + counts['failed']}/{total}  {cell}  {outcome}", file=sys.stderr, flush=True)

    return print_run


def _add_folder(parser: CommandParser) -> None:
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="Output folder of the experiment.")


@contextmanager
def _opened(folders: list[str], command: str) -> Iterator[Any]:
    """Open the store of the one folder that was given."""
    if len(folders) != 1:
        raise ValueError(f"give one FOLDER, not {len(folders)}; see impasto experiment {command} --help")
    from impasto.experiments.store import Store

    store = Store(folders[0])
    try:
        yield store
    finally:
        store.close()


def _write_report(store: Any) -> tuple[Path, list[str]]:
    """Write the report; return its path and the sentences of the findings."""
    from impasto.experiments.findings import FINDINGS
    from impasto.experiments.report import write

    experiment, runs = store.experiment(), store.runs()
    findings = [FINDINGS[name](runs, store.folder) for name in experiment.findings if name in FINDINGS]
    page = write(store.folder, runs, experiment.name, experiment.summary, findings)
    return page, [sentence for finding in findings for sentence in finding.sentences]


def _print_summary(
    options: argparse.Namespace, counts: dict[str, int], page: Path | None, sentences: list[str]
) -> None:
    if options.json:
        facts = {"output": options.output, "runs": sum(counts.values()), **counts, "report": page and str(page)}
        print(json.dumps(facts))
        return
    runs = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    print("\n".join([f"{page or options.output}: {runs}", *sentences]))
