"""Compute the style weight of a strength: the same strength balances style and content for every loss and network."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.backbones import Backbone
from impasto.images import resize
from impasto.objectives.objective import Objective, Term
from impasto.optim.descent import evaluate
from impasto.optim.lbfgs import TINY
from impasto.regions.subject import Region, Subject
from impasto.types import Image

BALANCE = 11.0
"""Ratio of the gradients at strength 50: that of Gatys' objective with weight 100 (VGG-19, 512 pixels, six pairs)."""
DECADE = 25.0
"""Points of strength that multiply the style weight by ten."""


def balanced_style_weight(
    backbone: Backbone, subject: Subject, content: Sequence[Term], style: Sequence[Term]
) -> float:
    """Return the factor on the style terms that balances them with the content terms.

    The factor is a ratio of gradient norms at one image between content and style. So it depends neither on the scale
    of the loss, the network or the size, nor on the start of the optimization.

    Args:
        backbone: loss network.
        subject: content and styles at the size of the image that is optimized.
        content: content terms, weighted.
        style: style terms, with their weights at a factor of 1.
    """
    between = blend(subject)
    norms = [evaluate(Objective(backbone, terms), between)[1].norm().item() for terms in (content, style)]
    balanced: float = BALANCE * norms[0] / max(norms[1], TINY)
    return balanced


def strength_factor(strength: float) -> float:
    """Return the factor on the balanced style weight for a strength of 0 to 100; it is 1 at 50."""
    return float(10 ** ((strength - 50) / DECADE))


def blend(subject: Subject) -> Image:
    """Return the mean of the content image and of its styles, each stretched over its region."""
    shape = (subject.content.shape[-2], subject.content.shape[-1])
    image = subject.content
    for region in subject.regions:
        cover = 1.0 if region.support is None else region.support
        image = image + cover * (_mixture(region, shape) - subject.content) / 2
    return image.clamp(0, 1)


def _mixture(region: Region, shape: tuple[int, int]) -> Image:
    parts = [style.weight * resize(style.image, shape) for style in region.styles]
    return sum(parts[1:], parts[0])
