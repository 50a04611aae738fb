"""Run the tasks of an experiment in this process, or in several processes that share its folder."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from impasto.devices import reset_peak_memory
from impasto.experiments.expand import Experiment
from impasto.experiments.locking import Claim, Runner, has_waiting_runs
from impasto.experiments.run import Run, Task
from impasto.experiments.scoring import Scorer
from impasto.experiments.store import Store
from impasto.images import load_image
from impasto.pipeline.stylizer import stylize

OnRun = Callable[[Run], object]
"""Called with every run that finishes."""
PICTURES = "pictures"
"""Folder of the output images, inside the folder of the experiment."""
POLL_INTERVAL = 0.2
"""Seconds between two checks of the worker processes."""


def run_experiment(folder: str | Path, experiment: Experiment, *, on_run: OnRun | None = None) -> None:
    """Run waiting tasks, one after another, until none is left that no other process has claimed.

    A run that fails is stored as failed, and the next one starts. Finished runs are kept however the process ends; an
    exception such as `KeyboardInterrupt` releases the current run.

    Args:
        folder: folder of the experiment.
        experiment: the experiment, registered in the folder.
        on_run: called with every run that finishes.

    Raises:
        ValueError: if the folder cannot be used.
    """
    store = Store(folder)
    scorer = Scorer(experiment.evaluation_network, experiment.metrics)
    try:
        with Runner(store) as runner:
            while claim := runner.claim():
                run = execute(claim, store.folder, scorer)
                runner.finish(run)
                if on_run is not None:
                    on_run(run)
    finally:
        store.close()


def run_in_processes(folder: str | Path, experiment: Experiment, *, workers: int, on_run: OnRun | None = None) -> None:
    """Run waiting tasks in several processes with one thread each.

    A process that dies is replaced, and its run starts again.

    Args:
        folder: folder of the experiment.
        experiment: the experiment, registered in the folder.
        workers: number of processes.
        on_run: called in this process with every run that finishes.

    Raises:
        ValueError: if the folder cannot be used.
    """
    store = Store(folder)
    processes = [_start_process(folder, experiment) for _ in range(workers)]
    reported = {run.task.key for run in store.runs() if run.status in ("done", "failed")}
    try:
        while processes:
            time.sleep(POLL_INTERVAL)
            ended = [process for process in processes if process.exitcode is not None]
            processes = [process for process in processes if process.exitcode is None]
            for process in ended:
                if process.exitcode and has_waiting_runs(store):
                    processes.append(_start_process(folder, experiment))
            reported |= _report_finished(store, reported, on_run)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        store.close()


def execute(claim: Claim, folder: Path, scorer: Scorer) -> Run:
    """Stylize and evaluate; any error becomes part of the returned run.

    Args:
        claim: the run; an image that exists already is only evaluated.
        folder: folder of the experiment, to which the image is written.
        scorer: the metrics.
    """
    try:
        stylized = claim.stylized
        run = stylized if stylized and _has_picture(stylized, folder) else _stylize(claim.task, folder)
        assert run.picture is not None
        metrics, sanity = scorer.score(claim.task, load_image(folder / run.picture))
        return replace(run, metrics=metrics, sanity=sanity)
    except Exception as error:  # one failure must not end the other runs
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        return Run(claim.task, "failed", error=f"{kind}{' '.join(str(error).split())}"[:500])


def _start_process(folder: str | Path, experiment: Experiment) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("spawn")  # a fork would inherit locks, threads and an open database
    process = context.Process(target=_process, args=(str(folder), experiment, os.getpid()), daemon=True)
    process.start()
    return process


def _report_finished(store: Store, reported: set[str], on_run: OnRun | None) -> set[str]:
    """Call `on_run` with runs that finished since the last call; return their keys."""
    new = [key for key in store.finished() if key not in reported]
    if new and on_run is not None:
        for run in store.runs():
            if run.task.key in new:
                on_run(run)
    return set(new)


def _process(folder: str, experiment: Experiment, parent: int) -> None:
    """Run tasks in a worker process."""
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent handles it
    torch.set_num_threads(1)

    def exit_without_parent(_run: Run) -> None:
        if os.getppid() != parent:  # the parent was killed and cannot end this process
            raise SystemExit(1)

    run_experiment(folder, experiment, on_run=exit_without_parent)


def _stylize(task: Task, folder: Path) -> Run:
    """Compute the output image of a task and save it with its record."""
    reset_peak_memory()
    result = stylize(task.content, task.style, task.method, **task.settings)
    picture = f"{PICTURES}/{task.key}.png"
    result.save(folder / picture)
    return Run(
        task,
        "done",
        picture=picture,
        seconds=result.seconds,
        steps=result.steps,
        evaluations=result.evaluations,
        peak_memory_mib=result.peak_memory_mib,
        stopped=result.stopped,
        losses=result.summary()["losses"],
        curve=result.curve,
    )


def _has_picture(run: Run, folder: Path) -> bool:
    return run.picture is not None and (folder / run.picture).is_file()
