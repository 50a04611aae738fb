"""Keep the content image outside the regions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from impasto.images import resize
from impasto.regions.subject import Subject
from impasto.types import Image, Step


def keep_outside(steps: Iterator[Step], subject: Subject, content: Image) -> Iterator[Step]:
    """Return the steps of a run with the content image outside the regions of the subject.

    A method can change pixels outside a region, because the features of a pixel depend on its surroundings.

    Args:
        steps: steps of the method.
        subject: content and regions.
        content: content image in its own colors, `(1, 3, H, W)` of any size.
    """
    blended = functools.partial(_blend, content, cover_of(subject))
    return map(functools.partial(_with_blended_image, blended), steps)


def blend_outside(image: Image, subject: Subject, content: Image) -> Image:
    """Return an image `(1, 3, H, W)` with the content image outside the regions; arguments as for `keep_outside`."""
    return _blend(content, cover_of(subject), lambda: image)


def cover_of(subject: Subject) -> Tensor:
    """Return the sum of the masks of the regions, `(1, 1, H, W)`, at most 1."""
    masks = [region.mask for region in subject.regions if region.mask is not None]
    return functools.reduce(torch.add, masks).clamp(max=1)


def _with_blended_image(blended: Callable[[Callable[[], Image]], Image], step: Step) -> Step:
    return replace(step, image=functools.partial(blended, step.image))


def _blend(content: Image, cover: Tensor, image_of: Callable[[], Image]) -> Image:
    """Return an image with the content where the cover `(1, 1, h, w)` is 0."""
    image = image_of()
    shape = (image.shape[-2], image.shape[-1])
    return torch.lerp(resize(content, shape), image, resize(cover, shape))
