"""Evaluate a stylized image by every metric, next to two baselines: the content image and the style image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from impasto.backbones import Backbone
from impasto.images import Source
from impasto.metrics.reference import load_reference, open_image, size_of


def evaluate(
    content: Source,
    style: Source,
    output: Source,
    *,
    backbone: Backbone | str = "vgg19-caffe",
    layers: str | Sequence[str] = (),
    metrics: str | Sequence[str] = (),
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Return the value of each metric for a stylized image, rounded to 8 bits per channel as in a file.

    The output keeps its size; the content image is resized to it, the style image to its longer side. Both are rounded
    too, so that an image and itself are equal bit for bit.

    A metric at a size, such as `style_share@256`, reduces the rounded output to a longer side of 256 pixels, and the
    content and the style image accordingly: its value is that of `style_share` for the reduced output.

    Args:
        content: the content image: a path, a sample's name, a PIL image, or a tensor `(3, H, W)` or `(1, 3, H, W)` of
            sRGB values in [0, 1].
        style: the style image, as `content`.
        output: the stylized image, as `content` except for the name of a sample.
        backbone: the evaluation network: a name, or a loaded backbone on `device`.
        layers: layers that every metric compares in place of its own, unless it compares pixels; one name or several.
        metrics: names of metrics to compute, one or several, with a size or without. By default, all at the size of the
            output, and `content` and `style_share` also at those of 512, 256 and 128 pixels that are smaller.
        device: device of the network; the comparisons run on the CPU.

    Returns:
        The value of each metric; NaN where it is undefined for these images.

    Raises:
        ValueError: in one line, for an argument that the caller can correct.

    >>> from impasto.samples import resolve
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
    layers: str | Sequence[str] = (),
    metrics: str | Sequence[str] = (),
    device: str | torch.device = "cpu",
) -> dict[str, dict[str, float]]:
    """Evaluate a stylized image and the baselines; arguments and errors are those of `evaluate`.

    A metric that ranks one of the baselines first is not reliable alone.

    Returns:
        The metrics of `"output"`, `"identity"` (the content image) and `"style_copy"` (the style image, stretched to
        the size of the output).
    """
    return _evaluate(content, style, output, backbone, layers, metrics, device, baselines=True)


def _evaluate(
    content: Source,
    style: Source,
    output: Source,
    backbone: Backbone | str,
    layers: str | Sequence[str],
    metrics: str | Sequence[str],
    device: str | torch.device,
    *,
    baselines: bool,
) -> dict[str, dict[str, float]]:
    image = open_image("output", output)
    settings: dict[str, Any] = {"backbone": backbone, "layers": layers, "metrics": metrics, "device": device}
    reference = load_reference(content, style, size_of(image), **settings)
    return {"output": reference.evaluate(image)} | (reference.baselines() if baselines else {})
