"""Tests of Adam and RMSprop: the steps of `torch.optim`, without the seconds that its import of a compiler takes."""

import subprocess
import sys

import pytest
import torch
from support import TIMEOUT, noise

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


def test_an_update_does_not_import_the_compiler_of_torch() -> None:
    code = (
        "import sys, torch; from impasto.optim.first_order import FirstOrderUpdate as update;"
        "[update(name, torch.zeros(4), 0.1)(torch.zeros(4), torch.ones(4)) for name in ('adam', 'rmsprop')];"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=TIMEOUT, check=False).returncode == 0
