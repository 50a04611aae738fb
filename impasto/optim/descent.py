"""Minimize an objective over the pixels of an image with L-BFGS, Adam or RMSprop within the bounds [0, 1]."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass
from torch import Tensor

from impasto.allocator import large_blocks
from impasto.config import MAIN, SETTINGS
from impasto.devices import torch_defaults
from impasto.optim.first_order import FirstOrderUpdate, PyramidFirstOrderUpdate, Update
from impasto.optim.lbfgs import FIRST_STEP, LbfgsUpdate, PyramidLbfgsUpdate
from impasto.optim.pyramid import Pyramid
from impasto.optim.state import Stateful
from impasto.types import Image, Losses, State, Step

Optimizer = Literal["lbfgs", "adam", "rmsprop"]
DEFAULT_LR: dict[Optimizer, float] = {"lbfgs": 1.0, "adam": 0.02, "rmsprop": 0.01}
"""Step length unless given: a factor for L-BFGS, a fraction of the pixel range for Adam and RMSprop."""

LIMIT = 2000
"""Maximum number of iterations of a run that stops when converged."""
TOLERANCE = 0.01
"""A run has converged when a window of iterations lowered its loss by less than this fraction."""
RESTARTS = 8
"""Maximum number of times that a diverged run returns to its best image with half the step length."""
ROUNDING = 1e-6
"""A loss below this fraction of the first one is rounding error and may grow."""
DIVERGED = 3.0
"""A run has diverged when its loss is more than this factor above the best one."""

LossFunction = Callable[[Image], dict[str, Tensor]]
"""Returns named scalar losses of an image `(1, 3, H, W)`; their sum is minimized."""
Evaluated = Callable[[LossFunction, Image], tuple[Losses, Tensor]]
"""Returns the losses of an image and their gradient."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class OptimizerSettings:
    """Optimizer."""

    optimizer: Annotated[Optimizer, MAIN] = "lbfgs"
    """Optimizer of the pixels: L-BFGS without line search, Adam or RMSprop."""
    lr: Annotated[float, Gt(0), Le(100)] | None = None
    """Step length. Default: 1 for lbfgs; 0.02 of the pixel range for adam, 0.01 for rmsprop."""
    history: Annotated[int, Ge(1), Le(1000)] = 10
    """Number of past steps from which L-BFGS estimates the curvature."""
    pyramid: Annotated[int, Ge(0), Le(16)] = 0
    """Levels of a Laplacian pyramid that is optimized instead of the pixels; 0 optimizes the pixels."""


