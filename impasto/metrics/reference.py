"""Compare outputs of one size with a content and a style image, whose features are computed once for each scale."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.config import names_of
from impasto.devices import pick_device, torch_defaults
from impasto.images import MIN_SIDE, Source, fit, load_image, quantize, resize
from impasto.metrics.base import METRICS, PIXELS, MetricInputs, split_size
from impasto.samples import resolve
from impasto.types import Features, Image

SIZES = (512, 256, 128)
"""Longer sides in pixels to which the images are also reduced by default, where the output is larger."""
SIZED = ("content", "style_share")
"""Metrics that are also computed at `SIZES` by default."""
MIN_REDUCED_SIDE = 32
"""Smallest side in pixels of a reduced image: deep layers have too few positions below it."""

Shape = tuple[int, int]


def with_sizes(metrics: Sequence[str], longer_side: int) -> tuple[str, ...]:
    """Return metrics, with `content` and `style_share` also at each default size below a longer side in pixels.

    >>> with_sizes(["content", "ssim"], 512)
    ('content', 'content@256', 'content@128', 'ssim')
    """
    sizes = [size for size in SIZES if size < longer_side]
    return tuple(each for name in metrics for each in (name, *(f"{name}@{size}" for size in sizes if name in SIZED)))


def compared_layers(
    backbone: type[Backbone], layers: Sequence[str] = (), metrics: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Return the layers that each metric compares on a backbone.

    Args:
        backbone: class of the evaluation network.
        layers: layers that every metric compares in place of its own, unless it compares pixels.
        metrics: names of metrics, with or without a size; all metrics at the full size by default.

    Raises:
        ValueError: in one line, for an unknown layer or metric, or a size that is not a positive integer.
    """
    backbone.check_layers(layers)
    names = list(dict.fromkeys(metrics or METRICS))
    defaults = {name: METRICS[name]().layers(backbone) for name in names}
    return {name: tuple(layers) if layers and usual != PIXELS else usual for name, usual in defaults.items()}


@dataclass(frozen=True, eq=False)
class ReferenceScale:
    """Features of a content and a style image at one size, for the metrics of this size."""

    shape: Shape
    """Height and width of the content image and of the outputs at this size, in pixels."""
    layers: dict[str, tuple[str, ...]]
    """The layers that each metric compares."""
    content: Features
    style: Features
    encode: Callable[[Image], Features] = field(repr=False)
    """Function from an image `(1, 3, *shape)` to its features, of all compared layers."""

    def grade(self, image: Image) -> dict[str, float]:
        """Return the value of each metric for an image `(1, 3, H, W)`, which is resized to the shape."""
        return self.score(self.encode(resize(image, self.shape)))

    @torch.no_grad()
    def score(self, output: Features) -> dict[str, float]:
        """Return the value of each metric for the features of an output."""
        inputs = MetricInputs(self.content, self.style, output)
        return {name: METRICS[name]().score(inputs, layers) for name, layers in self.layers.items()}


@dataclass(frozen=True, eq=False)
class Reference:
    """Features of a content and a style image, computed once for several outputs of one size."""

    shape: Shape
    """Height and width of the outputs, in pixels."""
    metrics: tuple[str, ...]
    """Names of the metrics, in the order of the values."""
    scales: tuple[ReferenceScale, ...]
    """The reference at each size of the metrics."""
    style_image: Image = field(repr=False)
    """The style image at its original size."""

    @torch_defaults()
    def evaluate(self, output: Source) -> dict[str, float]:
        """Return the value of each metric for an output of this size, as `impasto.metrics.evaluate.evaluate` does.

        Raises:
            ValueError: in one line, for an output of another size or one that cannot be read.
        """
        image = quantize(open_image("output", output))
        if size_of(image) != self.shape:
            raise ValueError(f"the output is {_in_words(size_of(image))} pixels, not {_in_words(self.shape)}")
        return self._in_order(scale.grade(image) for scale in self.scales)

    @torch_defaults()
    def baselines(self) -> dict[str, dict[str, float]]:
        """Return the metrics of the content image and of the style image stretched to the size of the outputs."""
        return {
            "identity": self._in_order(scale.score(scale.content) for scale in self.scales),
            "style_copy": self._in_order(scale.grade(self.style_image) for scale in self.scales),
        }

    def _in_order(self, parts: Iterable[dict[str, float]]) -> dict[str, float]:
        values = {name: value for part in parts for name, value in part.items()}
        return {name: values[name] for name in self.metrics}


