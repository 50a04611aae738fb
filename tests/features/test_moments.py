"""Test moments: bf16 features are summed nearly as precisely as fp32 ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.features.moments import both_moments, covariance, first_moment, second_moment

SHAPES = [
    (1, 16, 64, 64),
    (2, 64, 37, 61),
    (1, 128, 23, 45),
    (2, 256, 64, 33),
    (2, 256, 32, 33),
    (1, 512, 46, 50),
    (1, 512, 30, 20),
    (2, 512, 9, 13),
]


def features(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Return activations as after a ReLU; most channels follow a few patterns."""
    generator = torch.Generator().manual_seed(seed)
    batch, channels, height, width = shape
    patterns = torch.randn(batch, 8, height, width, generator=generator)
    mixing = torch.randn(channels, 8, generator=generator)
    noise = torch.randn(shape, generator=generator)
    return (torch.einsum("ck,bkhw->bchw", mixing, patterns) + noise).relu()


def in_float64(maps: Tensor) -> Tensor:
    columns = maps.double().flatten(2)
    return torch.einsum("bcn,bdn->bcd", columns, columns) / columns.shape[-1]


def difference(value: Tensor, truth: Tensor) -> float:
    return float((value.double() - truth).norm() / truth.norm())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_relative_error_of_bf16_moments_is_below_1e_3_and_2e_3_on_small_maps(shape: tuple[int, ...]) -> None:
    maps = features(shape).bfloat16()
    moment = second_moment(maps)
    assert moment.dtype is torch.float32
    assert moment.shape == (shape[0], shape[1], shape[1])
    positions = shape[2] * shape[3]
    assert difference(moment, in_float64(maps)) < (1e-3 if positions > 2048 else 2e-3)


@pytest.mark.parametrize("shape", [(2, 64, 5, 7), (1, 512, 9, 16), (1, 24, 4, 6)], ids=str)
def test_bf16_moments_of_no_more_positions_than_channels_are_as_exact_as_in_fp32(shape: tuple[int, ...]) -> None:
    maps = features(shape).bfloat16()
    assert difference(second_moment(maps), in_float64(maps)) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(2, 64, 5, 7), (2, 64, 37, 61)], ids=str)
def test_moments_are_as_exact_under_autocast(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    maps = features(shape).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        moment = second_moment(maps)
    torch.testing.assert_close(moment, second_moment(maps), rtol=0, atol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fp32_moments_agree_with_float64(shape: tuple[int, ...]) -> None:
    maps = features(shape)
    assert difference(second_moment(maps), in_float64(maps)) < 1e-6


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 24, 37, 41), (1, 64, 5, 7)], ids=str)
def test_the_bf16_gradient_agrees_with_float64(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    maps = features(shape).bfloat16().contiguous(memory_format=layout)
    generator = torch.Generator().manual_seed(3)
    upstream = torch.randn(shape[0], shape[1], shape[1], generator=generator)  # not symmetric

    narrow = maps.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(second_moment(narrow), narrow, upstream)
    wide = maps.double().requires_grad_()
    (true_gradient,) = torch.autograd.grad(in_float64(wide), wide, upstream.double())

    assert gradient.dtype is torch.bfloat16
    assert difference(gradient, true_gradient) < 0.005


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 24, 37, 41), (1, 64, 5, 7)], ids=str)
def test_the_fp32_gradient_agrees_with_float64_and_is_channels_last(
    shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    maps = features(shape).contiguous(memory_format=layout).requires_grad_()
    upstream = torch.randn(shape[0], shape[1], shape[1], generator=torch.Generator().manual_seed(3))  # not symmetric

    moment = second_moment(maps)
    (gradient,) = torch.autograd.grad(moment, maps, upstream)
    wide = maps.detach().double().requires_grad_()
    (true_gradient,) = torch.autograd.grad(in_float64(wide), wide, upstream.double())

    assert difference(moment.detach(), in_float64(wide.detach())) < 1e-6
    assert difference(gradient, true_gradient) < 1e-6
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_the_float64_gradient_agrees_with_finite_differences() -> None:
    maps = features((2, 3, 3, 4)).double().requires_grad_()
    assert torch.autograd.gradcheck(second_moment, maps)


def test_a_guide_weights_both_moments_of_fp32_and_bf16() -> None:
    maps, guide = features((2, 16, 25, 30)), torch.rand(1, 1, 25, 30, generator=torch.Generator().manual_seed(1))
    guide = guide / guide.mean()
    weighted = torch.einsum("bcn,bdn,n->bcd", maps.flatten(2), maps.flatten(2), guide.flatten()) / 750
    assert difference(second_moment(maps, guide), weighted.double()) < 1e-6
    assert difference(second_moment(maps.bfloat16(), guide), weighted.double()) < 3e-3
    mean = (maps * guide).mean((2, 3))
    assert difference(first_moment(maps.bfloat16(), guide), mean.double()) < 1e-3


def test_the_bf16_gradient_of_the_first_moment_agrees_with_float64() -> None:
    maps, upstream = features((2, 16, 25, 30)), features((1, 2, 16, 1))[0, ..., 0]
    gradients = []
    for each in (maps.bfloat16(), maps.bfloat16().double()):
        leaf = each.requires_grad_()
        gradients += torch.autograd.grad(
            first_moment(leaf), leaf, upstream.to(torch.promote_types(each.dtype, upstream.dtype))
        )
    assert gradients[0].dtype is torch.bfloat16
    assert difference(gradients[0], gradients[1]) < 0.005


def test_the_covariance_is_computed_from_the_moments() -> None:
    maps = features((2, 16, 25, 30)).double()
    expected = torch.stack([each.flatten(1).cov(correction=0) for each in maps])
    assert difference(covariance(both_moments(maps)), expected) < 1e-12


def test_each_image_of_a_batch_has_its_own_moment() -> None:
    maps = features((2, 16, 25, 25)).bfloat16()
    both = second_moment(maps)
    assert torch.equal(both[1:], second_moment(maps[1:]))
    assert not torch.allclose(both[0], both[1], rtol=0.01)
