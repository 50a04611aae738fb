"""What flows through the house: pictures, features and steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Image: TypeAlias = "Tensor"
"""Float32 `(B, 3, H, W)`, sRGB-encoded RGB in [0, 1]."""

Features: TypeAlias = "dict[str, Tensor]"
"""Feature maps `(B, C, H, W)` under the papers' names (`relu4_1`), plus the picture itself as `"image"`."""


@dataclass(frozen=True)
class Step:
    """One iterate of a painting: what every listener (progress bar, log, preview, page) receives."""

    index: int
    """Optimizer iterations done so far, over all sizes; from 1."""
    total: int | None
    """How many iterations there will be at most."""
    size: tuple[int, int]
    """Height and width of the picture at this scale, in pixels."""
    evaluations: int
    """How often the objective and its gradient were computed so far."""
    seconds: float
    """Wall time since the painting began."""
    losses: dict[str, float]
    """Weighted loss of every term under its name (`style/relu1_1`); they add up to the total."""
    image: Callable[[], Image]
    """Returns a copy of the current picture, `(1, 3, H, W)`, on the CPU."""
    losses_of: Callable[[Image], dict[str, float]]
    """Returns the weighted losses of any picture of this size, under the objective of this step."""
    stage: int = 0
    """Counts the objectives of a painting: losses of two stages do not compare."""

    @property
    def loss(self) -> float:
        """Total loss: the sum of all terms."""
        return sum(self.losses.values())


@dataclass(frozen=True)
class Point:
    """The losses at one step: a point of every curve."""

    step: int
    evaluations: int
    seconds: float
    size: tuple[int, int]
    """Height and width in pixels."""
    losses: dict[str, float]