@torch_defaults()
def load_reference(
    content: Source,
    style: Source,
    shape: Shape,
    *,
    backbone: Backbone | str = "vgg19-caffe",
    layers: str | Sequence[str] = (),
    metrics: str | Sequence[str] = (),
    device: str | torch.device = "cpu",
    leave_out: bool = False,
) -> Reference:
    """Load the content and the style image with which several outputs of one size are compared.

    `shape` is the height and width of the outputs in pixels; with `leave_out`, metrics at a size that does not fit the
    images are left out. Other arguments and errors are those of `impasto.metrics.evaluate.evaluate`.

    Returns:
        A reference, whose values are those of `evaluate`.
    """
    layers, metrics, longer_side = names_of(layers), names_of(metrics), max(shape)
    network = BACKBONES[backbone] if isinstance(backbone, str) else type(backbone)
    layers_of = compared_layers(network, layers, metrics or with_sizes(tuple(METRICS), longer_side))
    torch_device = pick_device(device)
    images = _open_pair(content, style, shape)
    needs_network = any(each != PIXELS for each in layers_of.values())
    loaded = load_backbone(backbone, device=torch_device) if isinstance(backbone, str) and needs_network else backbone
    scales = []
    for size, group in _by_size(layers_of, longer_side).items():
        try:
            scales.append(_scale(images, shape, size, group, partial(_encode, loaded, torch_device)))
        except ValueError:  # too small: at the full size, or for a metric that was named, this is an error
            if size == longer_side or (metrics and not leave_out):
                raise
    kept = {name for scale in scales for name in scale.layers}
    return Reference(shape, tuple(name for name in layers_of if name in kept), tuple(scales), images[1])


def open_image(role: str, source: Source) -> Image:
    """Load an image that is compared.

    Args:
        role: what the image is called in an error message.
        source: a path, a PIL image or a tensor.

    Raises:
        ValueError: in one line, for an image that cannot be read or has a side below `MIN_SIDE`.
    """
    image = load_image(source)
    _check_size(role, size_of(image))
    return image


def size_of(image: Image) -> Shape:
    """Return the height and the width of an image in pixels."""
    return image.shape[-2], image.shape[-1]


def _open_pair(content: Source, style: Source, shape: Shape) -> tuple[Image, Image]:
    content_image, style_image = (
        open_image(role, resolve(source) if isinstance(source, str | os.PathLike) else source)
        for role, source in (("content", content), ("style", style))
    )
    _check_aspect_ratio(shape, content_image)
    _check_size("style, at the longer side of the output,", fit(size_of(style_image), max(shape)))
    return content_image, style_image


def _by_size(layers_of: dict[str, tuple[str, ...]], longer_side: int) -> dict[int, dict[str, tuple[str, ...]]]:
    """Group metrics by their size in pixels, so that each image is encoded once for each size."""
    groups: dict[int, dict[str, tuple[str, ...]]] = {}
    for name, layers in layers_of.items():
        groups.setdefault(split_size(name)[1] or longer_side, {})[name] = layers
    return groups


def _scale(
    images: tuple[Image, Image],
    shape: Shape,
    size: int,
    layers_of: dict[str, tuple[str, ...]],
    encode: Callable[[Sequence[str], Image], Features],
) -> ReferenceScale:
    """Return the reference at a size in pixels; raise `ValueError` if an image is too small at this size."""
    content, style = images
    reduced, style_shape = fit(shape, size), fit(size_of(style), size)
    if reduced != shape:
        _check_reduced(next(iter(layers_of)), size, shape, {"output": reduced, "style": style_shape})
    names = sorted({layer for each in layers_of.values() for layer in each} - set(PIXELS))
    encode_layers = partial(encode, names)
    content_features, style_features = (
        encode_layers(resize(content, reduced)),
        encode_layers(resize(style, style_shape)),
    )
    return ReferenceScale(reduced, layers_of, content_features, style_features, encode_layers)


def _check_reduced(metric: str, size: int, shape: Shape, reduced: dict[str, Shape]) -> None:
    """Check that a size is below that of the output and that the images are large enough at this size."""
    if size > max(shape):
        raise ValueError(f"metric {metric!r}: the output is only {_in_words(shape)} pixels; give a smaller size")
    for role, each in reduced.items():
        if min(each) < MIN_REDUCED_SIDE:
            text = f"at this size the {role} is {_in_words(each)} pixels"
            raise ValueError(f"metric {metric!r}: {text}; give a size with at least {MIN_REDUCED_SIDE} on each side")


@torch.no_grad()
def _encode(backbone: Backbone | str, device: torch.device, layers: Sequence[str], image: Image) -> Features:
    """Return the pixels, rounded to 8 bits, and the features of some layers, as float32 on the CPU."""
    pixels = quantize(image)
    if isinstance(backbone, str):  # all metrics compare pixels: no network was loaded
        return {"image": pixels}
    try:
        features = backbone.encode(pixels.to(device), layers)
    except RuntimeError as error:
        if "too small" not in str(error):
            raise
        text = f"a picture of {_in_words(size_of(image))} pixels is too small for the layers {', '.join(layers)}"
        raise ValueError(f"{text}; evaluate larger ones") from None
    return {layer: maps.float().cpu() for layer, maps in features.items()}


def _check_size(role: str, shape: Shape) -> None:
    if min(shape) < MIN_SIDE:
        raise ValueError(f"the {role} is {_in_words(shape)} pixels; a metric needs at least {MIN_SIDE} on each side")


def _check_aspect_ratio(shape: Shape, content: Image) -> None:
    """Warn the caller of a public function if an output of this shape is not a stylized version of the content."""
    expected = fit(size_of(content), max(shape))
    if max(abs(side - right) for side, right in zip(shape, expected, strict=True)) > 1:
        text = f"the output is {_in_words(shape)} pixels, but the content would be {_in_words(expected)}"
        warnings.warn(f"{text}: it is stretched to fit; is this the content that was stylized?", stacklevel=7)


def _in_words(height_width: Shape) -> str:
    return f"{height_width[1]}x{height_width[0]}"
