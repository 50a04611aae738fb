"""The door: every painting, from the command line, a page or Python, goes through `stylize`."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from impasto.backbones import BACKBONES
from impasto.colour import before, recoloured
from impasto.config import PaintingConfig, check_settings, settings_of
from impasto.devices import PRECISION_NAMES, peak_memory_mib, pick_device, pick_dtype
from impasto.images import MAX_PIXELS, MIN_SIDE, Picture, Source, open_picture, quantise, resize
from impasto.methods import METHODS
from impasto.optimize import DivergedError
from impasto.regions import check_masks, divide
from impasto.result import Input, Result, Stopped
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.scales import STARTS, PixelConfig, final_shape
from impasto.subject import Subject, plain
from impasto.types import Image, Point, Step
from impasto.weights import find, sha256_of

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
    part = METHODS[method]
    preset = part.paper if settings.get("preset") == "paper" else {}
    config: PaintingConfig = check_settings(part.Config, method, preset | settings)
    painter = part(config)
    device = pick_device(config.device)
    many = style if isinstance(style, Sequence) and not isinstance(style, str) else [style]
    mix = _mix(config.style_mix, len(many))
    check_masks(config, len(many))
    photograph, first = _open("content", content, max_pixels)
    styles, others = zip(*(_open("style", each, max_pixels) for each in many), strict=True)
    torch.manual_seed(config.seed)
    given, pictures = before(config.colour, photograph.image, [each.image for each in styles])
    shape = final_shape(config, photograph.image)
    subject, masks = _subject(config, given, pictures, mix, shape, max_pixels)
    steps = painter.paint(_started(config, subject))
    best, curve, stopped = _watch(recoloured(config.colour, steps, photograph.image), on_step)
    image = resize(best.image(), shape)  # only where it was stopped at a coarser size
    return Result(
        image=image,
        alpha=None if photograph.alpha is None else resize(photograph.alpha, shape),
        method=method,
        settings=settings_of(config),
        losses=best.losses_of(quantise(image) if best.size == shape else best.image()),
        curve=tuple(curve),
        best=best.index,
        stopped=stopped,
        seconds=curve[-1].seconds,
        device=str(device),
        precision=PRECISION_NAMES[pick_dtype(config.precision, device)],
        peak_memory_mib=peak_memory_mib(device),
        inputs=(first, *others, *masks, *_start_input(config, max_pixels)),
        versions={"impasto": version("impasto"), "torch": torch.__version__, "python": platform.python_version()},
        **_weights_facts(config, part.bundled),
    )


def _open(role: Any, source: Source, max_pixels: int) -> tuple[Picture, Input]:
    """A picture and what the record says of it."""
    path = None
    if isinstance(source, str | Path):
        is_sample = str(source) in {*STYLES, *CONTENTS} and not Path(source).is_file()
        file = resolve(source)
        path = str(source) if is_sample else str(file.absolute())
        source = file
    picture = open_picture(source, max_pixels=max_pixels)
    height, width = picture.image.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"{role} {picture.name!r} is {width}x{height} pixels; a picture needs at least {MIN_SIDE} on each side"
        )
    return picture, Input(role, path, picture.name, picture.sha256)


def _subject(
    config: PaintingConfig,
    content: Image,
    styles: Sequence[Image],
    mix: Sequence[float],
    shape: tuple[int, int],
    max_pixels: int,
) -> tuple[Subject, list[Input]]:
    """What is painted after what, and the files that say so."""
    opened = [
        _open_mask(role, file, max_pixels)
        for role, files in (("mask", config.mask), ("style_mask", config.style_mask))
        for file in files
    ]
    if not opened:
        return plain(content, styles, mix), []
    pictures, inputs = map(list, zip(*opened, strict=True))
    count = len(config.mask)
    return divide(config, content, styles, mix, pictures[:count], pictures[count:], shape), inputs


def _open_mask(role: Any, file: str, max_pixels: int) -> tuple[Picture, Input]:
    try:
        mask = open_picture(file, max_pixels=max_pixels)
    except ValueError as error:
        raise ValueError(f"{role}: {error}") from None
    return mask, Input(role, str(Path(file).absolute()), mask.name, mask.sha256)


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


def _watch(steps: Iterator[Step], on_step: OnStep | None) -> tuple[Step, list[Point], Stopped]:
    """Runs a painting to its end; returns the best step of the last stage reached, and why it ended."""
    best: Step | None = None
    curve: list[Point] = []
    stopped: Stopped = "converged"
    try:
        for step in steps:
            curve.append(Point(step.index, step.evaluations, step.seconds, step.size, step.losses))
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


def _started(config: PaintingConfig, subject: Subject) -> Subject:
    """The subject, with the picture that the painting starts from where another method is to paint it."""
    start = str(getattr(config, "start", ""))
    if start not in METHODS:
        return subject
    first = METHODS[start]
    if issubclass(first.Config, PixelConfig):
        fast = ", ".join(name for name in METHODS if not issubclass(METHODS[name].Config, PixelConfig))
        raise ValueError(f"start: {start} optimises a picture itself; start from a method of one pass: {fast}")
    shared = {name: getattr(config, name) for name in PaintingConfig.__dataclass_fields__}
    settings = {**shared, "size": max(final_shape(config, subject.content)), "strength": None, "preset": "impasto"}
    *_, step = first(check_settings(first.Config, start, settings)).paint(subject)
    return replace(subject, start=step.image())


def _start_input(config: PaintingConfig, max_pixels: int) -> list[Input]:
    start = getattr(config, "start", "content")
    return [] if start in STARTS or start in METHODS else [_open("start", start, max_pixels)[1]]


def _weights_facts(config: PaintingConfig, own: Path | None) -> dict[str, Any]:
    """Which weights painted or judged the picture, for the record."""
    given: str | None = getattr(config, "weights", None)
    if own is not None or given is not None:
        file = own if given is None else Path(given)
        assert file is not None
        return {"weights": {"name": file.name, "sha256": sha256_of(file)}}
    name = getattr(config, "backbone", None)
    if name is None:
        return {"weights": {}}
    network = BACKBONES[name]
    file = network.bundled if network.weights is None else find(network.weights)
    weights = {} if file is None else {"name": file.name, "sha256": sha256_of(file)}
    return {"weights": weights, "note": network.note}
