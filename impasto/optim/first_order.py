"""Update the pixels, or the levels of a pyramid, with Adam or RMSprop within the bounds [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from impasto.optim.pyramid import Pyramid
from impasto.types import Image

HUGE = 1e30
"""Step length that takes every pixel with a gradient to a bound."""

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
    """Return a function that takes one step of torch's optimizer from any point with a given gradient."""
    variables = start.clone()
    make = torch.optim.Adam if optimizer == "adam" else torch.optim.RMSprop
    stepper = make([variables], lr=lr)

    def take_step(point: Tensor, gradient: Tensor) -> Tensor:
        variables.copy_(point)
        variables.grad = gradient
        stepper.step()
        return variables.clone()

    return take_step
