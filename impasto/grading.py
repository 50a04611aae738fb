"""Grades a painting, as it is saved, by every metric; beside it two pictures that nobody would call a painting."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.devices import pick_device
from impasto.images import MIN_SIDE, Source, fit, load_image, quantise, resize
from impasto.metrics import METRICS, PIXELS, Trio
from impasto.samples import resolve
from impasto.types import Features, Image

SANITY = ("identity", "style_copy")


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
    return _grade(content, style, output, backbone, layers, metrics, device, also=())["output"]


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
    return _grade(content, style, output, backbone, layers, metrics, device, also=SANITY)


def graded_layers(
    backbone: type[Backbone], layers: Sequence[str] = (), metrics: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """The layers that each metric compares on a network; arguments and errors as for `grade`."""
    backbone.check_layers(layers)
    names = list(dict.fromkeys(metrics or METRICS))
    own = {name: METRICS[name]().layers(backbone) for name in names}
    return {name: tuple(layers) if layers and usual != PIXELS else usual for name, usual in own.items()}


@torch.no_grad()
def _grade(
    content: Source,
    style: Source,
    output: Source,
    backbone: Backbone | str,
    layers: Sequence[str],
    metrics: Sequence[str],
    device: str,
    also: Sequence[str],
) -> dict[str, dict[str, float]]:
    network = BACKBONES[backbone] if isinstance(backbone, str) else type(backbone)
    chosen = graded_layers(network, layers, metrics)
    where = pick_device(device)
    pictures = _pictures(content, style, output, stretched="style_copy" in also)
    seen: dict[str, Features] = {role: {"image": image} for role, image in pictures.items()}
    if compared := sorted({layer for names in chosen.values() for layer in names} - set(PIXELS)):
        loaded = load_backbone(backbone, device=where) if isinstance(backbone, str) else backbone
        seen = {role: _seen(image, loaded, compared, where) for role, image in pictures.items()}
    graded = {"output": seen["output"], "identity": seen["content"], "style_copy": seen.get("style_copy", {})}
    return {
        role: {
            name: METRICS[name]().score(Trio(seen["content"], seen["style"], graded[role]), chosen[name])
            for name in chosen
        }
        for role in ("output", *also)
    }


def _pictures(content: Source, style: Source, output: Source, *, stretched: bool) -> dict[str, Image]:
    """The pictures as they are compared: at the output's size, in levels of 1/255."""
    painting = _open("output", output)
    photograph, original = (
        _open(role, resolve(source) if isinstance(source, str | Path) else source)
        for role, source in (("content", content), ("style", style))
    )
    shape = _size(painting)
    expected = fit(_size(photograph), max(shape))
    if max(abs(side - right) for side, right in zip(shape, expected, strict=True)) > 1:
        text = f"the output is {_in_words(shape)} pixels, but the content would be {_in_words(expected)}"
        warnings.warn(f"{text}: it is stretched to fit; is this the content that was painted?", stacklevel=5)
    scaled = resize(original, fit(_size(original), max(shape)))
    _check_size("style, at the longer side of the output,", scaled)
    pictures = {"content": resize(photograph, shape), "style": scaled, "output": painting}
    if stretched:
        pictures["style_copy"] = resize(original, shape)
    return {role: quantise(image) for role, image in pictures.items()}


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
