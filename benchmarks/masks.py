"""Whether regions keep to themselves: their style losses, and what crosses their borders.

`python benchmarks/masks.py` paints a photograph in two halves, with a stripe, and the guided pictures of
IMPASTO_TEST_IMAGES/guided if they are there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import machine, picture, table
from torch import Tensor

from impasto import stylize
from impasto.backbones import Backbone, load_backbone
from impasto.config import MethodConfig
from impasto.images import fit, load_image, open_picture, save_image
from impasto.losses.gram import GramLoss
from impasto.regions.guides import layer_guides
from impasto.regions.label_map import read_label_map
from impasto.regions.split import split_regions
from impasto.regions.subject import Region, Subject
from impasto.types import Image

BANDS = ((0, 2), (2, 5), (5, 10), (10, 20), (20, 100))
"""Distances from a border, in percent of the longer side."""
NEAR = 5
"""What counts as near a border, in percent of the longer side."""


def half(height: int, width: int) -> Tensor:
    """Black on the left, white on the right, `(1, 3, H, W)`."""
    return (torch.arange(width) >= width // 2).float().expand(1, 3, height, width).contiguous()


def stripe(height: int, width: int) -> Tensor:
    """White, 8 % of the width, in the middle of black."""
    place = (torch.arange(width) + 0.5) / width
    return ((place - 0.5).abs() < 0.04).float().expand(1, 3, height, width).contiguous()


def subject_of(content: Path, styles: list[Path], settings: dict[str, Any]) -> Subject:
    """What `stylize` makes of the masks, at the size of the painting."""
    config = MethodConfig(**{name: settings[name] for name in ("mask", "style_mask", "size") if name in settings})
    given, pictures = load_image(content), [load_image(style) for style in styles]
    shape = fit((given.shape[-2], given.shape[-1]), config.size)
    masks, maps = ([open_picture(file) for file in files] for files in (config.mask, config.style_mask))
    mix = [1 / len(styles)] * len(styles)
    return split_regions(config, given, pictures, mix, masks, maps, shape).resized(shape)


@torch.no_grad()
def style_loss(judge: Backbone, image: Image, region: Region, where: Tensor) -> float:
    """Gram loss of the places `where` of a picture against the styles of a region."""
    loss, layers = GramLoss(), judge.style_layers
    features = judge.encode(image, layers)
    guides = judge_guides(where, features)
    pictures = [judge.encode(style.image, layers) for style in region.styles]
    sources = [layer_guides(style.mask, maps) for style, maps in zip(region.styles, pictures, strict=True)]
    total = 0.0
    for layer in layers:
        targets = [
            style.weight * loss.statistic(maps[layer], guide.get(layer))
            for style, maps, guide in zip(region.styles, pictures, sources, strict=True)
        ]
        total += loss.distance(loss.statistic(features[layer], guides[layer]), torch.stack(targets).sum(0)).item()
    return 100 * total / len(layers)


def judge_guides(where: Tensor, features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Guides of the judge: eroded by one place where something is left, whatever the painting itself does."""
    guides = {}
    for layer, maps in features.items():
        coverage = F.adaptive_avg_pool2d(where, (maps.shape[-2], maps.shape[-1]))
        inside = -F.max_pool2d(-coverage, 3, stride=1, padding=1)
        counts = inside if inside.max() > 0.5 else coverage
        guides[layer] = counts / counts.mean()
    return guides


def distance_to(where: Tensor) -> Tensor:
    """Euclidean distance of every pixel to the nearest one in `where`, `(H, W)`, in percent of the longer side."""
    places = where.nonzero().float()
    height, width = where.shape
    rows = torch.arange(height).float()
    columns = torch.arange(width).float()
    nearest = torch.full((height, width), float("inf"))
    for part in places.split(256):
        squared = (rows[:, None] - part[:, 0]).square()[:, None] + (columns[:, None] - part[:, 1]).square()[None]
        nearest = torch.minimum(nearest, squared.amin(-1))
    return 100 * nearest.sqrt() / max(height, width)


def border_of(mask: Tensor) -> Tensor:
    """Pixels `(H, W)` of a mask that touch what is outside it."""
    hard = (mask >= 0.5).float()
    return ((F.max_pool2d(1 - hard, 3, stride=1, padding=1) > 0) & (hard > 0))[0, 0]


