"""The pixels are the parameters: L-BFGS, Adam or RMSprop in the box [0, 1], never lost, stopped in time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from impasto.optim.first_order import Move, held, stepped, stepped_levels
from impasto.optim.lbfgs import InverseHessian
from impasto.optim.pyramid import Pyramid
from impasto.types import Image, Losses, Step

Optimizer = Literal["lbfgs", "adam", "rmsprop"]
DEFAULT_LR: dict[Optimizer, float] = {"lbfgs": 1.0, "adam": 0.02, "rmsprop": 0.01}

LIMIT = 2000
"""Iterations after which a run that was to stop when converged stops anyway."""
TOLERANCE = 0.01
"""A run has converged when a window of iterations lowered its loss by less than this share."""
RETRIES = 8
"""How often a run that diverged is taken back to its best picture and halves its step."""
ROUNDING = 1e-6
"""Below this share of what it began with a loss is mere rounding, and may grow."""
DIVERGED = 3.0
"""A loss that many times the best one is divergence."""

FIRST_STEP = 0.02
"""Root mean square of the first L-BFGS step, in units of the pixel range."""
TINY = 1e-30

Loss = Callable[[Image], dict[str, Tensor]]
"""What a picture `(1, 3, H, W)` is to minimize: named scalars, whose sum counts."""


@runtime_checkable
class Varying(Protocol):
    """A loss that is another one at every step, such as one along random directions."""

    def __call__(self, image: Image) -> dict[str, Tensor]: ...

    def at_step(self, step: int) -> Loss:
        """The loss of one step, counted from 1: the same whenever it is asked for."""


def at_step(objective: Loss, step: int) -> Loss:
    """What the picture is to minimize at one step."""
    return objective.at_step(step) if isinstance(objective, Varying) else objective


class DivergedError(ArithmeticError):
    """No step was small enough; the best picture before it stands."""


class Convergence:
    """Stops when the best loss fell by less than `tolerance` of itself over the last `window` iterations."""

    def __init__(self, window: int = 25, tolerance: float = TOLERANCE) -> None:
        self._window, self._tolerance = window, tolerance
        self._best: list[float] = []

    def reached(self, loss: float) -> bool:
        """Takes the loss of one more iteration."""
        self._best.append(min(loss, self._best[-1]) if self._best else loss)
        if len(self._best) <= self._window:
            return False
        before, now = self._best[-1 - self._window], self._best[-1]
        return before - now <= self._tolerance * now


def descend(
    objective: Loss,
    start: Image,
    *,
    optimizer: Optimizer = "lbfgs",
    lr: float | None = None,
    steps: int | None = None,
    tolerance: float = TOLERANCE,
    history: int = 10,
    pyramid: int = 0,
) -> Iterator[Step]:
    """Yield steps of falling loss, from `start` `(1, 3, H, W)` on; every one lies in [0, 1].

    The picture is put back into the box after each step instead of at the end, so that what is saved has the loss that
    the optimizer saw. One iteration is one evaluation: there is no line search. Where the loss stops being finite or
    grows threefold, the run goes back to its best picture and halves its step.

    Args:
        objective: named scalar losses of an image.
        lr: length of the step; 1 for L-BFGS, of the pixel range 0.02 for Adam and 0.01 for RMSprop unless given.
        steps: number of iterations; until converged if `None`.
        tolerance: converged is a run that lowers its loss by less than this share in 25 iterations.
        history: pairs that L-BFGS remembers.
        pyramid: levels of the Laplacian pyramid whose coefficients are the variables; below 2 the pixels are.

    Raises:
        ValueError: if the loss of the start is not finite.
        DivergedError: if no step was small enough.
    """
    began = time.perf_counter()
    length = DEFAULT_LR[optimizer] if lr is None else lr
    image = best = start.clamp(0, 1)
    best_loss, floor, retries = math.inf, 0.0, 0
    move = _make_move(optimizer, image, length, history, pyramid)
    convergence = None if steps is not None else Convergence(tolerance=tolerance)
    for i in range(1, (LIMIT if steps is None else steps) + 1):
        now = at_step(objective, i)
        losses, gradient = evaluate(now, image)
        loss = sum(losses.values())
        is_sound = math.isfinite(loss) and math.isfinite(gradient.sum().item())
        if i == 1:
            if not is_sound:
                raise ValueError("the loss of the start is not finite: check the weights and the learning rate")
            floor = ROUNDING * loss
        if not is_sound or loss > DIVERGED * max(best_loss, floor):
            retries += 1
            if retries > RETRIES:
                raise DivergedError
            length /= 2
            move = _make_move(optimizer, best, length, history, pyramid)
            losses, gradient = evaluate(now, best)
            image, loss = best, sum(losses.values())
        if loss < best_loss:
            best, best_loss = image, loss
        yield _step(now, image, losses, i, i + retries, began)
        if convergence is not None and convergence.reached(loss):
            return
        image = move(image, gradient)


def evaluate(objective: Loss, image: Image) -> tuple[Losses, Tensor]:
    """Losses of `image`, and the gradient of their sum, contiguous float32 of the image's shape."""
    pixels = image.detach().requires_grad_()
    terms = objective(pixels)
    values = torch.stack(list(terms.values()))
    (gradient,) = torch.autograd.grad(values.sum(), pixels)
    return dict(zip(terms, values.tolist(), strict=True)), gradient.contiguous()


