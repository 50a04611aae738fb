"""The pixels are the parameters: L-BFGS, Adam and RMSprop in the box [0, 1], safe against divergence, stopped when done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from impasto.lbfgs import InverseHessian
from impasto.pyramid import Pyramid
from impasto.types import Image

Optimizer = Literal["lbfgs", "adam", "rmsprop"]
DEFAULT_LR: dict[Optimizer, float] = {"lbfgs": 1.0, "adam": 0.02, "rmsprop": 0.01}

LIMIT = 2000
"""Iterations after which a run that was to stop when converged stops anyway."""
RETRIES = 8
"""How often a run that diverged is taken back to its best picture and halves its step."""
DIVERGED = 3.0
"""A loss that many times the best one is divergence."""

FIRST_STEP = 0.02
"""Root mean square of the first L-BFGS step, in units of the pixel range."""
TINY = 1e-30

Losses = dict[str, float]
Loss = Callable[[Image], dict[str, Tensor]]
"""What a picture `(1, 3, H, W)` is to minimise: named scalars, whose sum counts."""


class DivergedError(ArithmeticError):
    """No step was small enough; the best picture before it stands."""


@dataclass(frozen=True)
class Iterate:
    """One evaluated picture."""

    image: Image
    losses: Losses
    iterations: int
    evaluations: int


class Convergence:
    """Stops when the best loss fell by less than `tolerance` of itself over the last `window` iterations."""

    def __init__(self, window: int = 25, tolerance: float = 0.01) -> None:
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
    history: int = 20,
    pyramid: int = 0,
) -> Iterator[Iterate]:
    """Pictures of falling loss, from `start` `(1, 3, H, W)` on; every one lies in [0, 1].

    The picture is put back into the box after each step instead of at the end, so that what is saved has the loss that
    the optimiser saw. One iteration is one evaluation: there is no line search. Where the loss stops being finite or
    grows threefold, the run goes back to its best picture and halves its step.

    Args:
        objective: named scalar losses of an image.
        lr: length of the step; 1 for L-BFGS, of the pixel range 0.02 for Adam and 0.01 for RMSprop unless given.
        steps: number of iterations; until converged if `None`.
        history: pairs that L-BFGS remembers.
        pyramid: levels of the Laplacian pyramid whose coefficients are the variables; below 2 the pixels are.

    Raises:
        ValueError: if the loss of the start is not finite.
        DivergedError: if no step was small enough.
    """
    length = DEFAULT_LR[optimizer] if lr is None else lr
    image = best = start.clamp(0, 1)
    best_loss, retries = math.inf, 0
    move = _make_move(optimizer, image, length, history, pyramid)
    convergence = None if steps is not None else Convergence()
    for i in range(1, (LIMIT if steps is None else steps) + 1):
        losses, gradient = evaluate(objective, image)
        loss = sum(losses.values())
        is_sound = math.isfinite(loss) and bool(gradient.isfinite().all())
        if i == 1 and not is_sound:
            raise ValueError("the loss of the start is not finite: check the weights and the learning rate")
        if not is_sound or loss > DIVERGED * best_loss:
            retries += 1
            if retries > RETRIES:
                raise DivergedError
            length /= 2
            move = _make_move(optimizer, best, length, history, pyramid)
            losses, gradient = evaluate(objective, best)
            image, loss = best, sum(losses.values())
        if loss < best_loss:
            best, best_loss = image, loss
        yield Iterate(image, losses, i, i + retries)
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


Move = Callable[[Image, Tensor], Image]
"""From a picture and its gradient to the next picture, in [0, 1]."""


def _make_move(optimizer: Optimizer, start: Image, lr: float, history: int, pyramid: int) -> Move:
    if pyramid > 1:
        levels = Pyramid(start, pyramid)
        return _lbfgs_of_levels(levels, lr, history) if optimizer == "lbfgs" else _stepped_levels(optimizer, levels, lr)
    return _lbfgs(start, lr, history) if optimizer == "lbfgs" else _stepped(optimizer, start, lr)


def _lbfgs(start: Image, lr: float, history: int) -> Move:
    """L-BFGS (Liu & Nocedal, Math. Programming 45, 1989) without line search, in the box.

    A pixel that lies on a wall and is pushed against it is left out: of the curvature, of the gradient and of the step
    (two-metric projection, Bertsekas 1982). Without that, full walls stall the method.
    """
    hessian = InverseHessian(history, start.numel(), start.device)
    last: list[Tensor] = []  # the last step and gradient, flat

    def move(image: Image, gradient: Tensor) -> Image:
        x, flat = image.flatten(), gradient.flatten()
        stuck = ((x <= 0) & (flat > 0)) | ((x >= 1) & (flat < 0))
        free = flat.masked_fill(stuck, 0)
        if last:
            hessian.update(last[0].masked_fill_(stuck, 0), (flat - last[1]).masked_fill_(stuck, 0))
            step = hessian.times(free).masked_fill_(stuck, 0).mul_(-lr)
        else:
            step = free * (-lr * FIRST_STEP / free.square().mean().sqrt().clamp_min(TINY))
        moved = (x + step).clamp_(0, 1)
        last[:] = [moved - x, flat]
        return moved.view_as(image)

    return move


def _lbfgs_of_levels(pyramid: Pyramid, lr: float, history: int) -> Move:
    """`_lbfgs` with the levels of a pyramid as variables.

    What the box cuts off a
    step is taken back in the levels, so that the curvature is learned from the step that was taken.
    """
    hessian = InverseHessian(history, pyramid.zeros().numel(), pyramid.zeros().device)
    last: list[Tensor] = []  # the last step, in levels, and the last gradient, in pixels

    def move(image: Image, gradient: Tensor) -> Image:
        held = _held(image, gradient)
        free = pyramid.gradient(gradient.masked_fill(held, 0))
        if last:
            hessian.update(last[0], pyramid.gradient((gradient - last[1]).masked_fill_(held, 0)))
            step = hessian.times(free).mul_(-lr)
        else:
            step = free * (-lr * FIRST_STEP / pyramid.image(free).square().mean().sqrt().clamp_min(TINY))
        change = pyramid.image(step)
        moved = (image + change.masked_fill(held, 0)).clamp_(0, 1)
        last[:] = [step + pyramid.levels(moved - image - change), gradient]
        return moved

    return move


def _held(image: Image, gradient: Tensor) -> Tensor:
    """Where a pixel lies on a wall and is pushed against it; it is asked before its gradient goes to the levels."""
    return ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))


def _stepped(optimizer: Optimizer, start: Image, lr: float) -> Move:
    """Adam (Kingma & Ba, ICLR 2015) or RMSprop (Tieleman & Hinton 2012), projected onto the box."""
    take_step = _take_step(optimizer, start, lr)
    return lambda image, gradient: take_step(image, gradient).clamp_(0, 1)


def _stepped_levels(optimizer: Optimizer, pyramid: Pyramid, lr: float) -> Move:
    """The same with the levels of a pyramid as variables.

    Collapsing is linear, so the picture of the moved levels is the picture and that of the step, wherever the levels
    stand; what the box cuts off is cut off the levels too by going on from the clamped picture.
    """
    nowhere = pyramid.zeros()
    take_step = _take_step(optimizer, nowhere, lr)

    def move(image: Image, gradient: Tensor) -> Image:
        held = _held(image, gradient)
        step = take_step(nowhere, pyramid.gradient(gradient.masked_fill(held, 0)))
        return (image + pyramid.image(step).masked_fill_(held, 0)).clamp_(0, 1)

    return move


def _take_step(optimizer: Optimizer, start: Tensor, lr: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A step of torch's optimiser from wherever it is put, of a given gradient; nothing bounds it."""
    variables = start.clone()
    make = torch.optim.Adam if optimizer == "adam" else torch.optim.RMSprop
    stepper = make([variables], lr=lr)

    def take_step(now: Tensor, gradient: Tensor) -> Tensor:
        variables.copy_(now)
        variables.grad = gradient
        stepper.step()
        return variables.clone()

    return take_step
