"""Test sorted values and the selection of positions."""

from __future__ import annotations

import pytest
import torch

from impasto.features import sorting
from impasto.features.positions import guided_columns, inside_guide, random_columns
from impasto.features.sorting import sorted_distance, sorted_rows


def columns(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_rows_are_sorted_projections_onto_the_axes() -> None:
    values, axes = columns(2, 3, 50), columns(4, 3, seed=1)
    assert torch.equal(sorted_rows(values), values.sort(-1).values)
    assert torch.allclose(sorted_rows(values, axes), (axes @ values).sort(-1).values)


@pytest.mark.parametrize("projected", [False, True])
def test_every_position_of_a_large_map_receives_a_gradient_from_eight_rows(
    projected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "ENOUGH", 50)
    values = columns(1, 24, 1000).requires_grad_()
    axes = torch.eye(24) if projected else None
    rows = sorted_rows(values, axes)
    (gradient,) = torch.autograd.grad(rows.sum(), values)
    assert rows.shape == (1, 24, 333)
    assert (gradient[0].count_nonzero(0)[:999] == 8).all()


def test_the_distance_of_subsampled_rows_is_within_5_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    values, others = columns(1, 64, 4000), columns(1, 64, 4000, seed=1) ** 1.3
    full = sorted_distance(sorted_rows(values), sorted_rows(others))
    monkeypatch.setattr(sorting, "ENOUGH", 500)
    some_rows = sorted_rows(values)
    assert some_rows.shape == (1, 64, 500)
    assert sorted_distance(some_rows, sorted_rows(others)).item() == pytest.approx(full.item(), rel=0.05)


@pytest.mark.parametrize("projected", [False, True])
def test_rows_of_maps_with_different_strides_belong_to_the_same_axes(
    projected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "ENOUGH", 500)
    values = columns(1, 64, 4000) * columns(1, 64, 1, seed=1)
    axes = columns(70, 64, seed=2) if projected else None
    rows = [sorted_rows(values[..., :count], axes) for count in (900, 1200, 2000, 4000)]
    assert [len(each[0, 0]) for each in rows] == [900, 600, 500, 500]
    variance = rows[0].var()
    assert all(sorted_distance(each, rows[0]) < 0.01 * variance for each in rows[1:])


def test_a_target_of_another_length_is_interpolated() -> None:
    short, long = (((torch.arange(count) + 0.5) / count).view(1, 1, count) for count in (10, 1000))
    assert sorted_distance(short, long) < 1e-10
    assert sorted_distance(long, short) < 1e-4  # the outermost values cannot be interpolated
    assert sorted_distance(long + 1, short).item() == pytest.approx(1, rel=1e-3)


def test_positions_with_half_of_the_maximum_or_more_are_inside_a_guide() -> None:
    guide = torch.tensor([0.0, 0.9, 1.0, 2.0, 1.1, 0.0]).view(1, 1, 2, 3)
    assert inside_guide(guide).flatten().tolist() == [False, False, True, True, True, False]
    assert guided_columns(guide, torch.arange(6.0).view(1, 1, 2, 3)).tolist() == [[[2.0, 3.0, 4.0]]]
    assert not inside_guide(torch.zeros(1, 1, 2, 3)).any()


def test_random_columns_are_the_same_for_all_maps_of_one_size_and_all_of_a_small_map() -> None:
    values = torch.arange(100.0).view(1, 1, 100)
    chosen = random_columns(values, 10)
    assert chosen.unique().numel() == 10
    assert torch.equal(random_columns(values + 1, 10), chosen + 1)
    assert torch.equal(random_columns(values, 100), values)