@runtime_checkable
class StepDependent(Protocol):
    """An objective that differs from step to step, such as one along random directions."""

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the losses of the first step."""

    def at_step(self, step: int) -> LossFunction:
        """Return the objective of one step, counted from 1: always the same for the same step."""


def at_step(objective: LossFunction, step: int) -> LossFunction:
    """Return the objective of one step."""
    return objective.at_step(step) if isinstance(objective, StepDependent) else objective


class DivergedError(ArithmeticError):
    """The loss grew at every step length; the steps before the error remain valid."""


class Convergence(Stateful):
    """Report when the best loss fell by less than `tolerance` of itself over the last `window` iterations."""

    remembered = ("_best",)

    def __init__(self, window: int = 25, tolerance: float = TOLERANCE) -> None:
        self._window, self._tolerance = window, tolerance
        self._best: list[float] = []

    def reached(self, loss: float) -> bool:
        """Add the loss of the next iteration; return whether the run has converged."""
        self._best.append(min(loss, self._best[-1]) if self._best else loss)
        if len(self._best) <= self._window:
            return False
        before, now = self._best[-1 - self._window], self._best[-1]
        return before - now <= self._tolerance * now


def descend(
    objective: LossFunction,
    start: Image,
    *,
    optimizer: Optimizer = "lbfgs",
    lr: float | None = None,
    steps: int | None = None,
    tolerance: float = TOLERANCE,
    history: int = 10,
    pyramid: int = 0,
    preconditioned: bool = False,
    grid: tuple[int, int] | None = None,
    first_step: float = FIRST_STEP,
    state: State | None = None,
) -> Iterator[Step]:
    """Yield one step per iteration, from `start` `(1, 3, H, W)` on; the image of each is in [0, 1].

    Args:
        objective: named scalar losses of an image; each step evaluates it once, the last of `steps` without a gradient.
        start: first image.
        optimizer: lbfgs, adam or rmsprop.
        lr: step length; None takes that of `DEFAULT_LR`.
        steps: number of iterations; None stops when converged.
        tolerance: a run has converged when 25 iterations lower its loss by less than this fraction.
        history: number of past steps that L-BFGS keeps.
        pyramid: levels of a Laplacian pyramid that is optimized; below 2 the pixels are.
        preconditioned: let L-BFGS on pixels start with large areas; see `impasto.optim.preconditioner`.
        grid: height and width of the image that each step of L-BFGS on pixels is an enlargement of; None: each pixel.
        first_step: root mean square of the first step of L-BFGS at `lr` 1; `NEAR_FIRST_STEP` near the optimum.
        state: that of a step of an interrupted run with the same arguments; the best step so far and this come first.

    Raises:
        ValueError, DivergedError: if the loss of the start is not finite, or grows at every step length.
    """
    make_update = partial(_make_update, optimizer, history, pyramid, preconditioned, grid, first_step)
    descent = _Descent(_Safeguard(start, lr or DEFAULT_LR[optimizer], make_update), Convergence(tolerance=tolerance))
    del start  # an image may take hundreds of MB
    if state is not None:
        descent.load_state_dict(state)
    yield from descent.steps(objective, steps, is_resumed=state is not None)


class _Descent(Stateful):
    """A run of `descend`: what is known after a step, from which the next one follows."""

    remembered = ("_index", "_best", "_safeguard", "_convergence")

    def __init__(self, safeguard: _Safeguard, convergence: Convergence) -> None:
        self._safeguard, self._convergence = safeguard, convergence
        self._index = 1
        self._best: dict[str, Any] = {}  # index, losses and evaluations of the best step

    def steps(self, objective: LossFunction, count: int | None, *, is_resumed: bool) -> Iterator[Step]:
        """Yield the steps; arguments are those of `descend`."""
        began, safeguard = time.perf_counter(), self._safeguard
        if is_resumed and self._best["index"] < self._index:
            yield _step(at_step(objective, self._best["index"]), safeguard.best, began=began, **self._best)
        for i in range(self._index, (LIMIT if count is None else count) + 1):
            self._index, now = i, at_step(objective, i)
            evaluated = _evaluate_last if i == count else evaluate
            if is_resumed:  # the step was checked before
                losses, *gradient = evaluated(now, safeguard.image)
                is_resumed = False
            else:
                losses, *gradient = safeguard.evaluate(now, evaluated)
            point: dict[str, Any] = {"index": i, "losses": losses, "evaluations": i + safeguard.restarts}
            step = _step(now, safeguard.image, began=began, **point)
            if not self._best or step.loss < sum(self._best["losses"].values()):
                self._best = point
            yield replace(step, state=self.state_dict)
            del step  # with its image, which may take hundreds of MB
            if i == count or (count is None and self._convergence.reached(sum(losses.values()))):
                return
            safeguard.move(gradient.pop())


class _Safeguard(Stateful):
    """Move the image, and return to the best one with half the step length where the loss diverges."""

    remembered = ("image", "update", "restarts", "best", "_best_loss", "_floor", "_lr")

    def __init__(self, start: Image, lr: float, make_update: Callable[[Image, float], Update]) -> None:
        start = start.clamp(0, 1)
        self.image, self.update = start, make_update(start, lr)
        self.restarts = 0
        self.best, self._best_loss, self._floor = start, math.inf, -1.0  # a negative floor: nothing is evaluated yet
        self._lr, self._make_update = lr, make_update

    def evaluate(self, objective: LossFunction, evaluated: Evaluated) -> tuple[Losses, Tensor]:
        """Return the losses and the gradient of the image, which is the best one again where the loss diverged."""
        losses, gradient = evaluated(objective, self.image)
        if self._has_diverged(sum(losses.values()), gradient):
            del gradient  # it may take hundreds of MB
            self._restart()
            losses, gradient = evaluated(objective, self.image)
        if (loss := sum(losses.values())) < self._best_loss:
            self.best, self._best_loss = self.image, loss
        return losses, gradient

    def move(self, gradient: Tensor) -> None:
        """Replace the image by the next one."""
        self.image = self.update(self.image, gradient)

    def _has_diverged(self, loss: float, gradient: Tensor) -> bool:
        is_finite = math.isfinite(loss) and math.isfinite(gradient.sum().item())
        if self._floor < 0:
            if not is_finite:
                raise ValueError("the loss of the start is not finite: check the weights and the learning rate")
            self._floor = ROUNDING * loss
        return not is_finite or loss > DIVERGED * max(self._best_loss, self._floor)

    def _restart(self) -> None:
        self.restarts += 1
        if self.restarts > RESTARTS:
            raise DivergedError
        self._lr /= 2
        self.image = self.best
        del self.update  # before the next one takes as much memory
        self.update = self._make_update(self.best, self._lr)


@large_blocks(kept=True)  # of the networks; those of the size of a large image are the exception
def evaluate(objective: LossFunction, image: Image) -> tuple[Losses, Tensor]:
    """Return the losses of `image` and the gradient of their sum, contiguous float32 in the shape of the image."""
    pixels = image.detach().requires_grad_()
    terms = objective(pixels)
    values = torch.stack(list(terms.values()))
    (gradient,) = torch.autograd.grad(values.sum(), pixels)
    return dict(zip(terms, values.cpu().tolist(), strict=True)), gradient.contiguous()


@large_blocks(kept=True)
@torch.no_grad()
def _evaluate_last(objective: LossFunction, image: Image) -> tuple[Losses, Tensor]:
    """Return the losses of the last image, in a third of the time, and an empty gradient: no step follows."""
    terms = objective(image)
    values = torch.stack(list(terms.values()))
    return dict(zip(terms, values.cpu().tolist(), strict=True)), image.new_empty(0)


def _step(objective: LossFunction, image: Image, *, index: int, losses: Losses, evaluations: int, began: float) -> Step:
    return Step(
        index=index,
        losses=losses,
        seconds=time.perf_counter() - began,
        evaluations=evaluations,
        size=(image.shape[-2], image.shape[-1]),
        image=partial(_copy, image),
        losses_of=partial(_losses_of, objective, image.device),
    )


def _copy(image: Image) -> Image:
    return image.cpu().clone()


@torch_defaults()  # a listener may keep the step and call this later
@torch.no_grad()
def _losses_of(objective: LossFunction, device: torch.device, image: Image) -> Losses:
    return {name: loss.item() for name, loss in objective(image.to(device)).items()}


def _make_update(
    optimizer: Optimizer,
    history: int,
    pyramid: int,
    preconditioned: bool,
    grid: tuple[int, int] | None,
    first_step: float,
    start: Image,
    lr: float,
) -> Update:
    if pyramid > 1:
        levels = Pyramid(start, pyramid)
        if optimizer == "lbfgs":
            return PyramidLbfgsUpdate(levels, lr, history, first_step)
        return PyramidFirstOrderUpdate(optimizer, levels, lr)
    if optimizer == "lbfgs":
        return LbfgsUpdate(start, lr, history, preconditioned=preconditioned, grid=grid, first_step=first_step)
    return FirstOrderUpdate(optimizer, start, lr)
