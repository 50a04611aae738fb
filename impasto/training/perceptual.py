"""Compute the training loss of the feed-forward networks: the loss of `gatys`, relative to the content image.

The style loss of an output is divided by that of its content image (a style share, as the metric of that name).
Without this, the few pairs with the largest differences, which are hundreds of times larger, would dominate.

Reference: Johnson et al., ECCV 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.features.moments import first_moment, second_moment
from impasto.training.augmentation import random_zoom
from impasto.training.datasets import Batch
from impasto.types import Features, Image

MIN_DISTANCE = 0.5
"""Lower bound of a divisor, a third of a typical distance, for styles that resemble the content image."""
MIN_LAYER_DISTANCE = 0.1
"""Lower bound of a divisor for the style loss of one layer."""
IDENTITY_FRACTION = 1 / 16
"""Fraction of the samples whose style image is the content image, which the network should then reproduce."""

StyleMoments = dict[str, tuple[Tensor, Tensor]]
"""First moment `(B, C)` and second moment `(B, C, C)` of the features of a style image, for every style layer."""


def sample_pairs(batch: Batch) -> tuple[Image, Image, Tensor]:
    """Return augmented pairs of a content image and a style image.

    Args:
        batch: photographs, paintings and seeds.

    Returns:
        Content images and style images, `(B, 3, S, S)` each, and a mask `(B, 1, 1, 1)` that is 1 where the style image
        is the content image.
    """
    generators = [torch.Generator().manual_seed(int(seed)) for seed in batch["seed"]]
    contents = torch.stack([random_zoom(each, g) for each, g in zip(batch["photo"], generators, strict=True)])
    styles = torch.stack([random_zoom(each, g) for each, g in zip(batch["painting"], generators, strict=True)])
    same = [torch.rand((), generator=generator).item() < IDENTITY_FRACTION for generator in generators]
    is_same = torch.tensor(same, dtype=contents.dtype, device=contents.device)[:, None, None, None]
    return contents, torch.lerp(styles, contents, is_same), is_same


@dataclass(frozen=True)
class PerceptualLoss:
    """Loss terms of a batch of outputs, each a 0-d tensor, averaged over the batch."""

    loss_network: Backbone
    content_weight: float
    """Weight of the content loss, relative to a style share of 1."""
    layers_weight: float
    """Weight of the mean style share of the layers; in the main style term, layers with large losses dominate."""
    moments_weight: float
    """Weight of the relative distance of the means and standard deviations of the channels, averaged over layers."""

    def __call__(self, contents: Image, styles: Image, outputs: Image) -> dict[str, Tensor]:
        """Return the loss terms of outputs; the gradient is that of the outputs.

        Args:
            contents: content images `(B, 3, S, S)`.
            styles: style images `(B, 3, S, S)`.
            outputs: stylized images `(B, 3, S, S)`.
        """
        return self.compare(self.style_moments(styles), contents, outputs)

    @torch.no_grad()
    def style_moments(self, styles: Image) -> StyleMoments:
        """Return the target moments of style images; one image `(1, 3, H, W)` of any size may serve a batch."""
        features = self.loss_network.encode(styles, self.loss_network.style_layers)
        return {layer: (first_moment(each), second_moment(each)) for layer, each in features.items()}

    def compare(self, targets: StyleMoments, contents: Image, outputs: Image) -> dict[str, Tensor]:
        """Return the loss terms of outputs for known moments of the style images.

        Args:
            targets: moments from `style_moments`.
            contents: content images `(B, 3, S, S)`.
            outputs: stylized images `(B, 3, S, S)`.
        """
        network = self.loss_network
        with torch.no_grad():
            before = network.encode(contents, (*network.style_layers, *network.content_layers))
        after = network.encode(outputs, (*network.style_layers, *network.content_layers))
        content = [(after[layer].float() - before[layer].float()).square().mean() for layer in network.content_layers]
        grams, starts, moments = self._distances(before, targets, after)
        return {
            "content": self.content_weight * torch.stack(content).mean(),
            "style": (grams.mean(0) / starts.mean(0).clamp_min(MIN_DISTANCE)).mean(),
            "layers": self.layers_weight * (grams / starts.clamp_min(MIN_LAYER_DISTANCE)).mean(),
            "moments": self.moments_weight * moments.mean(),
        }

    def _distances(self, before: Features, targets: StyleMoments, after: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Return distances to the style, `(L, B)` for L style layers.

        Returns:
            The style loss of the outputs, that of the content images, and the distance of the moments of the outputs
            relative to that of the content images.
        """
        grams, starts, moments = [], [], []
        for layer in self.loss_network.style_layers:
            with torch.no_grad():
                target_mean, target = targets[layer]
                start_mean, start = first_moment(before[layer]), second_moment(before[layer])
            now, mean = second_moment(after[layer]), first_moment(after[layer])
            grams.append((now - target).square().mean((1, 2)) / 4)
            starts.append((start - target).square().mean((1, 2)) / 4)
            here = _moments_distance(mean, now, target_mean, target)
            there = _moments_distance(start_mean, start, target_mean, target)
            moments.append(here / there.clamp_min(MIN_DISTANCE))
        return torch.stack(grams), torch.stack(starts), torch.stack(moments)


def _moments_distance(mean: Tensor, second: Tensor, other_mean: Tensor, other_second: Tensor) -> Tensor:
    """Return the mean squared difference of channel means and standard deviations, `(B,)`.

    Args:
        mean: first moments `(B, C)`.
        second: second moments `(B, C, C)`.
        other_mean: first moments of the other images.
        other_second: second moments of the other images.
    """
    std, other_std = (
        (each.diagonal(dim1=1, dim2=2) - its.square()).clamp_min(0).add(1e-4).sqrt()
        for its, each in ((mean, second), (other_mean, other_second))
    )
    return (mean - other_mean).square().mean(1) + (std - other_std).square().mean(1)