def _step(objective: Loss, image: Image, losses: Losses, index: int, evaluations: int, began: float) -> Step:
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


@torch.no_grad()
def _losses_of(objective: Loss, device: torch.device, image: Image) -> Losses:
    return {name: loss.item() for name, loss in objective(image.to(device)).items()}


def _make_move(optimizer: Optimizer, start: Image, lr: float, history: int, pyramid: int) -> Move:
    if pyramid > 1:
        levels = Pyramid(start, pyramid)
        return _lbfgs_of_levels(levels, lr, history) if optimizer == "lbfgs" else stepped_levels(optimizer, levels, lr)
    return _lbfgs(start, lr, history) if optimizer == "lbfgs" else stepped(optimizer, start, lr)


def _lbfgs(start: Image, lr: float, history: int) -> Move:
    """L-BFGS (Liu & Nocedal, Math. Programming 45, 1989) without line search, in the box.

    A pixel that lies on a wall and is pushed against it is left out: of the curvature, of the gradient and of the step
    (two-metric projection, Bertsekas 1982). Without that, full walls stall the method.
    """
    hessian = InverseHessian(history, start.numel(), start.device)
    last: list[Tensor] = []  # the last step and gradient, flat

    def move(image: Image, gradient: Tensor) -> Image:
        x, flat = image.flatten(), gradient.flatten()
        free = (~held(x, flat)).to(flat.dtype)  # a factor: several times as fast as a masked fill
        pull = flat * free
        if last:
            hessian.update(last[0].mul_(free), (flat - last[1]).mul_(free))
            step = hessian.times(pull).mul_(free).mul_(-lr)
        else:
            step = pull * (-lr * FIRST_STEP / pull.square().mean().sqrt().clamp_min(TINY))
        moved = step.add_(x).clamp_(0, 1)
        last[:] = [moved - x, flat]
        return moved.view_as(image)

    return move


def _lbfgs_of_levels(pyramid: Pyramid, lr: float, history: int) -> Move:
    """`_lbfgs` with the levels of a pyramid as variables.

    What the box cuts off a step is taken back in the levels, so that the curvature is learned from the step that was
    taken.
    """
    nowhere = pyramid.zeros()
    hessian = InverseHessian(history, nowhere.numel(), nowhere.device)
    last: list[Tensor] = []  # the last step, in levels, and the last gradient, in pixels

    def move(image: Image, gradient: Tensor) -> Image:
        stuck = held(image, gradient)
        free = pyramid.gradient(gradient.masked_fill(stuck, 0))
        if last:
            hessian.update(last[0], pyramid.gradient((gradient - last[1]).masked_fill_(stuck, 0)))
            step = hessian.times(free).mul_(-lr)
        else:
            step = free * (-lr * FIRST_STEP / pyramid.image(free).square().mean().sqrt().clamp_min(TINY))
        change = pyramid.image(step)
        moved = (image + change.masked_fill(stuck, 0)).clamp_(0, 1)
        last[:] = [step + pyramid.levels(moved - image - change), gradient]
        return moved

    return move
