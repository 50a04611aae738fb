"""Grades a painting, as it is saved, by every metric; beside it two pictures that nobody would call a painting."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.devices import pick_device
from impasto.images import MIN_SIDE, Source, fit, load_image, quantize, resize
from impasto.metrics.base import METRICS, PIXELS, Trio
from impasto.samples import resolve
from impasto.types import Features, Image


def grade(
    content: Source,
    style: Source,
    output: Source,
    *,
    backbone: Backbone | str = "vgg19-caffe",
    layers: Sequence[str] = (),
    metrics: Sequence[str] = (),
    device: str = "cpu",
) -> dict[str, float]:
    """What each metric says of a painting, rounded to 8 bits a channel as a file would hold it.

    It is graded at its own size: the content is resized to it, the style to its longer side. Both are rounded too, so
    that a picture and itself are the same to the bit.

    Args:
        content: the photograph: a path, a sample's name, a PIL picture, or a tensor `(3, H, W)` or `(1, 3, H, W)` of
            sRGB values in [0, 1].
        style: the same.
        output: the painting, likewise, but no sample.
        backbone: the network whose features are compared: a name, or one that is loaded already, on `device`.
        layers: compared by every metric in place of its own, unless it looks at pixels.
        metrics: names of those wanted; all of them unless given.
        device: where the network runs; the comparisons run on the CPU.

    Returns:
        A number for each metric; NaN where it has no meaning for these pictures.

    Raises:
        ValueError: in one line, for anything that the caller can mend.

    >>> grade("woodcut", "mosaic", resolve("woodcut"), backbone="tiny", metrics=["content", "ssim"])
    {'content': 0.0, 'ssim': 1.0}
    """
    return _grade(content, style, output, backbone, layers, metrics, device, sanity=False)["output"]


def grade_with_sanity(
    content: Source,
    style: Source,
    output: Source,
    *,
    backbone: Backbone | str = "vgg19-caffe",
    layers: Sequence[str] = (),
    metrics: Sequence[str] = (),
    device: str = "cpu",
) -> dict[str, dict[str, float]]:
    """As `grade`, for `"output"`, `"identity"` (the content) and `"style_copy"` (the style, stretched to the size).

    A metric that ranks one of the last two first is not to be trusted alone.
    """
    return _grade(content, style, output, backbone, layers, metrics, device, sanity=True)


def graded_layers(
    backbone: type[Backbone], layers: Sequence[str] = (), metrics: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """The layers that each metric compares on a network; arguments and errors as for `grade`."""
    backbone.check_layers(layers)
    names = list(dict.fromkeys(metrics or METRICS))
    own = {name: METRICS[name]().layers(backbone) for name in names}
    return {name: tuple(layers) if layers and usual != PIXELS else usual for name, usual in own.items()}


@dataclass(frozen=True)
class Reference:
    """What the paintings of one pair and one size are compared with, looked at once."""

    shape: tuple[int, int]
    """Height and width of the paintings, in pixels."""
    chosen: dict[str, tuple[str, ...]]
    """The layers that each metric compares."""
    content: Features
    style: Features
    original: Image = field(repr=False)
    """The style at its own size."""
    look: Callable[[Image], Features] = field(repr=False)
    """What the network sees in a picture `(1, 3, *shape)`."""

    def scores(self, output: Source) -> dict[str, float]:
        """As `grade`, for a painting of this size."""
        painting = _open("output", output)
        if _size(painting) != self.shape:
            raise ValueError(f"the output is {_in_words(_size(painting))} pixels, not {_in_words(self.shape)}")
        return self._scores(self.look(painting))

    def sanity(self) -> dict[str, dict[str, float]]:
        """The same for the content, and for the style stretched to the size, as if they were the painting."""
        stretched = self.look(resize(self.original, self.shape))
        return {"identity": self._scores(self.content), "style_copy": self._scores(stretched)}

    def _scores(self, seen: Features) -> dict[str, float]:
        trio = Trio(self.content, self.style, seen)
        with torch.no_grad():
            return {name: METRICS[name]().score(trio, layers) for name, layers in self.chosen.items()}


def reference(
    content: Source,
    style: Source,
    shape: tuple[int, int],
    *,
    backbone: Backbone | str = "vgg19-caffe",
    layers: Sequence[str] = (),
    metrics: Sequence[str] = (),
    device: str = "cpu",
) -> Reference:
    """What many paintings of one size `shape`, height and width in pixels, are compared with.

    Arguments and errors are those of `grade`, and so are the scores.
    """
    network = BACKBONES[backbone] if isinstance(backbone, str) else type(backbone)
    chosen = graded_layers(network, layers, metrics)
    where = pick_device(device)
    photograph, original = (
        _open(role, resolve(source) if isinstance(source, str | Path) else source)
        for role, source in (("content", content), ("style", style))
    )
    expected = fit(_size(photograph), max(shape))
    if max(abs(side - right) for side, right in zip(shape, expected, strict=True)) > 1:
        text = f"the output is {_in_words(shape)} pixels, but the content would be {_in_words(expected)}"
        warnings.warn(f"{text}: it is stretched to fit; is this the content that was painted?", stacklevel=4)
    scaled = resize(original, fit(_size(original), max(shape)))
    _check_size("style, at the longer side of the output,", scaled)
    compared = sorted({layer for names in chosen.values() for layer in names} - set(PIXELS))
    loaded = load_backbone(backbone, device=where) if isinstance(backbone, str) and compared else backbone

    @torch.no_grad()
    def look(image: Image) -> Features:
        picture = quantize(image)
        return {"image": picture} if isinstance(loaded, str) else _seen(picture, loaded, compared, where)

    return Reference(shape, chosen, look(resize(photograph, shape)), look(scaled), original, look)


def _grade(
    content: Source,
    style: Source,
    output: Source,
    backbone: Backbone | str,
    layers: Sequence[str],
    metrics: Sequence[str],
    device: str,
    *,
    sanity: bool,
) -> dict[str, dict[str, float]]:
    painting = _open("output", output)
    how: dict[str, Any] = {"backbone": backbone, "layers": layers, "metrics": metrics, "device": device}
    compared = reference(content, style, _size(painting), **how)
    return {"output": compared.scores(painting)} | (compared.sanity() if sanity else {})


def _seen(image: Image, backbone: Backbone, layers: Sequence[str], device: torch.device) -> Features:
    """The layers of a picture, as float32 on the CPU."""
    try:
        features = backbone.encode(image.to(device), layers)
    except RuntimeError as error:
        if "too small" not in str(error):
            raise
        size = _in_words(_size(image))
        names = ", ".join(layers)
        raise ValueError(f"a picture of {size} pixels is too small for the layers {names}; grade larger ones") from None
    return {layer: maps.float().cpu() for layer, maps in features.items()}


def _open(role: str, source: Source) -> Image:
    image = load_image(source)
    _check_size(role, image)
    return image


def _check_size(role: str, image: Image) -> None:
    if min(_size(image)) < MIN_SIDE:
        size = _in_words(_size(image))
        raise ValueError(f"the {role} is {size} pixels; a metric needs at least {MIN_SIDE} on each side")


def _size(image: Image) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]


def _in_words(height_width: tuple[int, int]) -> str:
    return f"{height_width[1]}x{height_width[0]}"
