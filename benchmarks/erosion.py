"""How far a mask should be eroded: what each way lets across a border, and what it leaves unpainted.

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
from impasto.regions import guides as guidance
from impasto.regions.subject import Subject


def comb(height: int, width: int) -> Tensor:
    """White: 40 % of the width on the left, and five thin stripes that reach out of it to 90 %."""
    across, down = (torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height
    body = (across < 0.4).expand(height, width)
    stripes = ((5 * down) % 1 < 0.3)[:, None] & (across < 0.9)
    return (body | stripes).float().expand(1, 3, height, width).contiguous()


def eroded(mask: Tensor, shape: tuple[int, int], places: int, share: float = 1.0) -> Tensor:
    """A guide eroded by some places, where that leaves something; `share` of it, the rest not eroded."""
    inside = coverage = F.adaptive_avg_pool2d(mask, shape)
    for _ in range(places):
        smaller = -F.max_pool2d(-inside, 3, stride=1, padding=1)
        inside = smaller if smaller.max() > 0.5 else inside
    counts = share * inside + (1 - share) * coverage
    return counts / counts.mean()


GUIDES: dict[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "none": lambda mask, shape: eroded(mask, shape, 0),
    "half of it": lambda mask, shape: eroded(mask, shape, 1, 0.5),
    "one place": lambda mask, shape: eroded(mask, shape, 1),
    "two places": lambda mask, shape: eroded(mask, shape, 2),
    "impasto": guidance.eroded_guide,
}
"""Ways to erode that were tried."""


def pull_on(subject: Subject, k: int, backbone: str) -> Tensor:
    """Mean gradient `(H, W)` of the style of region `k` alone on every pixel of the content."""
    config = GatysConfig(backbone=backbone, content_weight=0, precision="fp32")
    height, width = subject.content.shape[-2:]
    alone = Subject(subject.content, (subject.regions[k],)).resized((height, width))
    image = subject.content.clone().requires_grad_()
    losses = MatchingObjective(load_backbone(backbone), alone, config)(image)
    (gradient,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), image)
    return gradient.abs().mean((0, 1))


def erosions(content: Path, styles: list[Path], mask: Path, fine: Path, judge: Backbone, settings: Any) -> None:
    """What each way to erode lets through and what it leaves unpainted."""
    subject = subject_of(content, styles, {**settings, "mask": mask})
    thin = subject_of(content, styles, {**settings, "mask": fine})
    halves = [own.mask for own in subject.regions if own.mask is not None]
    outside, distance = (halves[1] < 0.5)[0, 0], distance_to((halves[1] >= 0.5)[0, 0])
    bands = [outside & (distance > low) & (distance <= high) for low, high in BANDS]
    body, stripes = (own.mask.clone() for own in thin.regions if own.mask is not None)
    stripes[..., : round(0.44 * stripes.shape[-1])] = 0
    rows = []
    for name, guide in GUIDES.items():
        guidance.eroded_guide = guide
        pull = pull_on(subject, 1, settings["backbone"])
        picture = stylize(content, styles[:2], mask=mask, **settings).image
        near = [
            style_loss(judge, picture, region, where * (distance_to(border_of(where)) < NEAR))
            for region, where in zip(subject.regions, halves, strict=True)
        ]
        combed = stylize(content, styles[:2], mask=fine, **settings).image
        thin_loss = [
            style_loss(judge, combed, own, where) for own, where in zip(thin.regions, (body, stripes), strict=True)
        ]
        shares = [pull[band].mean() / pull[~outside].mean() for band in bands[:-1]]
        rows.append([name, *(f"{share:.2f}" for share in shares), *(f"{loss:.3g}" for loss in (*near, *thin_loss))])
    head = [f"pull, {low} to {high} %" for low, high in BANDS[:-1]]
    losses_of = ["near the border, left", "right", "around stripes", "stripes"]
    print(table(["erosion", *head, *losses_of], rows), end="\n\n", flush=True)


def main() -> None:
    """Prints a table for each judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--judges", nargs="+", default=["lite", "vgg19-caffe"])
    asked = parser.parse_args()
    print(machine(), end="\n\n")
    content, styles = picture("astronaut"), [picture(name) for name in ("brushstrokes", "mosaic")]
    settings = {"backbone": asked.backbone, "size": asked.size, "steps": asked.steps}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{draw.__name__}.png" for draw in (half, comb)]
        for draw, file in zip((half, comb), files, strict=True):
            save_image(draw(*load_image(content).shape[-2:]), file)
        for name in asked.judges:
            print(f"judge: {name}\n")
            erosions(content, styles, *files, load_backbone(name, dtype=torch.float32), settings)


if __name__ == "__main__":
    main()
