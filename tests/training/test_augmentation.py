"""Test the random shifts of training images."""

from __future__ import annotations

import torch

from impasto.training.augmentation import random_shift


def test_every_sample_is_shifted_by_its_own_offset_independent_of_the_batch() -> None:
    positions = torch.arange(24 * 24).view(1, 1, 24, 24).repeat(9, 1, 1, 1)
    first, second = random_shift([positions, 2 * positions], torch.arange(9), 8)
    assert first.shape == (9, 1, 16, 16)
    assert torch.equal(2 * first, second)
    corners = [divmod(int(each[0, 0, 0]), 24) for each in first]
    assert all(0 <= y <= 8 and 0 <= x <= 8 for y, x in corners)
    assert len(set(corners)) > 5
    assert torch.equal(random_shift([positions[4:]], torch.arange(4, 9), 8)[0], first[4:])
