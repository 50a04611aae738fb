"""Test the noise that the network of `micro` adds to its input."""

from __future__ import annotations

import pytest
import torch

from impasto.networks.input_noise import add_input_noise, input_noise


@torch.no_grad()
def test_the_input_noise_is_periodic_and_follows_its_seed() -> None:
    noise = input_noise(64, 96, seed=3)
    assert torch.equal(noise, input_noise(64, 96, seed=3))
    assert not torch.equal(noise, input_noise(64, 96, seed=4))
    assert noise.shape == (1, 1, 64, 96)
    assert noise.mean().abs() < 0.02
    assert 0.02 < noise.std() < 0.06
    rough = (noise[..., 1:] - noise[..., :-1]).abs().mean()
    assert (noise[..., 0] - noise[..., -1]).abs().mean() < 2.5 * rough  # a seam would have 4


def test_the_input_noise_of_a_piece_is_that_of_the_whole_image_and_its_period_is_long() -> None:
    noise = input_noise(64, 40, seed=3)
    plain = torch.full((1, 3, 200, 360), 0.5)
    added = add_input_noise(plain, noise) - 0.5
    assert torch.equal(added[:, 0], added[:, 2])
    assert added.std().item() == pytest.approx(noise.std().item(), rel=0.1)
    piece = add_input_noise(plain[..., 30:90, 50:200], noise, 30, 50) - 0.5
    assert torch.equal(piece, added[..., 30:90, 50:200])
    assert torch.allclose(added[..., 320:], added[..., :40], atol=1e-6)  # 320: the least common multiple
    for period in (40, 64, 80, 128, 192, 256):
        apart = (added[..., period:] - added[..., :-period]).std()
        assert apart > 0.6 * added.std(), period  # 1.4 for independent noise, 0 for a period
