"""Test guides: positions across the border have no weight, and thin parts of a region keep theirs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.regions.guides import eroded_guide, layer_guides

SHAPE = (12, 16)


def mask_of(*columns: tuple[int, int], scale: int = 1) -> Tensor:
    """Return a mask that is 1 in some columns of a map of SHAPE, enlarged by `scale`."""
    mask = torch.zeros(1, 1, *SHAPE)
    for first, last in columns:
        mask[..., first:last] = 1
    return mask.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def weighted_columns(guided: Tensor) -> list[int]:
    """Return the columns with a weight, which must be the same in every row."""
    positive = guided[0, 0] > 0
    assert (positive == positive[:1]).all()
    return positive[0].nonzero().flatten().tolist()


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("columns", [[(0, 8)], [(5, 6)], [(0, 8), (12, 13)], [(0, 16)]])
def test_a_guide_has_a_mean_of_1_and_the_shape_of_the_map(columns: list[tuple[int, int]], scale: int) -> None:
    guided = eroded_guide(mask_of(*columns, scale=scale), SHAPE)
    assert guided.shape == (1, 1, *SHAPE)
    assert guided.min() >= 0
    assert guided.mean().item() == pytest.approx(1, abs=1e-5)


def test_positions_next_to_a_border_have_no_weight_but_those_at_the_edge_of_the_image_do() -> None:
    assert weighted_columns(eroded_guide(mask_of((0, 8)), SHAPE)) == list(range(7))
    assert weighted_columns(eroded_guide(mask_of((4, 12)), SHAPE)) == list(range(5, 11))


def test_a_region_of_the_whole_image_has_equal_weights() -> None:
    assert torch.equal(eroded_guide(torch.ones(1, 1, 48, 64), SHAPE), torch.ones(1, 1, *SHAPE))


@pytest.mark.parametrize("width", [1, 2])
def test_a_part_too_thin_to_be_eroded_keeps_its_weight(width: int) -> None:
    assert weighted_columns(eroded_guide(mask_of((5, 5 + width)), SHAPE)) == list(range(5, 5 + width))


def test_a_thin_part_has_the_same_weight_as_the_rest_of_its_region() -> None:
    guided = eroded_guide(mask_of((0, 8), (12, 13)), SHAPE)
    assert weighted_columns(guided) == [*range(7), 12]
    assert guided.unique().numel() == 2  # 0 and one positive value


def test_a_speck_smaller_than_a_position_has_a_weight_there() -> None:
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., 20:22, 30:32] = 1
    guided = eroded_guide(mask, SHAPE)
    assert (guided > 0).sum() == 1
    assert guided[0, 0, 5, 7] > 0


def test_a_soft_border_stays_soft_and_moves_inwards() -> None:
    ramp = torch.tensor([1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0]).expand(1, 1, 12, 12)
    guided = eroded_guide(ramp, (12, 12))[0, 0, 0]
    assert torch.allclose(guided / guided[0], torch.tensor([1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0, 0]))


def test_two_regions_have_no_common_position_at_a_hard_border() -> None:
    left, right = (eroded_guide(mask_of(columns, scale=4), SHAPE) for columns in ((0, 8), (8, 16)))
    assert (left * right).max() == 0


def test_every_layer_has_a_guide_of_its_size() -> None:
    guides = layer_guides(mask_of((0, 8), scale=2), {"relu1_1": (12, 16), "relu2_1": (6, 8)})
    assert {layer: tuple(own.shape) for layer, own in guides.items()} == {
        "relu1_1": (1, 1, 12, 16),
        "relu2_1": (1, 1, 6, 8),
    }
