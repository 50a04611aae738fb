"""Adam and RMSprop in the box [0, 1], on the pixels or on the levels of a pyramid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from impasto.optim.pyramid import Pyramid
from impasto.types import Image

FAR = 1e30
"""As far as one can go: it takes every gradient to a wall, or to infinity."""

FirstOrder = Literal["adam", "rmsprop"]
Move = Callable[[Image, Tensor], Image]
"""From a picture and its gradient to the next picture, in [0, 1]."""


def held(image: Image, gradient: Tensor) -> Tensor:
    """Where a pixel of [0, 1] lies on a wall and is pushed against it, or is not pushed at all.

    It is asked before its gradient goes to the levels. So it is where the farthest step would take it nowhere, which
    is three passes over the picture, and to compare both with both walls is seven.
    """
    return torch.sub(image, gradient, alpha=FAR).clamp_(0, 1) == image


def stepped(optimizer: FirstOrder, start: Image, lr: float) -> Move:
    """Adam (Kingma & Ba, ICLR 2015) or RMSprop (Tieleman & Hinton 2012), projected onto the box."""
    take_step = _take_step(optimizer, start, lr)
    return lambda image, gradient: take_step(image, gradient).clamp_(0, 1)


def stepped_levels(optimizer: FirstOrder, pyramid: Pyramid, lr: float) -> Move:
    """The same with the levels of a pyramid as variables.

    Collapsing is linear, so the picture of the moved levels is the picture and that of the step, wherever the levels
    stand; what the box cuts off is cut off the levels too by going on from the clamped picture.
    """
    nowhere = pyramid.zeros()
    take_step = _take_step(optimizer, nowhere, lr)

    def move(image: Image, gradient: Tensor) -> Image:
        stuck = held(image, gradient)
        step = take_step(nowhere, pyramid.gradient(gradient.masked_fill(stuck, 0)))
        return (image + pyramid.image(step).masked_fill_(stuck, 0)).clamp_(0, 1)

    return move


def _take_step(optimizer: FirstOrder, start: Tensor, lr: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A step of torch's optimizer from wherever it is put, of a given gradient; nothing bounds it."""
    variables = start.clone()
    make = torch.optim.Adam if optimizer == "adam" else torch.optim.RMSprop
    stepper = make([variables], lr=lr)

    def take_step(now: Tensor, gradient: Tensor) -> Tensor:
        variables.copy_(now)
        variables.grad = gradient
        stepper.step()
        return variables.clone()

    return take_step
