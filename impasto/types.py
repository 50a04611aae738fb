"""Define the types that every folder shares: images, features and the step record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Image: TypeAlias = "Tensor"
"""Float32 `(B, 3, H, W)`, sRGB-encoded RGB in [0, 1]."""

Features: TypeAlias = "dict[str, Tensor]"
"""Feature maps `(B, C, H, W)` under the layer names of the papers (`relu4_1`), plus the image itself as `"image"`."""

Losses: TypeAlias = dict[str, float]
"""Weighted loss of every term under its name (`style/relu1_1`); their sum is the total loss."""

State: TypeAlias = dict[str, Any]
"""What a run needs to continue after an interruption: tensors, plain values, and lists and dictionaries of them."""


Event = TypeVar("Event")
"""What a listener receives: a step of a run, or the result of a picture."""


def is_stopped_by(listener: Callable[[Event], object] | None, event: Event) -> bool:
    """Call a listener, if there is one, and return whether it stops the run.

    Every false value except None does, because comparisons of NumPy and PyTorch return booleans of their own.

    >>> is_stopped_by(lambda step: step > 1, 1), is_stopped_by(print, "step"), is_stopped_by(None, "step")
    step
    (True, False, False)
    """
    answer = None if listener is None else listener(event)
    return answer is not None and not answer


def losses_by_kind(losses: Losses) -> Losses:
    """Return the sum of the terms of each kind, and the total.

    The kind of a term is its name up to the first slash.

    >>> losses_by_kind({"style/relu1_1": 1.0, "style/relu2_1": 2.0, "content/relu4_2": 0.5})
    {'style': 3.0, 'content': 0.5, 'total': 3.5}
    """
    kinds = dict.fromkeys(name.partition("/")[0] for name in losses)
    sums = {kind: sum(loss for name, loss in losses.items() if name.partition("/")[0] == kind) for kind in kinds}
    return {**sums, "total": sum(losses.values())}


def _no_image() -> Image:
    raise ValueError("this step carries no image: it is a point of a curve, or a step of a training")


def _no_losses(image: Image) -> Losses:
    raise ValueError("this step carries no objective: it is a point of a curve, or a step of a training")


@dataclass(frozen=True)
class Step:
    """One step of a stylization or of a training: what listeners receive and what curves consist of."""

    index: int
    """Iterations done so far, over all sizes or sessions; from 1."""
    losses: Losses = field(hash=False)
    """Weighted loss of every term under its name (`style/relu1_1`); their sum is the total loss."""
    seconds: float = 0.0
    """Wall time since the run began, without what came before in the same process."""
    evaluations: int = 0
    """Number of evaluations of the objective and its gradient so far."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the image at this step, in pixels."""
    final_size: tuple[int, int] | None = field(default=None, compare=False)
    """Height and width of the image at the last step of the run, in pixels; None: that of this step."""
    total: int | None = field(default=None, compare=False)
    """Maximum number of iterations; None where the run stops when converged."""
    stage: int = field(default=0, compare=False)
    """Index of the objective within the run: losses of different stages are not comparable."""
    image: Callable[[], Image] = field(default=_no_image, compare=False, repr=False)
    """Returns a copy of the current image, `(1, 3, H, W)`, on the CPU."""
    alpha: Tensor | None = field(default=None, compare=False, repr=False)
    """Opacity of the content image at its own size, `(1, 1, H, W)` in [0, 1]; None: opaque."""
    losses_of: Callable[[Image], Losses] = field(default=_no_losses, compare=False, repr=False)
    """Returns the weighted losses of any image of this size under the objective of this step."""
    state: Callable[[], State] | None = field(default=None, compare=False, repr=False)
    """Returns what `Method.resume` needs to continue from this step, valid until the next step; None: it cannot."""

    @property
    def loss(self) -> float:
        """Total loss: the sum of all terms."""
        return sum(self.losses.values())

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output of the run, in pixels."""
        return self.final_size or self.size

    def by_kind(self) -> Losses:
        """Return the losses summed by kind, and the total, as `losses_by_kind` does."""
        return losses_by_kind(self.losses)

    def without_image(self) -> Step:
        """Return the step as a point of a curve, which does not keep the image in memory."""
        return replace(self, image=_no_image, alpha=None, losses_of=_no_losses, state=None)

    def to_json(self) -> dict[str, Any]:
        """Return the step as JSON values, as curves and records store it."""
        return {
            "step": self.index,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "size": list(self.size),
            "losses": self.losses,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Step:
        """Return the step that `to_json` described; it carries no image."""
        height, width = values["size"]
        return cls(values["step"], values["losses"], values["seconds"], values["evaluations"], (height, width))
