"""A strength that means something: the weight at which style and content pull equally hard, whatever measures them."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.backbones import Backbone
from impasto.images import resize
from impasto.objectives.objective import Objective, Term
from impasto.optim.descent import TINY, evaluate
from impasto.regions.subject import Region, Subject
from impasto.types import Image

BALANCE = 11.0
"""What makes a strength of 50 the weight 100 of Gatys's objective: geometric mean of six pairs, VGG-19, 512 pixels."""
DECADE = 25.0
"""So many points of strength are a factor of ten."""


def style_weight(
    strength: float, backbone: Backbone, subject: Subject, content: Sequence[Term], style: Sequence[Term]
) -> float:
    """Factor on the `style` terms for a strength of 0 to 100; 50 is balanced.

    The style's pull is set against the content's by the length of their own gradients at one picture between the two:
    so the number does not depend on how a loss, a network or a size happens to be scaled, nor on where the optimizer
    starts.

    Args:
        content, style: the terms with the weights they would have at a factor of 1.
    """
    between = blend(subject)
    pulls = [evaluate(Objective(backbone, terms), between)[1].norm().item() for terms in (content, style)]
    balanced: float = BALANCE * pulls[0] / max(pulls[1], TINY)
    return balanced * float(10 ** ((strength - 50) / DECADE))


def blend(subject: Subject) -> Image:
    """Half the photograph and half its styles, stretched over it, each in its region."""
    shape = (subject.content.shape[-2], subject.content.shape[-1])
    image = subject.content
    for region in subject.regions:
        cover = 1.0 if region.mask is None else region.mask
        image = image + cover * (_mixture(region, shape) - subject.content) / 2
    return image.clamp(0, 1)


def _mixture(region: Region, shape: tuple[int, int]) -> Image:
    parts = [style.weight * resize(style.image, shape) for style in region.styles]
    return sum(parts[1:], parts[0])
