"""Add a term to an objective that keeps the image close to other images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.images import resize
from impasto.optim.descent import LossFunction, at_step
from impasto.regions.subject import Anchor
from impasto.types import Image


class AnchoredObjective:
    """An objective with one more term for each anchor, `temporal/1` and so on.

    The term is the weight times the mean over all positions and colors of the masked squared difference: the temporal
    loss of Ruder, Dosovitskiy & Brox (GCPR 2016, arXiv 1604.08610), with pixels in [0, 1].

    Args:
        objective: the other terms.
        anchors: images of any size.
        shape: height and width of the image that is optimized, in pixels.
        device: device of the image.
    """

    def __init__(
        self, objective: LossFunction, anchors: Sequence[Anchor], shape: tuple[int, int], device: torch.device
    ) -> None:
        self._objective = objective
        self._targets = [
            (resize(each.image, shape).to(device), resize(each.mask, shape).to(device), each.weight) for each in anchors
        ]

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the terms of the first step."""
        return self._with_anchors(self._objective(image), image)

    def at_step(self, step: int) -> LossFunction:
        """Return the objective of one step."""
        objective = at_step(self._objective, step)
        return lambda image: self._with_anchors(objective(image), image)

    def _with_anchors(self, losses: dict[str, Tensor], image: Image) -> dict[str, Tensor]:
        terms = {
            f"temporal/{i}": weight * (mask * (image - target).square()).mean()
            for i, (target, mask, weight) in enumerate(self._targets, 1)
        }
        return {**losses, **terms}
