"""Compute the loss of outputs for one style image at several scales, so that large forms count as well as texture.

The style loss of the outputs at their own size, at a half and at a quarter is divided by the usual style loss of a
content image, which is measured once. The receptive field of the loss network then covers up to four times the width,
as the coarse images of an optimization do.

Every output is compared by itself, so crops should be large: no small part of a picture has the statistics of the whole
style. A mixture of the statistics of several small crops is near the style while each picture is far from it
(docs/measurements/feed-forward.md).

Reference: Johnson et al., ECCV 2016.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import Backbone
from impasto.features.moments import first_moment, second_moment
from impasto.types import Features, Image

SCALE_WEIGHTS = (0.5, 0.25, 0.25)
"""Weights of the style loss at the own size, at a half and at a quarter."""
MIN_DISTANCE = 0.02
"""Lower bound of the divisor of a layer, for styles that resemble the content images."""

Moments = dict[str, tuple[Tensor, Tensor]]
"""First moment `(1, C)` and second moment `(1, C, C)` of the features of a layer."""


class ScaledLoss:
    """Loss terms of outputs for one style image.

    Args:
        network: the loss network.
        style: the style image `(1, 3, H, W)`.
        contents: typical content images `(B, 3, S, S)`, whose style loss is the unit.
        content_weight: weight of the content loss, relative to a style share of 1.
    """

    def __init__(self, network: Backbone, style: Image, contents: Image, content_weight: float) -> None:
        self._network, self._content_weight = network, content_weight
        scales = range(len(SCALE_WEIGHTS))
        self._targets = [self._moments_of_image(reduced(style, k)) for k in scales]
        self._units = [self._usual_distances(reduced(contents, k), k) for k in scales]

    def __call__(self, outputs: Image, pieces: Image, content_pieces: Image) -> dict[str, Tensor]:
        """Return the weighted terms of outputs for their content images.

        Args:
            outputs: the outputs `(B, 3, S, S)`, which are compared at a half and at a quarter of their size.
            pieces: pieces of the outputs `(B, 3, P, P)`, or all of them, which are compared at the own size: texture
                needs fewer pixels than large forms.
            content_pieces: the same pieces of the content images.

        Returns:
            `content` at the own size; and means over the scales of `style`, the style share, of `layers`, its mean with
            equal weights of the layers, and of `moments`, the same for channel means and standard deviations.
        """
        network = self._network
        with torch.no_grad():
            before = network.encode(content_pieces, network.content_layers)
        after = network.encode(pieces, (*network.style_layers, *network.content_layers))
        content = [(after[layer].float() - before[layer].float()).square().mean() for layer in network.content_layers]
        terms = [self._style_terms(after, 0)]
        for k in range(1, len(SCALE_WEIGHTS)):
            terms.append(self._style_terms(network.encode(reduced(outputs, k), network.style_layers), k))
        weights = terms[0].new_tensor(SCALE_WEIGHTS)
        style, layers, moments = (weights @ torch.stack(terms)).unbind()
        mean = torch.stack(content).mean()
        return {"content": self._content_weight * mean, "style": style, "layers": layers, "moments": moments}

    def _style_terms(self, features: Features, scale: int) -> Tensor:
        """Return the three style terms of features at a scale, `(3,)`."""
        grams, moments = self._distances(self._moments(features), scale)
        gram_units, moment_units = self._units[scale]
        shares = (grams / gram_units.clamp_min(MIN_DISTANCE)).mean()
        others = (moments / moment_units.clamp_min(MIN_DISTANCE)).mean()
        return torch.stack([grams.sum() / gram_units.sum().clamp_min(MIN_DISTANCE), shares, others])

    def _distances(self, moments: Moments, scale: int) -> tuple[Tensor, Tensor]:
        """Return the distance of the Gram matrices and of the moments of each layer, `(L,)`."""
        grams, others = [], []
        for layer, (mean, second) in self._targets[scale].items():
            own_mean, own_second = moments[layer]
            grams.append((own_second - second).square().mean() / 4)
            stds = _std(own_mean, own_second) - _std(mean, second)
            others.append((own_mean - mean).square().mean() + stds.square().mean())
        return torch.stack(grams), torch.stack(others)

    @torch.no_grad()
    def _usual_distances(self, contents: Image, scale: int) -> tuple[Tensor, Tensor]:
        """Return the median over content images of `_distances`."""
        distances = [self._distances(self._moments_of_image(each[None]), scale) for each in contents]
        grams, others = (torch.stack(each).median(0).values for each in zip(*distances, strict=True))
        return grams, others

    @torch.no_grad()
    def _moments_of_image(self, image: Image) -> Moments:
        return self._moments(self._network.encode(image, self._network.style_layers))

    def _moments(self, features: Features) -> Moments:
        """Return the moments of each style layer, means over the batch."""
        layers = self._network.style_layers
        both = {name: (first_moment(features[name]), second_moment(features[name])) for name in layers}
        return {
            name: (first.mean(0, keepdim=True), second.mean(0, keepdim=True)) for name, (first, second) in both.items()
        }


def reduced(image: Image, halvings: int) -> Image:
    """Return an image whose size is halved a number of times, by averages of pixels."""
    return F.avg_pool2d(image, 2**halvings) if halvings else image


def _std(mean: Tensor, second: Tensor) -> Tensor:
    """Return the standard deviations `(B, C)` for first moments `(B, C)` and second moments `(B, C, C)`."""
    return (second.diagonal(dim1=1, dim2=2) - mean.square()).clamp_min(0).add(1e-4).sqrt()
