"""Paints what an experiment asks for: in this process, or in several that share its folder."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from impasto.devices import reset_peak_memory
from impasto.experiments.expand import Experiment
from impasto.experiments.locking import Claim, Runner, any_left
from impasto.experiments.run import Run, Task
from impasto.experiments.scoring import Judge
from impasto.experiments.store import Store
from impasto.images import load_image
from impasto.pipeline.stylizer import stylize

OnRun = Callable[[Run], object]
"""Called with every run that ends."""
PICTURES = "pictures"
"""The folder of the paintings, inside the experiment's."""
LOOK = 0.2
"""Seconds between two looks at the workers."""


def work(folder: str | Path, experiment: Experiment, *, on_run: OnRun | None = None) -> None:
    """Paints one waiting run after the other until none is left that is not another runner's.

    A run that fails is filed as failed, and the next one begins. Whatever ends the process, what is done stays done; an
    exception such as `KeyboardInterrupt` gives the run in hand back.

    Raises:
        ValueError: in one line, where the folder cannot be used.
    """
    store = Store(folder)
    judge = Judge(experiment.judge, experiment.metrics)
    try:
        with Runner(store) as runner:
            while claim := runner.claim():
                run = carried_out(claim, store.folder, judge)
                runner.finish(run)
                if on_run is not None:
                    on_run(run)
    finally:
        store.close()


def work_together(folder: str | Path, experiment: Experiment, *, workers: int, on_run: OnRun | None = None) -> None:
    """As `work`, in `workers` processes of one thread each. One that dies is replaced; what it held is begun anew."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit locks, threads and an open database
    store = Store(folder)

    def begun() -> multiprocessing.process.BaseProcess:
        process = context.Process(target=_worker, args=(str(folder), experiment, os.getpid()), daemon=True)
        process.start()
        return process

    crew = [begun() for _ in range(workers)]
    told = {run.task.key for run in store.runs() if run.status in ("done", "failed")}
    try:
        while crew:
            time.sleep(LOOK)
            over = [process for process in crew if process.exitcode is not None]
            crew = [process for process in crew if process.exitcode is None]
            crew += [begun() for process in over if process.exitcode and any_left(store)]
            told |= _tell(store, told, on_run)
    finally:
        for process in crew:
            process.terminate()
        for process in crew:
            process.join()
        store.close()


def _tell(store: Store, told: set[str], on_run: OnRun | None) -> set[str]:
    """Reports the runs that ended since the last time; returns their keys."""
    fresh = [key for key in store.ended() if key not in told]
    if fresh and on_run is not None:
        for run in store.runs():
            if run.task.key in fresh:
                on_run(run)
    return set(fresh)


def _worker(folder: str, experiment: Experiment, parent: int) -> None:
    """One process of several."""
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    torch.set_num_threads(1)

    def still_wanted(_run: Run) -> None:
        if os.getppid() != parent:  # killed: nobody is left to end this process
            raise SystemExit(1)

    work(folder, experiment, on_run=still_wanted)


def carried_out(claim: Claim, folder: Path, judge: Judge) -> Run:
    """Paints and judges; whatever goes wrong is part of the answer."""
    try:
        run = claim.painted if claim.painted and _lies_there(claim.painted, folder) else _painted(claim.task, folder)
        assert run.picture is not None
        metrics, sanity = judge(claim.task, load_image(folder / run.picture))
        return replace(run, metrics=metrics, sanity=sanity)
    except Exception as error:  # the other runs are not to suffer
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        return Run(claim.task, "failed", error=f"{kind}{' '.join(str(error).split())}"[:500])


def _painted(task: Task, folder: Path) -> Run:
    """Paints, and saves the picture with its record."""
    reset_peak_memory()
    result = stylize(task.content, task.style, task.method, **task.settings)
    picture = f"{PICTURES}/{task.key}.png"
    result.save(folder / picture)
    facts = result.summary()
    return Run(
        task,
        "done",
        picture=picture,
        seconds=result.seconds,
        steps=result.steps,
        evaluations=result.evaluations,
        peak_memory_mib=result.peak_memory_mib,
        stopped=result.stopped,
        losses=facts["losses"],
        curve=result.curve,
    )


def _lies_there(run: Run, folder: Path) -> bool:
    return run.picture is not None and (folder / run.picture).is_file()
