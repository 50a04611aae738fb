"""Test convolution and upsampling with a replicated border."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from support import noise

from impasto.features.borders import pad_reflect, pad_replicate, upsample_and_pad
from impasto.networks import padding
from impasto.networks.padding import PaddedConvolution


def test_the_border_is_replicated_and_its_gradient_is_correct() -> None:
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.equal(pad_replicate(x), F.pad(x, (1, 1, 1, 1), mode="replicate"))
    twice = F.interpolate(x, scale_factor=2.0, mode="nearest")
    assert torch.equal(upsample_and_pad(x, 2), F.pad(twice, (2, 2, 2, 2), mode="replicate"))
    assert torch.autograd.gradcheck(lambda each: padding._PadReplicate.apply(each, 1), x)


@pytest.mark.parametrize("size", [(5, 4), (2, 3), (1, 1), (1, 6), (3, 1)])
def test_the_border_is_mirrored_and_a_single_position_is_repeated(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    rows, columns = map(torch.arange, size)
    mirrored = [
        torch.cat([each[min(1, len(each) - 1)][None], each, each[max(-2, -len(each))][None]])
        for each in (rows, columns)
    ]
    assert torch.equal(pad_reflect(x), x[:, :, mirrored[0]][..., mirrored[1]])
    if min(size) > 1:
        assert torch.equal(pad_reflect(x), F.pad(x, (1, 1, 1, 1), mode="reflect"))


def test_a_wide_border_repeats_the_edge_and_its_gradient_is_that_of_padding() -> None:
    x = noise(2, 3, 5, 6).requires_grad_()
    layer = PaddedConvolution(3, 2, kernel_size=9)
    padded = F.pad(x, (4, 4, 4, 4), mode="replicate")
    assert torch.equal(pad_replicate(x, 4), padded)
    plain = F.conv2d(padded, layer.weight, layer.bias)
    ours, theirs = (torch.autograd.grad(y.square().sum(), x)[0] for y in (layer(x), plain))
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
