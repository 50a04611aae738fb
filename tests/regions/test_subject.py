"""Test subjects: every image is resized once, each style by its style scale."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.images import fit, resize
from impasto.regions.subject import Region, Style, Subject, resize_style, single_region


def picture(height: int, width: int, seed: int = 0, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


def test_resize_style_enlarges_small_styles() -> None:
    assert resize_style(picture(50, 40), 100).shape == (1, 3, *fit((50, 40), 100))


@pytest.mark.parametrize(("style_scale", "region_style_scale", "longer"), [(1, 1, 40), (2, 1, 80), (0.5, 3, 60)])
def test_a_style_has_the_longer_side_times_both_style_scales(
    style_scale: float, region_style_scale: float, longer: int
) -> None:
    style = Style(picture(30, 20, 1), mask=picture(30, 20, 2, channels=1))
    region = Region((style,), mask=picture(48, 60, 3, channels=1), style_scale=region_style_scale)
    scaled = Subject(picture(48, 60), (region,)).resized((32, 40), style_scale=style_scale)
    assert scaled.content.shape == (1, 3, 32, 40)
    (part,) = scaled.regions
    assert part.mask is not None
    assert part.mask.shape == (1, 1, 32, 40)
    (source,) = part.styles
    assert max(source.image.shape[-2:]) == longer
    assert source.mask is not None
    assert source.mask.shape[-2:] == source.image.shape[-2:]


def test_resized_images_are_computed_from_the_original_ones() -> None:
    subject = single_region(picture(48, 60), [picture(30, 20, 1)])
    assert torch.equal(subject.resized((16, 20)).content, resize(subject.content, (16, 20)))
    assert torch.equal(subject.resized((48, 60)).content, subject.content)


def test_styles_of_a_single_region_have_equal_weights_by_default() -> None:
    styles = [picture(20, 20, 1), picture(20, 20, 2)]
    assert [style.weight for style in single_region(picture(20, 20), styles).regions[0].styles] == [0.5, 0.5]
    assert [style.weight for style in single_region(picture(20, 20), styles, [0.9, 0.1]).regions[0].styles] == [
        0.9,
        0.1,
    ]


def test_the_area_of_a_region_is_the_mean_of_its_mask() -> None:
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :1] = 1
    assert Region((Style(picture(4, 4)),), mask=mask).area == 0.25
    assert Region((Style(picture(4, 4)),)).area == 1
