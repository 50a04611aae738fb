"""What a painting network is trained on: the loss of `gatys` at its output (Johnson et al., ECCV 2016), as a share.

A painting's style loss is divided by that of the photograph it was made from: else the pairs that differ most, by
hundreds of times, would be all that is learned. What is measured, a style share, is then what is trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.features.moments import first_moment, second_moment
from impasto.training.augmentation import zoomed
from impasto.training.datasets import Batch
from impasto.types import Features, Image

FLOOR = 0.5
"""Least distance to divide by, a third of an ordinary one: a style like the photograph has little to teach."""
FLOOR_OF_LAYER = 0.1
"""The same for one layer's style loss."""
AS_IT_IS = 1 / 16
"""Share of the samples whose style is the photograph itself: it should come out as it went in."""

Look = dict[str, tuple[Tensor, Tensor]]
"""First and second moment of a style's features, `(B, C)` and `(B, C, C)`, of every style layer."""


def pairs(batch: Batch) -> tuple[Image, Image, Tensor]:
    """Photographs, styles, `(B, 3, S, S)` each, and which styles are their photographs (0, 1) `(B, 1, 1, 1)`."""
    chances = [torch.Generator().manual_seed(int(seed)) for seed in batch["seed"]]
    photos = torch.stack([zoomed(each, chance) for each, chance in zip(batch["photo"], chances, strict=True)])
    styles = torch.stack([zoomed(each, chance) for each, chance in zip(batch["painting"], chances, strict=True)])
    same = [torch.rand((), generator=chance).item() < AS_IT_IS for chance in chances]
    is_same = torch.tensor(same, dtype=photos.dtype, device=photos.device)[:, None, None, None]
    return photos, torch.lerp(styles, photos, is_same), is_same


@dataclass(frozen=True)
class PerceptualLoss:
    """Losses of a batch of paintings, each a 0-d tensor, a mean over the batch."""

    eye: Backbone
    content_weight: float
    """Of the loss of the content layers, against a style share of 1."""
    layers_weight: float
    """Of the style share again, but as a mean of each layer's: else the layers count by how much they differ."""
    moments_weight: float
    """Of what is left of the distance in mean and deviation of every channel, a share likewise, each layer alike."""

    def __call__(self, photos: Image, styles: Image, painted: Image) -> dict[str, Tensor]:
        """For pictures `(B, 3, S, S)`; the gradient is that of `painted`."""
        return self.towards(self.look(styles), photos, painted)

    @torch.no_grad()
    def look(self, styles: Image) -> Look:
        """What is wanted of paintings after these styles; one style `(1, 3, H, W)`, of any size, may serve a batch."""
        features = self.eye.encode(styles, self.eye.style_layers)
        return {layer: (first_moment(each), second_moment(each)) for layer, each in features.items()}

    def towards(self, wanted: Look, photos: Image, painted: Image) -> dict[str, Tensor]:
        """As for pictures, where the styles have been looked at before."""
        eye = self.eye
        with torch.no_grad():
            before = eye.encode(photos, (*eye.style_layers, *eye.content_layers))
        after = eye.encode(painted, (*eye.style_layers, *eye.content_layers))
        content = [(after[layer].float() - before[layer].float()).square().mean() for layer in eye.content_layers]
        grams, starts, moments = self._distances(before, wanted, after)
        return {
            "content": self.content_weight * torch.stack(content).mean(),
            "style": (grams.mean(0) / starts.mean(0).clamp_min(FLOOR)).mean(),
            "layers": self.layers_weight * (grams / starts.clamp_min(FLOOR_OF_LAYER)).mean(),
            "moments": self.moments_weight * moments.mean(),
        }

    def _distances(self, before: Features, wanted: Look, after: Features) -> tuple[Tensor, Tensor, Tensor]:
        """For every style layer `(L, B)`: the style loss now and before, and the share of the moments' that is left."""
        grams, starts, moments = [], [], []
        for layer in self.eye.style_layers:
            with torch.no_grad():
                target_mean, target = wanted[layer]
                start_mean, start = first_moment(before[layer]), second_moment(before[layer])
            now, mean = second_moment(after[layer]), first_moment(after[layer])
            grams.append((now - target).square().mean((1, 2)) / 4)
            starts.append((start - target).square().mean((1, 2)) / 4)
            here = _moments_apart(mean, now, target_mean, target)
            there = _moments_apart(start_mean, start, target_mean, target)
            moments.append(here / there.clamp_min(FLOOR))
        return torch.stack(grams), torch.stack(starts), torch.stack(moments)


def _moments_apart(mean: Tensor, second: Tensor, other_mean: Tensor, other_second: Tensor) -> Tensor:
    """Mean squared difference of the channels' means and deviations, `(B,)`, of first and second moments."""
    here, there = (
        (each.diagonal(dim1=1, dim2=2) - its.square()).clamp_min(0).add(1e-4).sqrt()
        for its, each in ((mean, second), (other_mean, other_second))
    )
    return (mean - other_mean).square().mean(1) + (here - there).square().mean(1)
