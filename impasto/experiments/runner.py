"""Run the tasks of an experiment in this process, or in workers.

Only the first process writes files: the images of workers travel as bytes. Machines of a
cluster need no common folder for outputs; files that the experiment names must have the same path on each of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from impasto.devices import reset_peak_memory
from impasto.executors import Executor, IsStopped, Runners, executor_of
from impasto.experiments.expand import Experiment
from impasto.experiments.locking import ATTEMPTS, DIED, Claim, Runner
from impasto.experiments.run import Run, Task
from impasto.experiments.scoring import Scorer
from impasto.experiments.store import Store
from impasto.files import write_atomically
from impasto.images import load_image
from impasto.pipeline.stylizer import stylize

OnRun = Callable[[Run], object]
"""Called with every run that finishes."""
PICTURES = "pictures"
"""Folder of the output images, inside the folder of the experiment."""
Files = dict[str, bytes]
"""Contents of files by their paths relative to the folder of the experiment."""


def run_experiment(
    folder: str | Path,
    experiment: Experiment,
    *,
    workers: int = 1,
    runner: Runners | Executor = "processes",
    on_run: OnRun | None = None,
) -> None:
    """Run waiting tasks until none is left that no other process has claimed.

    A run that fails is stored as failed, and the next one starts. Finished runs are kept however the process ends; an
    exception such as `KeyboardInterrupt` releases the runs in progress. A worker that dies is replaced, and its run
    starts again; after three workers it has failed.

    Args:
        folder: folder of the experiment.
        experiment: the experiment, registered in the folder.
        workers: number of runs at a time.
        runner: where the workers run: `processes`, `ray`, or an executor. One worker of `processes` is this process.
        on_run: called with every run that finishes.

    Raises:
        ValueError: if the folder cannot be used, or the workers cannot be started.
    """
    executor = executor_of(runner, workers)
    store = Store(folder)
    try:
        with Runner(store) as claims:
            if executor is None:
                runs = _own_runs(claims, store.folder, experiment)
            else:
                runs = _runs_of_workers(claims, store.folder, experiment, executor, workers)
            with closing(runs):
                for run in runs:
                    claims.finish(run)
                    if on_run is not None:
                        on_run(run)
    finally:
        store.close()


def _own_runs(claims: Runner, folder: Path, experiment: Experiment) -> Generator[Run]:
    """Carry out runs in this process, one after another."""
    scorer = Scorer(experiment.evaluation_network, experiment.metrics)
    for claimed in _claimed(claims, folder):
        yield _collected(*execute(claimed, scorer), folder)


def _runs_of_workers(
    claims: Runner, folder: Path, experiment: Experiment, executor: Executor, workers: int
) -> Generator[Run]:
    """Carry out runs in workers, and write their files into the folder of the experiment."""
    start = partial(RunWorker, experiment.evaluation_network, experiment.metrics)
    tasks = _claimed(claims, folder)
    for outcome in executor.run(start, tasks, workers=workers, attempts=ATTEMPTS):
        if outcome.died:
            yield Run(outcome.task.claim.task, "failed", error=DIED)
        else:
            run, files = outcome.value
            yield _collected(run, files, folder)


def _claimed(claims: Runner, folder: Path) -> Iterator[ClaimedRun]:
    while claim := claims.claim():
        picture = claim.stylized.picture if claim.stylized else None
        file = None if picture is None else folder / picture
        yield ClaimedRun(claim, file.read_bytes() if file is not None and file.is_file() else None)


def _collected(run: Run, files: Files, folder: Path) -> Run:
    """Write the files of a run."""
    try:
        for path, content in sorted(files.items()):  # the record NAME.json before the image NAME.png
            write_atomically(folder / path, content)
    except ValueError as error:
        return replace(run, status="failed", error=str(error), picture=None)
    return run


@dataclass(frozen=True)
class ClaimedRun:
    """A run that is sent to a worker."""

    claim: Claim
    png: bytes | None
    """The image, if it exists and only needs a new evaluation."""


class RunWorker:
    """Carry out runs in a worker. It writes no files, so that one that is killed leaves none.

    Args:
        evaluation_network: name of the backbone whose features the metrics compare.
        metrics: names of the metrics.
    """

    def __init__(self, evaluation_network: str, metrics: tuple[str, ...]) -> None:
        self._scorer = Scorer(evaluation_network, metrics)

    def __call__(self, claimed: ClaimedRun, is_stopped: IsStopped) -> Iterator[tuple[Run, Files]]:
        """Yield the results of a run and the files that it produced."""
        yield execute(claimed, self._scorer)


def execute(claimed: ClaimedRun, scorer: Scorer) -> tuple[Run, Files]:
    """Stylize and evaluate; any error becomes part of the run.

    Args:
        claimed: the run; an image that exists already is only evaluated.
        scorer: the metrics.

    Returns:
        The run, and the files that it adds to the folder of the experiment.
    """
    task = claimed.claim.task
    try:
        if claimed.png is None:
            run, files = _stylize(task)
            png = files[str(run.picture)]
        else:
            assert claimed.claim.stylized is not None
            run, files, png = claimed.claim.stylized, {}, claimed.png
        metrics, sanity = scorer.score(task, load_image(io.BytesIO(png)))
        return replace(run, metrics=metrics, sanity=sanity), files
    except Exception as error:  # one failure must not end the other runs
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        return Run(task, "failed", error=f"{kind}{' '.join(str(error).split())}"[:500]), {}


def _stylize(task: Task) -> tuple[Run, Files]:
    """Compute the output image of a task; return the run without metrics, and the image and its record."""
    reset_peak_memory()
    result = stylize(task.content, task.style, task.method, **task.settings)
    name = f"{task.key}.png"
    files = {
        f"{PICTURES}/{name}": result.encode(picture=name),
        f"{PICTURES}/{task.key}.json": result.encode_record(picture=name),
    }
    run = Run(
        task,
        "done",
        picture=f"{PICTURES}/{name}",
        seconds=result.seconds,
        steps=result.steps,
        evaluations=result.evaluations,
        peak_memory_mib=result.peak_memory_mib,
        stopped=result.stopped,
        losses=result.summary()["losses"],
        curve=result.curve,
    )
    return run, files