def losses(
    name: str, content: Path, styles: list[Path], judges: dict[str, Backbone], out: Path | None, **settings: Any
) -> None:
    """Every region in the painting, against the region painted alone, and against its style all over the picture."""
    subject = subject_of(content, styles, settings)
    painted = stylize(content, styles, **settings).image
    if out is not None:
        save_image(painted, out / f"{name}.png")
    rows = []
    for k, region in enumerate(subject.regions):
        assert region.mask is not None
        only = tuple(float(own is region) for own in subject.regions)
        alone = stylize(content, styles, **settings, region_strength=only).image
        everywhere = painted_all_over(content, styles, k, settings)
        band = region.mask * (distance_to(border_of(region.mask)) < NEAR)
        for network, judge in judges.items():
            pictures = (subject.content, alone, everywhere, painted)
            inside = [style_loss(judge, image, region, region.mask) for image in pictures]
            near = [style_loss(judge, image, region, band) for image in pictures[2:]]
            numbers = [*inside, inside[-1] / inside[1], inside[-1] / inside[2], near[1] / near[0]]
            rows.append([name, region.name, f"{100 * region.area:.1f} %", network, *(f"{x:.3g}" for x in numbers)])
    head = ["picture", "region", "area", "judge", "content", "alone", "all over", "painted"]
    print(table([*head, "to alone", "to all over", "to all over, near"], rows), end="\n\n", flush=True)


def painted_all_over(content: Path, styles: list[Path], k: int, settings: dict[str, Any]) -> Image:
    """The whole picture after what region `k` takes after."""
    if not settings.get("style_mask"):
        return stylize(content, styles[k], **{key: value for key, value in settings.items() if key != "mask"}).image
    color = torch.from_numpy(read_label_map(open_picture(settings["mask"])).colors[k] / 255).float()
    with tempfile.TemporaryDirectory() as folder:
        mask = Path(folder) / "one.png"
        save_image(color.view(1, 3, 1, 1).expand_as(load_image(content)), mask)
        return stylize(content, styles, **settings | {"mask": mask}).image


def leak(name: str, content: Path, styles: list[Path], other: Path, k: int, **settings: Any) -> None:
    """By how much the pixels of the other regions change where region `k` gets another style.

    Any change at all sends the optimizer to another picture, so beside it: the same where a strength is 0.1 % higher.
    """
    subject = subject_of(content, styles, settings)
    mask = subject.regions[k].mask
    assert mask is not None
    outside = (mask < 0.5)[0, 0]
    replaced = [*styles[:k], other, *styles[k + 1 :]]
    before = stylize(content, styles, **settings).image
    nudge = tuple(1 + 0.001 * (each is subject.regions[k]) for each in subject.regions)
    after = [
        stylize(content, replaced, **settings).image,
        stylize(content, styles, **settings, region_strength=nudge).image,
    ]
    changes = [(before - image).abs().mean((0, 1)) for image in after]  # (H, W) each
    distance = distance_to(~outside)
    bands = {"inside": ~outside} | {f"{a} to {b} %": outside & (distance > a) & (distance <= b) for a, b in BANDS}
    rows = [[where, *(f"{change[band].mean():.3f}" for change in changes)] for where, band in bands.items()]
    print(table([f"{name}: distance to the region", "another style", "strength + 0.1 %"], rows), end="\n\n", flush=True)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--judges", nargs="+", default=["lite", "vgg19-caffe"])
    parser.add_argument("--cases", nargs="+", default=["half", "stripe", "guided"])
    parser.add_argument("--content", default="astronaut")
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    asked = parser.parse_args()
    print(machine(), end="\n\n")
    judges = {name: load_backbone(name, dtype=torch.float32) for name in asked.judges}
    settings = {"backbone": asked.backbone, "size": asked.size, "steps": asked.steps}
    content, styles = picture(asked.content), [picture(name) for name in ("brushstrokes", "mosaic", "woodcut")]
    guided = Path(os.environ.get("IMPASTO_TEST_IMAGES", "")) / "guided"
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in (("half", half), ("stripe", stripe)):
            if name not in asked.cases:
                continue
            mask = Path(folder) / f"{name}.png"
            save_image(draw(*load_image(content).shape[-2:]), mask)
            losses(name, content, styles[:2], judges, asked.out, mask=mask, **settings)
            leak(name, content, styles[:2], styles[2], 1, mask=mask, **settings)
    if guided.is_dir() and "guided" in asked.cases:
        maps = {"mask": guided / "content_guidance.jpg", "style_mask": guided / "style_guidance.jpg"}
        losses("guided", guided / "content_im.jpg", [guided / "style_im.jpg"], judges, asked.out, **maps, **settings)


if __name__ == "__main__":
    main()
