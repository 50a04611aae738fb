"""Update the pixels, or the levels of a pyramid, with Adam or RMSprop within the bounds [0, 1]."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from impasto.optim.pyramid import Pyramid
from impasto.types import Image

HUGE = 1e30
"""Step length that takes every pixel with a gradient to a bound."""

EPSILON = 1e-8
"""Added to the root of the mean squared gradient before it divides."""

FirstOrder = Literal["adam", "rmsprop"]
Update = Callable[[Image, Tensor], Image]
"""Returns the next image, in [0, 1], from an image and its gradient."""


def at_active_bound(image: Image, gradient: Tensor) -> Tensor:
    """Return where a pixel is at a bound and its gradient points outwards, or where the gradient is zero.

    The test is whether a huge step leaves the pixel where it is: three passes over the image instead of the seven that
    comparing pixels and gradients with both bounds takes.
    """
    return torch.sub(image, gradient, alpha=HUGE).clamp_(0, 1) == image


def first_order_update(optimizer: FirstOrder, start: Image, lr: float) -> Update:
    """Return the update of Adam (Kingma & Ba, ICLR 2015) or RMSprop (Tieleman & Hinton 2012), projected to [0, 1]."""
    take_step = _unbounded_step(optimizer, start, lr)
    return lambda image, gradient: take_step(image, gradient).clamp_(0, 1)


def first_order_pyramid_update(optimizer: FirstOrder, pyramid: Pyramid, lr: float) -> Update:
    """Return the update of Adam or RMSprop with the levels of a pyramid as variables.

    Collapsing a pyramid is linear, so that the image of the updated levels is the image plus that of the step. What
    the bounds cut off is removed from the levels too, because the next step starts from the clamped image.
    """
    zeros = pyramid.zeros()
    take_step = _unbounded_step(optimizer, zeros, lr)

    def update(image: Image, gradient: Tensor) -> Image:
        at_bound = at_active_bound(image, gradient)
        step = take_step(zeros, pyramid.gradient(gradient.masked_fill(at_bound, 0)))
        return (image + pyramid.image(step).masked_fill_(at_bound, 0)).clamp_(0, 1)

    return update


def _unbounded_step(optimizer: FirstOrder, start: Tensor, lr: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function that takes one step from any point with a given gradient.

    The constants and the operations are those of `torch.optim`. To create the first optimizer of `torch.optim` takes
    1.2 seconds, because it imports the compiler of PyTorch.
    """
    return _adam_step(start, lr) if optimizer == "adam" else _rmsprop_step(start, lr)


def _adam_step(start: Tensor, lr: float) -> Callable[[Tensor, Tensor], Tensor]:
    decay, squared_decay = 0.9, 0.999
    mean, mean_square = torch.zeros_like(start), torch.zeros_like(start)
    steps = itertools.count(1)

    def take_step(point: Tensor, gradient: Tensor) -> Tensor:
        step = next(steps)
        mean.lerp_(gradient, 1 - decay)
        mean_square.mul_(squared_decay).addcmul_(gradient, gradient, value=1 - squared_decay)
        scale = (mean_square.sqrt() / (1 - squared_decay**step) ** 0.5).add_(EPSILON)
        return point.addcdiv(mean, scale, value=-lr / (1 - decay**step))

    return take_step


def _rmsprop_step(start: Tensor, lr: float) -> Callable[[Tensor, Tensor], Tensor]:
    decay = 0.99
    mean_square = torch.zeros_like(start)

    def take_step(point: Tensor, gradient: Tensor) -> Tensor:
        mean_square.mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
        return point.addcdiv(gradient, mean_square.sqrt().add_(EPSILON), value=-lr)

    return take_step
