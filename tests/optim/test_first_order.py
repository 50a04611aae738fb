"""Tests of Adam and RMSprop: the steps of `torch.optim`."""

import pytest
import torch
from support import noise

from impasto.optim.first_order import FirstOrder, FirstOrderUpdate


@pytest.mark.parametrize(("name", "reference"), [("adam", torch.optim.Adam), ("rmsprop", torch.optim.RMSprop)])
def test_the_steps_are_those_of_torch_bit_for_bit(name: FirstOrder, reference: type[torch.optim.Optimizer]) -> None:
    image = noise(1, 3, 16, 20)
    pixels = image.clone()
    optimizer = reference([pixels], lr=0.03)  # type: ignore[call-arg]
    update = FirstOrderUpdate(name, image, 0.03)
    for seed in range(8):
        gradient = noise(1, 3, 16, 20, seed=seed) - 0.5
        pixels.grad = gradient.clone()
        optimizer.step()
        pixels.clamp_(0, 1)
        image = update(image, gradient)
        assert torch.equal(image, pixels)
