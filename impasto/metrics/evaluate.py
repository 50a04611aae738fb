"""Evaluate a stylized image by every metric, next to two baselines: the content image and the style image."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.devices import pick_device, torch_defaults
from impasto.images import MIN_SIDE, Source, fit, load_image, quantize, resize
from impasto.metrics.base import METRICS, PIXELS, MetricInputs
from impasto.samples import resolve
from impasto.types import Features, Image


def evaluate(
    content: Source,
    style: Source,
    output: Source,
    *,
    backbone: Backbone | str = "vgg19-caffe",
    layers: Sequence[str] = (),
    metrics: Sequence[str] = (),
    device: str = "cpu",
) -> dict[str, float]:
    """Return the value of each metric for a stylized image, rounded to 8 bits per channel as in a file.

    The output keeps its size; the content image is resized to it, the style image to its longer side. Both are rounded
    too, so that an image and itself are equal bit for bit.

    Args:
        content: the content image: a path, a sample's name, a PIL image, or a tensor `(3, H, W)` or `(1, 3, H, W)` of
            sRGB values in [0, 1].
        style: the style image, as `content`.
        output: the stylized image, as `content` except for the name of a sample.
        backbone: the evaluation network: a name, or a loaded backbone on `device`.
        layers: layers that every metric compares in place of its own, unless it compares pixels.
        metrics: names of the metrics to compute; all of them by default.
        device: device of the network; the comparisons run on the CPU.

    Returns:
        The value of each metric; NaN where it is undefined for these images.

    Raises:
        ValueError: in one line, for an argument that the caller can correct.

    >>> evaluate("woodcut", "mosaic", resolve("woodcut"), backbone="tiny", metrics=["content", "ssim"])
    {'content': 0.0, 'ssim': 1.0}
    """
    return _evaluate(content, style, output, backbone, layers, metrics, device, baselines=False)["output"]


def evaluate_with_baselines(
    content: Source,
    style: Source,
    output: Source,
    *,
    backbone: Backbone | str = "vgg19-caffe",
    layers: Sequence[str] = (),
    metrics: Sequence[str] = (),
    device: str = "cpu",
) -> dict[str, dict[str, float]]:
    """Evaluate a stylized image and the baselines; arguments and errors are those of `evaluate`.

    A metric that ranks one of the baselines first is not reliable alone.

    Returns:
        The metrics of `"output"`, `"identity"` (the content image) and `"style_copy"` (the style image, stretched to
        the size of the output).
    """
    return _evaluate(content, style, output, backbone, layers, metrics, device, baselines=True)


def compared_layers(
    backbone: type[Backbone], layers: Sequence[str] = (), metrics: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Return the layers that each metric compares on a backbone; arguments and errors are those of `evaluate`."""
    backbone.check_layers(layers)
    names = list(dict.fromkeys(metrics or METRICS))
    defaults = {name: METRICS[name]().layers(backbone) for name in names}
    return {name: tuple(layers) if layers and usual != PIXELS else usual for name, usual in defaults.items()}


@dataclass(frozen=True)
class Reference:
    """Features of a content and a style image, computed once for several outputs of one size."""

    shape: tuple[int, int]
    """Height and width of the outputs, in pixels."""
    layers: dict[str, tuple[str, ...]]
    """The layers that each metric compares."""
    content: Features
    style: Features
    style_image: Image = field(repr=False)
    """The style image at its original size."""
    encode: Callable[[Image], Features] = field(repr=False)
    """Function from an image `(1, 3, *shape)` to its features, of all compared layers."""

    @torch_defaults()
    def evaluate(self, output: Source) -> dict[str, float]:
        """Return the value of each metric for an output of this size, as `evaluate` does.

        Raises:
            ValueError: in one line, for an output of another size or one that cannot be read.
        """
        image = _open("output", output)
        if _size(image) != self.shape:
            raise ValueError(f"the output is {_in_words(_size(image))} pixels, not {_in_words(self.shape)}")
        return self._scores(self.encode(image))

    @torch_defaults()
    def baselines(self) -> dict[str, dict[str, float]]:
        """Return the metrics of the content image and of the style image stretched to the size of the outputs."""
        stretched = self.encode(resize(self.style_image, self.shape))
        return {"identity": self._scores(self.content), "style_copy": self._scores(stretched)}

    def _scores(self, output: Features) -> dict[str, float]:
        inputs = MetricInputs(self.content, self.style, output)
        with torch.no_grad():
            return {name: METRICS[name]().score(inputs, layers) for name, layers in self.layers.items()}


