"""Measure how independent regions are: their style losses, and the style that crosses their borders.

`python benchmarks/masks.py` stylizes an image with two halves, an image with a stripe, and the guided images of
IMPASTO_TEST_IMAGES/guided if they exist.
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
"""Maximum distance from a border that counts as near, in percent of the longer side."""


def half(height: int, width: int) -> Tensor:
    """Return a mask `(1, 3, H, W)` that is black on the left and white on the right."""
    return (torch.arange(width) >= width // 2).float().expand(1, 3, height, width).contiguous()


def stripe(height: int, width: int) -> Tensor:
    """Return a black mask with a white stripe of 8 % of the width in the center."""
    position = (torch.arange(width) + 0.5) / width
    return ((position - 0.5).abs() < 0.04).float().expand(1, 3, height, width).contiguous()


def subject_of(content: Path, styles: list[Path], settings: dict[str, Any]) -> Subject:
    """Return the subject that `stylize` creates from the masks, at the size of the output."""
    config = MethodConfig(**{name: settings[name] for name in ("mask", "style_mask", "size") if name in settings})
    image, pictures = load_image(content), [load_image(style) for style in styles]
    shape = fit((image.shape[-2], image.shape[-1]), config.size)
    masks, maps = ([open_picture(file) for file in files] for files in (config.mask, config.style_mask))
    mix = [1 / len(styles)] * len(styles)
    return split_regions(config, image, pictures, mix, masks, maps, shape).resized(shape)


@torch.no_grad()
def style_loss(evaluator: Backbone, image: Image, region: Region, where: Tensor) -> float:
    """Return the Gram loss of an image at the positions of a mask against the style images of a region."""
    loss, layers = GramLoss(), evaluator.style_layers
    features = evaluator.encode(image, layers)
    guides = evaluation_guides(where, features)
    pictures = [evaluator.encode(style.image, layers) for style in region.styles]
    sources = [layer_guides(style.mask, maps) for style, maps in zip(region.styles, pictures, strict=True)]
    total = 0.0
    for layer in layers:
        targets = [
            style.weight * loss.statistic(maps[layer], guide.get(layer))
            for style, maps, guide in zip(region.styles, pictures, sources, strict=True)
        ]
        total += loss.distance(loss.statistic(features[layer], guides[layer]), torch.stack(targets).sum(0)).item()
    return 100 * total / len(layers)


def evaluation_guides(where: Tensor, features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return guides for grading: eroded by one position where anything is left, whatever the method itself does."""
    guides = {}
    for layer, maps in features.items():
        coverage = F.adaptive_avg_pool2d(where, (maps.shape[-2], maps.shape[-1]))
        inside = -F.max_pool2d(-coverage, 3, stride=1, padding=1)
        counts = inside if inside.max() > 0.5 else coverage
        guides[layer] = counts / counts.mean()
    return guides


def distance_to(where: Tensor) -> Tensor:
    """Return the Euclidean distance `(H, W)` of each pixel to the mask, in percent of the longer side."""
    positions = where.nonzero().float()
    height, width = where.shape
    rows = torch.arange(height).float()
    columns = torch.arange(width).float()
    nearest = torch.full((height, width), float("inf"))
    for part in positions.split(256):
        squared = (rows[:, None] - part[:, 0]).square()[:, None] + (columns[:, None] - part[:, 1]).square()[None]
        nearest = torch.minimum(nearest, squared.amin(-1))
    return 100 * nearest.sqrt() / max(height, width)


def border_of(mask: Tensor) -> Tensor:
    """Return the pixels `(H, W)` of a mask that touch its complement."""
    hard = (mask >= 0.5).float()
    return ((F.max_pool2d(1 - hard, 3, stride=1, padding=1) > 0) & (hard > 0))[0, 0]


