"""Compare ways to erode a mask: the style that crosses a border, and the area that is not stylized.

`python benchmarks/erosion.py`
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import machine, picture, table
from masks import BANDS, NEAR, border_of, distance_to, half, style_loss, subject_of
from torch import Tensor

from impasto import stylize
from impasto.backbones import Backbone, load_backbone
from impasto.images import load_image, save_image
from impasto.methods.gatys import GatysConfig
from impasto.objectives.matching import MatchingObjective
from impasto.regions import guides as region_guides
from impasto.regions.subject import Subject


def comb(height: int, width: int) -> Tensor:
    """Return a mask that is white in the left 40 % of the width and in five thin stripes from there to 90 %."""
    across, down = (torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height
    body = (across < 0.4).expand(height, width)
    stripes = ((5 * down) % 1 < 0.3)[:, None] & (across < 0.9)
    return (body | stripes).float().expand(1, 3, height, width).contiguous()


def eroded(mask: Tensor, shape: tuple[int, int], pixels: int, fraction: float = 1.0) -> Tensor:
    """Return a guide eroded by a number of pixels, where anything is left; a fraction of it is the eroded guide."""
    inside = coverage = F.adaptive_avg_pool2d(mask, shape)
    for _ in range(pixels):
        smaller = -F.max_pool2d(-inside, 3, stride=1, padding=1)
        inside = smaller if smaller.max() > 0.5 else inside
    counts = fraction * inside + (1 - fraction) * coverage
    return counts / counts.mean()


GUIDES: dict[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "none": lambda mask, shape: eroded(mask, shape, 0),
    "half": lambda mask, shape: eroded(mask, shape, 1, 0.5),
    "one pixel": lambda mask, shape: eroded(mask, shape, 1),
    "two pixels": lambda mask, shape: eroded(mask, shape, 2),
    "impasto": region_guides.eroded_guide,
}
"""Ways to erode a guide."""


def style_gradient(subject: Subject, k: int, backbone: str) -> Tensor:
    """Return the mean absolute gradient `(H, W)` of the style loss of region `k` at each pixel of the content image."""
    config = GatysConfig(backbone=backbone, content_weight=0, precision="fp32")
    height, width = subject.content.shape[-2:]
    alone = Subject(subject.content, (subject.regions[k],)).resized((height, width))
    image = subject.content.clone().requires_grad_()
    losses = MatchingObjective(load_backbone(backbone), alone, config)(image)
    (gradient,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), image)
    return gradient.abs().mean((0, 1))


def erosions(content: Path, styles: list[Path], mask: Path, fine: Path, evaluator: Backbone, settings: Any) -> None:
    """Print the style that crosses the border, and the losses near the border and in thin stripes, for each way."""
    subject = subject_of(content, styles, {**settings, "mask": mask})
    thin = subject_of(content, styles, {**settings, "mask": fine})
    halves = [own.mask for own in subject.regions if own.mask is not None]
    outside, distance = (halves[1] < 0.5)[0, 0], distance_to((halves[1] >= 0.5)[0, 0])
    bands = [outside & (distance > low) & (distance <= high) for low, high in BANDS]
    body, stripes = (own.mask.clone() for own in thin.regions if own.mask is not None)
    stripes[..., : round(0.44 * stripes.shape[-1])] = 0
    rows = []
    for name, guide in GUIDES.items():
        region_guides.eroded_guide = guide
        gradient = style_gradient(subject, 1, settings["backbone"])
        picture = stylize(content, styles[:2], mask=mask, **settings).image
        near = [
            style_loss(evaluator, picture, region, where * (distance_to(border_of(where)) < NEAR))
            for region, where in zip(subject.regions, halves, strict=True)
        ]
        thin_image = stylize(content, styles[:2], mask=fine, **settings).image
        thin_losses = [
            style_loss(evaluator, thin_image, region, where)
            for region, where in zip(thin.regions, (body, stripes), strict=True)
        ]
        fractions = [gradient[band].mean() / gradient[~outside].mean() for band in bands[:-1]]
        rows.append([name, *(f"{x:.2f}" for x in fractions), *(f"{x:.3g}" for x in (*near, *thin_losses))])
    head = [f"style gradient, {low} to {high} %" for low, high in BANDS[:-1]]
    losses_of = ["near the border, left", "right", "around stripes", "stripes"]
    print(table(["erosion", *head, *losses_of], rows), end="\n\n", flush=True)


def main() -> None:
    """Print a table for each evaluation network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--evaluators", nargs="+", default=["lite", "vgg19-caffe"])
    options = parser.parse_args()
    print(machine(), end="\n\n")
    content, styles = picture("astronaut"), [picture(name) for name in ("brushstrokes", "mosaic")]
    settings = {"backbone": options.backbone, "size": options.size, "steps": options.steps}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{draw.__name__}.png" for draw in (half, comb)]
        for draw, file in zip((half, comb), files, strict=True):
            save_image(draw(*load_image(content).shape[-2:]), file)
        for name in options.evaluators:
            print(f"evaluation network: {name}\n")
            erosions(content, styles, *files, load_backbone(name, dtype=torch.float32), settings)


if __name__ == "__main__":
    main()
