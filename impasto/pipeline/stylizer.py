"""The door: every painting, from the command line, a page or Python, goes through `stylize`."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from impasto.backbones import BACKBONES, Backbone
from impasto.color.transfer import prepare_colors, recolor_steps
from impasto.config import MethodConfig, check_settings, settings_of
from impasto.devices import PRECISION_NAMES, peak_memory_mib, pick_device, pick_dtype
from impasto.images import MAX_PIXELS, Source, quantize, resize
from impasto.methods import METHODS, Method
from impasto.optim.coarse_to_fine import PixelConfig, final_shape
from impasto.optim.descent import DivergedError
from impasto.pipeline.load_inputs import open_input, open_mask, start_inputs
from impasto.pipeline.result import Input, Result, Stopped
from impasto.regions.split import check_masks, split_regions
from impasto.regions.subject import Subject, single_region
from impasto.types import Image, Step
from impasto.weights import fetch, find, sha256_of

OnStep = Callable[[Step], object]
"""Called with every step; returning False stops the painting and keeps the best picture so far."""


def stylize(
    content: Source,
    style: Source | Sequence[Source],
    method: str = "gatys",
    *,
    on_step: OnStep | None = None,
    max_pixels: int = MAX_PIXELS,
    **settings: Any,
) -> Result:
    """Paints a photograph in the manner of one or several pictures.

    Args:
        content: the photograph: a path, a sample's name, a PIL picture, or a tensor `(3, H, W)` or `(1, 3, H, W)` of
            sRGB values in [0, 1].
        style: the same, or a sequence of them, blended by the setting `style_mix`.
        method: name of the method; `impasto methods` lists them.
        on_step: called with every step; returning False stops the painting.
        max_pixels: pictures with more pixels are refused.
        settings: of the method's configuration.

    Returns:
        The picture with the lowest loss, and what is needed to paint it again.

    Raises:
        ValueError: in one line, for anything that the caller can mend.

    >>> import impasto
    >>> result = impasto.stylize("woodcut", "mosaic", backbone="tiny", size=64, steps=3)
    >>> tuple(result.image.shape), result.steps, result.stopped
    ((1, 3, 51, 64), 3, 'steps')
    """
    return Stylizer(style, method, max_pixels=max_pixels, **settings).stylize(content, on_step=on_step)


class Stylizer:
    """A method with its settings and its styles, for many photographs: networks and styles are read once.

    Takes and refuses what `stylize` does, which is a painter of one picture.

    >>> stylizer = Stylizer("mosaic", backbone="tiny", size=48, steps=2)
    >>> [stylizer.stylize(photograph).steps for photograph in ("woodcut", "brushstrokes")]
    [2, 2]
    """

    def __init__(
        self,
        style: Source | Sequence[Source],
        method: str = "gatys",
        *,
        max_pixels: int = MAX_PIXELS,
        **settings: Any,
    ) -> None:
        part = METHODS[method]
        preset = part.paper if settings.get("preset") == "paper" else {}
        self.method, self.max_pixels = method, max_pixels
        self.config: MethodConfig = check_settings(part.Config, method, preset | settings)
        self._way = part(self.config)
        self._first = first_method(self.config)
        self._device = pick_device(self.config.device)
        many = style if isinstance(style, Sequence) and not isinstance(style, str) else [style]
        self._mix = _mix(self.config.style_mix, len(many))
        check_masks(self.config, len(many))
        styles, entries = zip(*(open_input("style", each, max_pixels) for each in many), strict=True)
        self._styles = [each.image for each in styles]
        self.styles: tuple[Input, ...] = entries
        self.start = tuple(start_inputs(self.config, max_pixels))

    def stylize(self, content: Source, *, on_step: OnStep | None = None) -> Result:
        """Paints one photograph, as if it were the only one."""
        config = self.config
        photograph, entry = open_input("content", content, self.max_pixels)
        torch.manual_seed(config.seed)
        given, pictures = prepare_colors(config.color, photograph.image, self._styles)
        shape = final_shape(config, photograph.image)
        subject, masks = _subject(config, given, pictures, self._mix, shape, self.max_pixels)
        if self._first is not None:
            *_, begun = self._first.run(subject)
            subject = replace(subject, start=begun.image())
        steps = self._way.run(subject)
        best, curve, stopped = _watch(recolor_steps(config.color, steps, photograph.image), on_step)
        image = resize(best.image(), shape)  # only where it was stopped at a coarser size
        return Result(
            image=image,
            alpha=None if photograph.alpha is None else resize(photograph.alpha, shape),
            method=self.method,
            settings=settings_of(config),
            losses=best.losses_of(quantize(image) if best.size == shape else best.image()),
            curve=tuple(curve),
            best=best.index,
            stopped=stopped,
            seconds=curve[-1].seconds,
            device=str(self._device),
            precision=PRECISION_NAMES[pick_dtype(config.precision, self._device)],
            peak_memory_mib=peak_memory_mib(self._device),
            inputs=(entry, *self.styles, *masks, *self.start),
            weights=self.weights,
            versions={"impasto": version("impasto"), "torch": torch.__version__, "python": platform.python_version()},
            note=None if self._backbone is None else self._backbone.note,
        )

    @cached_property
    def weights(self) -> dict[str, str]:
        """Name and SHA-256 of the file that paints or judges, fetched if need be; empty where there is none."""
        network, given = self._backbone, getattr(self.config, "weights", None)
        file = METHODS[self.method].bundled if given is None else Path(given)
        if network is not None:
            file = network.bundled if network.weights is None else find(network.weights) or fetch(network.weights)
        return {} if file is None else {"name": file.name, "sha256": sha256_of(file)}

    @property
    def _backbone(self) -> type[Backbone] | None:
        name = getattr(self.config, "backbone", None)
        return None if name is None else BACKBONES[name]


def first_method(config: MethodConfig) -> Method | None:
    """The method that paints the picture to start from, if `start` names one; `ValueError` where it cannot."""
    name = str(getattr(config, "start", ""))
    if name not in METHODS:
        return None
    first = METHODS[name]
    if issubclass(first.Config, PixelConfig):
        fast = ", ".join(each for each in METHODS if not issubclass(METHODS[each].Config, PixelConfig))
        raise ValueError(f"start: {name} optimizes a picture itself; start from a method of one pass: {fast}")
    shared = {each: getattr(config, each) for each in MethodConfig.__dataclass_fields__}
    size = (getattr(config, "sizes", ()) or (config.size,))[-1]
    return first(check_settings(first.Config, name, {**shared, "size": size, "strength": None, "preset": "impasto"}))


def _subject(
    config: MethodConfig,
    content: Image,
    styles: Sequence[Image],
    mix: Sequence[float],
    shape: tuple[int, int],
    max_pixels: int,
) -> tuple[Subject, list[Input]]:
    """What is painted after what, and the files that say so."""
    opened = [
        open_mask(role, file, max_pixels)
        for role, files in (("mask", config.mask), ("style_mask", config.style_mask))
        for file in files
    ]
    if not opened:
        return single_region(content, styles, mix), []
    pictures, inputs = map(list, zip(*opened, strict=True))
    count = len(config.mask)
    return split_regions(config, content, styles, mix, pictures[:count], pictures[count:], shape), inputs


def _mix(weights: Sequence[float], count: int) -> list[float]:
    """The weight of each of `count` styles; they sum to 1."""
    if count == 0:
        raise ValueError("style: give at least one picture")
    if not weights:
        return [1 / count] * count
    if len(weights) != count:
        raise ValueError(f"style_mix: {len(weights)} weights, but {count} style picture(s); give one weight a picture")
    total = sum(weights)
    if not total > 0:
        raise ValueError("style_mix: the weights are all 0; give at least one above 0")
    return [weight / total for weight in weights]


def _watch(steps: Iterator[Step], on_step: OnStep | None) -> tuple[Step, list[Step], Stopped]:
    """Runs a painting to its end; returns the best step of the last stage reached, and why it ended."""
    best: Step | None = None
    curve: list[Step] = []
    stopped: Stopped = "converged"
    try:
        for step in steps:
            curve.append(step.without_image())
            if best is None or step.stage != best.stage or step.loss < best.loss:
                best = step
            stopped = "steps" if step.index == step.total else "converged"
            if on_step is not None and on_step(step) is False:
                stopped = "cancelled"
                break
    except DivergedError:
        stopped = "diverged"
        warnings.warn("the loss kept growing however small the step; this is the best picture before", stacklevel=3)
    assert best is not None
    return best, curve, stopped