def losses(
    name: str, content: Path, styles: list[Path], evaluators: dict[str, Backbone], out: Path | None, **settings: Any
) -> None:
    """Print the style loss of each region, compared with the region alone and with its style in the whole image."""
    subject = subject_of(content, styles, settings)
    output = stylize(content, styles, **settings).image
    if out is not None:
        save_image(output, out / f"{name}.png")
    rows = []
    for k, region in enumerate(subject.regions):
        assert region.mask is not None
        only = tuple(float(own is region) for own in subject.regions)
        alone = stylize(content, styles, **settings, region_strength=only).image
        everywhere = stylized_everywhere(content, styles, k, settings)
        band = region.mask * (distance_to(border_of(region.mask)) < NEAR)
        for network, evaluator in evaluators.items():
            pictures = (subject.content, alone, everywhere, output)
            inside = [style_loss(evaluator, image, region, region.mask) for image in pictures]
            near = [style_loss(evaluator, image, region, band) for image in pictures[2:]]
            numbers = [*inside, inside[-1] / inside[1], inside[-1] / inside[2], near[1] / near[0]]
            rows.append([name, region.name, f"{100 * region.area:.1f} %", network, *(f"{x:.3g}" for x in numbers)])
    head = ["image", "region", "area", "network", "content", "alone", "everywhere", "output"]
    print(table([*head, "to alone", "to everywhere", "to everywhere, near"], rows), end="\n\n", flush=True)


def stylized_everywhere(content: Path, styles: list[Path], k: int, settings: dict[str, Any]) -> Image:
    """Return the whole image stylized with the style of region `k`."""
    if not settings.get("style_mask"):
        return stylize(content, styles[k], **{key: value for key, value in settings.items() if key != "mask"}).image
    color = torch.from_numpy(read_label_map(open_picture(settings["mask"])).colors[k] / 255).float()
    with tempfile.TemporaryDirectory() as folder:
        mask = Path(folder) / "one.png"
        save_image(color.view(1, 3, 1, 1).expand_as(load_image(content)), mask)
        return stylize(content, styles, **settings | {"mask": mask}).image


def leak(name: str, content: Path, styles: list[Path], other: Path, k: int, **settings: Any) -> None:
    """Print how much the pixels of the other regions change when region `k` gets another style.

    Any change leads the optimizer to another result. For comparison, the change with 0.1 % more strength is printed.
    """
    subject = subject_of(content, styles, settings)
    mask = subject.regions[k].mask
    assert mask is not None
    outside = (mask < 0.5)[0, 0]
    replaced = [*styles[:k], other, *styles[k + 1 :]]
    before = stylize(content, styles, **settings).image
    stronger = tuple(1 + 0.001 * (each is subject.regions[k]) for each in subject.regions)
    after = [
        stylize(content, replaced, **settings).image,
        stylize(content, styles, **settings, region_strength=stronger).image,
    ]
    changes = [(before - image).abs().mean((0, 1)) for image in after]  # (H, W) each
    distance = distance_to(~outside)
    bands = {"inside": ~outside} | {f"{a} to {b} %": outside & (distance > a) & (distance <= b) for a, b in BANDS}
    rows = [[where, *(f"{change[band].mean():.3f}" for change in changes)] for where, band in bands.items()]
    print(table([f"{name}: distance to the region", "another style", "strength + 0.1 %"], rows), end="\n\n", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--evaluators", nargs="+", default=["lite", "vgg19-caffe"])
    parser.add_argument("--cases", nargs="+", default=["half", "stripe", "guided"])
    parser.add_argument("--content", default="astronaut")
    parser.add_argument("--out", type=Path, help="folder of the stylized images")
    options = parser.parse_args()
    print(machine(), end="\n\n")
    evaluators = {name: load_backbone(name, dtype=torch.float32) for name in options.evaluators}
    settings = {"backbone": options.backbone, "size": options.size, "steps": options.steps}
    content, styles = picture(options.content), [picture(name) for name in ("brushstrokes", "mosaic", "woodcut")]
    guided = Path(os.environ.get("IMPASTO_TEST_IMAGES", "")) / "guided"
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in (("half", half), ("stripe", stripe)):
            if name not in options.cases:
                continue
            mask = Path(folder) / f"{name}.png"
            save_image(draw(*load_image(content).shape[-2:]), mask)
            losses(name, content, styles[:2], evaluators, options.out, mask=mask, **settings)
            leak(name, content, styles[:2], styles[2], 1, mask=mask, **settings)
    if guided.is_dir() and "guided" in options.cases:
        maps = {"mask": guided / "content_guidance.jpg", "style_mask": guided / "style_guidance.jpg"}
        losses(
            "guided", guided / "content_im.jpg", [guided / "style_im.jpg"], evaluators, options.out, **maps, **settings
        )


if __name__ == "__main__":
    main()