@torch_defaults()
def load_reference(
    content: Source,
    style: Source,
    shape: tuple[int, int],
    *,
    backbone: Backbone | str = "vgg19-caffe",
    layers: Sequence[str] = (),
    metrics: Sequence[str] = (),
    device: str = "cpu",
) -> Reference:
    """Load the content and the style image with which several outputs of one size are compared.

    `shape` is the height and width of the outputs in pixels; other arguments and errors are those of `evaluate`.

    Returns:
        A reference, whose values are those of `evaluate`.
    """
    network = BACKBONES[backbone] if isinstance(backbone, str) else type(backbone)
    layers_of = compared_layers(network, layers, metrics)
    torch_device = pick_device(device)
    content_image, style_image = (
        _open(role, resolve(source) if isinstance(source, str | Path) else source)
        for role, source in (("content", content), ("style", style))
    )
    _check_aspect_ratio(shape, content_image)
    scaled = resize(style_image, fit(_size(style_image), max(shape)))
    _check_size("style, at the longer side of the output,", scaled)
    names = sorted({layer for each in layers_of.values() for layer in each} - set(PIXELS))
    loaded = load_backbone(backbone, device=torch_device) if isinstance(backbone, str) and names else backbone

    @torch.no_grad()
    def encode(image: Image) -> Features:
        pixels = quantize(image)
        return {"image": pixels} if isinstance(loaded, str) else _features(pixels, loaded, names, torch_device)

    return Reference(shape, layers_of, encode(resize(content_image, shape)), encode(scaled), style_image, encode)


def _evaluate(
    content: Source,
    style: Source,
    output: Source,
    backbone: Backbone | str,
    layers: Sequence[str],
    metrics: Sequence[str],
    device: str,
    *,
    baselines: bool,
) -> dict[str, dict[str, float]]:
    image = _open("output", output)
    settings: dict[str, Any] = {"backbone": backbone, "layers": layers, "metrics": metrics, "device": device}
    reference = load_reference(content, style, _size(image), **settings)
    return {"output": reference.evaluate(image)} | (reference.baselines() if baselines else {})


def _features(image: Image, backbone: Backbone, layers: Sequence[str], device: torch.device) -> Features:
    """Return the features of some layers, as float32 on the CPU."""
    try:
        features = backbone.encode(image.to(device), layers)
    except RuntimeError as error:
        if "too small" not in str(error):
            raise
        size = _in_words(_size(image))
        names = ", ".join(layers)
        raise ValueError(
            f"a picture of {size} pixels is too small for the layers {names}; evaluate larger ones"
        ) from None
    return {layer: maps.float().cpu() for layer, maps in features.items()}


def _open(role: str, source: Source) -> Image:
    image = load_image(source)
    _check_size(role, image)
    return image


def _check_size(role: str, image: Image) -> None:
    if min(_size(image)) < MIN_SIDE:
        size = _in_words(_size(image))
        raise ValueError(f"the {role} is {size} pixels; a metric needs at least {MIN_SIDE} on each side")


def _check_aspect_ratio(shape: tuple[int, int], content: Image) -> None:
    """Warn the caller of a public function if an output of this shape is not a stylized version of the content."""
    expected = fit(_size(content), max(shape))
    if max(abs(side - right) for side, right in zip(shape, expected, strict=True)) > 1:
        text = f"the output is {_in_words(shape)} pixels, but the content would be {_in_words(expected)}"
        warnings.warn(f"{text}: it is stretched to fit; is this the content that was stylized?", stacklevel=6)


def _size(image: Image) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]


def _in_words(height_width: tuple[int, int]) -> str:
    return f"{height_width[1]}x{height_width[0]}"
