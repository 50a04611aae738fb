"""Update the pixels, or the levels of a pyramid, with Adam or RMSprop within the bounds [0, 1]."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

from impasto.optim.pyramid import Pyramid
from impasto.optim.state import Stateful
from impasto.types import Image

HUGE = 1e30
"""Step length that takes every pixel with a gradient to a bound."""

EPSILON = 1e-8
"""Added to the root of the mean squared gradient before it divides."""

FirstOrder = Literal["adam", "rmsprop"]


class Update(Stateful, ABC):
    """Computes the next image from an image and its gradient."""

    @abstractmethod
    def __call__(self, image: Image, gradient: Tensor) -> Image:
        """Return the next image, in [0, 1]."""


def at_active_bound(image: Image, gradient: Tensor) -> Tensor:
    """Return where a pixel is at a bound and its gradient points outwards, or where the gradient is zero.

    The test is whether a huge step leaves the pixel where it is: three passes over the image instead of the seven that
    comparing pixels and gradients with both bounds takes.
    """
    return torch.sub(image, gradient, alpha=HUGE).clamp_(0, 1) == image


class FirstOrderUpdate(Update):
    """The update of Adam (Kingma & Ba, ICLR 2015) or RMSprop (Tieleman & Hinton 2012), projected to [0, 1]."""

    remembered = ("_rule",)

    def __init__(self, optimizer: FirstOrder, start: Image, lr: float) -> None:
        self._rule = _rule(optimizer, start, lr)

    def __call__(self, image: Image, gradient: Tensor) -> Image:
        """Return the next image, in [0, 1]."""
        return self._rule.step(image, gradient).clamp_(0, 1)


class PyramidFirstOrderUpdate(Update):
    """The update of Adam or RMSprop with the levels of a pyramid as variables.

    Collapsing a pyramid is linear, so that the image of the updated levels is the image plus that of the step. What
    the bounds cut off is removed from the levels too, because the next step starts from the clamped image.
    """

    remembered = ("_rule",)

    def __init__(self, optimizer: FirstOrder, pyramid: Pyramid, lr: float) -> None:
        self._pyramid, self._zeros = pyramid, pyramid.zeros()
        self._rule = _rule(optimizer, self._zeros, lr)

    def __call__(self, image: Image, gradient: Tensor) -> Image:
        """Return the next image, in [0, 1]."""
        at_bound = at_active_bound(image, gradient)
        step = self._rule.step(self._zeros, self._pyramid.gradient(gradient.masked_fill(at_bound, 0)))
        return (image + self._pyramid.image(step).masked_fill_(at_bound, 0)).clamp_(0, 1)


def _rule(optimizer: FirstOrder, start: Tensor, lr: float) -> _Adam | _RmsProp:
    """Return the rule of an optimizer without bounds.

    The constants and the operations are those of `torch.optim`. To create the first optimizer of `torch.optim` takes
    1.2 seconds, because it imports the compiler of PyTorch.
    """
    return _Adam(start, lr) if optimizer == "adam" else _RmsProp(start, lr)


class _Adam(Stateful):
    remembered = ("_mean", "_mean_square", "_steps", "_lr")
    decay, squared_decay = 0.9, 0.999

    def __init__(self, start: Tensor, lr: float) -> None:
        self._mean, self._mean_square = torch.zeros_like(start), torch.zeros_like(start)
        self._steps, self._lr = 0, lr

    def step(self, point: Tensor, gradient: Tensor) -> Tensor:
        """Return the next point."""
        self._steps += 1
        self._mean.lerp_(gradient, 1 - self.decay)
        self._mean_square.mul_(self.squared_decay).addcmul_(gradient, gradient, value=1 - self.squared_decay)
        scale = (self._mean_square.sqrt() / (1 - self.squared_decay**self._steps) ** 0.5).add_(EPSILON)
        return point.addcdiv(self._mean, scale, value=-self._lr / (1 - self.decay**self._steps))


class _RmsProp(Stateful):
    remembered = ("_mean_square", "_lr")
    decay = 0.99

    def __init__(self, start: Tensor, lr: float) -> None:
        self._mean_square, self._lr = torch.zeros_like(start), lr

    def step(self, point: Tensor, gradient: Tensor) -> Tensor:
        """Return the next point."""
        self._mean_square.mul_(self.decay).addcmul_(gradient, gradient, value=1 - self.decay)
        return point.addcdiv(gradient, self._mean_square.sqrt().add_(EPSILON), value=-self._lr)
