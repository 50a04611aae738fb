"""Guides: what lies across the border does not count, and nothing of a region is left out for being thin."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.regions.guides import eroded_guide, layer_guides

SHAPE = (12, 16)


def mask_of(*columns: tuple[int, int], scale: int = 1) -> Tensor:
    """1 in some columns of a map of SHAPE, `scale` times as large."""
    mask = torch.zeros(1, 1, *SHAPE)
    for first, last in columns:
        mask[..., first:last] = 1
    return mask.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def counting(guided: Tensor) -> list[int]:
    """The columns that count, the same in every row."""
    counts = guided[0, 0] > 0
    assert (counts == counts[:1]).all()
    return counts[0].nonzero().flatten().tolist()


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("columns", [[(0, 8)], [(5, 6)], [(0, 8), (12, 13)], [(0, 16)]])
def test_a_guide_has_a_mean_of_1_and_the_shape_of_the_map(columns: list[tuple[int, int]], scale: int) -> None:
    guided = eroded_guide(mask_of(*columns, scale=scale), SHAPE)
    assert guided.shape == (1, 1, *SHAPE)
    assert guided.min() >= 0
    assert guided.mean().item() == pytest.approx(1, abs=1e-5)


def test_the_place_next_to_a_border_does_not_count_and_that_at_the_edge_of_the_picture_does() -> None:
    assert counting(eroded_guide(mask_of((0, 8)), SHAPE)) == list(range(7))
    assert counting(eroded_guide(mask_of((4, 12)), SHAPE)) == list(range(5, 11))


def test_a_region_all_over_counts_alike() -> None:
    assert torch.equal(eroded_guide(torch.ones(1, 1, 48, 64), SHAPE), torch.ones(1, 1, *SHAPE))


@pytest.mark.parametrize("width", [1, 2])
def test_what_is_too_thin_to_be_eroded_counts_as_it_is(width: int) -> None:
    assert counting(eroded_guide(mask_of((5, 5 + width)), SHAPE)) == list(range(5, 5 + width))


def test_the_thin_part_of_a_broad_region_counts_too_and_as_much() -> None:
    guided = eroded_guide(mask_of((0, 8), (12, 13)), SHAPE)
    assert counting(guided) == [*range(7), 12]
    assert guided.unique().numel() == 2  # 0, and the one value of all that counts


def test_a_speck_smaller_than_a_place_counts_by_what_it_covers() -> None:
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., 20:22, 30:32] = 1
    guided = eroded_guide(mask, SHAPE)
    assert (guided > 0).sum() == 1
    assert guided[0, 0, 5, 7] > 0


def test_a_soft_border_stays_soft_and_moves_inwards() -> None:
    ramp = torch.tensor([1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0]).expand(1, 1, 12, 12)
    guided = eroded_guide(ramp, (12, 12))[0, 0, 0]
    assert torch.allclose(guided / guided[0], torch.tensor([1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0, 0]))


def test_two_regions_share_no_place_at_a_hard_border() -> None:
    left, right = (eroded_guide(mask_of(columns, scale=4), SHAPE) for columns in ((0, 8), (8, 16)))
    assert (left * right).max() == 0


def test_every_layer_has_a_guide_of_its_own_size_and_no_mask_gives_none() -> None:
    features = {"relu1_1": torch.zeros(1, 3, 12, 16), "relu2_1": torch.zeros(1, 5, 6, 8)}
    guides = layer_guides(mask_of((0, 8), scale=2), features)
    assert {layer: tuple(own.shape) for layer, own in guides.items()} == {
        "relu1_1": (1, 1, 12, 16),
        "relu2_1": (1, 1, 6, 8),
    }
    assert layer_guides(None, features) == {}
