"""Run a method to its end, and keep its best image and its loss curve."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from impasto.optim.descent import DivergedError
from impasto.pipeline.checkpoint import Checkpoint
from impasto.pipeline.result import Stopped
from impasto.types import Step, is_stopped_by

OnStep = Callable[[Step], object]
"""Called with every step; returning False stops the run and keeps the best image so far."""


def run_to_end(
    steps: Iterable[Step],
    on_step: OnStep | None = None,
    *,
    curve: Sequence[Step] = (),
    checkpoint: Checkpoint | None = None,
) -> tuple[Step, list[Step], Stopped]:
    """Return the best step of the last stage that was reached, the curve, and why the run ended.

    Args:
        steps: the steps of a run, or those of `Method.resume`.
        on_step: called with every step; returning False stops the run.
        curve: the steps before, of a run that continues.
        checkpoint: written after a step, if it is due.
    """
    best: Step | None = None
    done = list(curve)
    stopped: Stopped = "converged"
    try:
        for step in steps:
            if best is None or step.stage != best.stage or step.loss < best.loss:
                best = replace(step, state=None)
            if done and step.index <= done[-1].index:
                del step
                continue  # the best step of the interrupted run
            done.append(step.without_image())
            stopped = "steps" if step.index == step.total else "converged"
            if is_stopped_by(on_step, step):
                stopped = "cancelled"
                break
            if checkpoint is not None:
                checkpoint(step, done[:-1])
            del step  # with its image, before the next one is computed
    except DivergedError:
        stopped = "diverged"
        warnings.warn("the loss grew at every step length; the image is the best one before", stacklevel=4)
    assert best is not None
    return best, done, stopped
