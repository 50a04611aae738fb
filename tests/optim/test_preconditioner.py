"""Test the preconditioner of L-BFGS: its spectrum, its symmetry, and the steps that it saves."""

from __future__ import annotations

import pytest
import scipy.fft
import torch
from support import smooth_image
from torch import Tensor

from impasto.optim.descent import descend
from impasto.optim.preconditioner import CUTOFF, GRAY, Preconditioner
from impasto.types import Image


def test_it_is_symmetric_and_positive_definite() -> None:
    image = smooth_image(5, 7, 1).double()
    precondition = Preconditioner(image)
    matrix = torch.stack([precondition(unit) for unit in torch.eye(image.numel(), dtype=torch.float64)])
    assert torch.allclose(matrix, matrix.mT, atol=1e-12)
    assert torch.linalg.eigvalsh(matrix).min() > 0


def test_a_cosine_is_amplified_by_the_gain_of_its_frequency_and_gray_three_times() -> None:
    height, width = 40, 300
    precondition = Preconditioner(torch.zeros(1, 3, height, width, dtype=torch.float64))
    x = torch.arange(width, dtype=torch.float64)
    for index in (0, 2, 100):  # index / 2 periods over the width
        wave = torch.cos(torch.pi * index * (x + 0.5) / width).expand(1, 1, height, width)
        gain = min(1.0, CUTOFF / max(index / (2 * width), 1e-9))
        red_minus_green = torch.cat([wave, -wave, torch.zeros_like(wave)], 1)
        assert torch.allclose(precondition(red_minus_green), gain * red_minus_green, atol=1e-9)
        gray = wave.expand(1, 3, -1, -1)
        assert torch.allclose(precondition(gray), GRAY * gain * gray, atol=1e-9)


def test_the_basis_is_that_of_the_discrete_cosine_transform() -> None:
    image = smooth_image(12, 9, 1).double()
    image = image - image.mean(1, keepdim=True)  # no gray
    spectrum = scipy.fft.dctn(Preconditioner(image)(image).numpy(), axes=(-2, -1), norm="ortho")
    original = scipy.fft.dctn(image.numpy(), axes=(-2, -1), norm="ortho")
    assert spectrum[0, 0, 0, 1] / original[0, 0, 0, 1] == pytest.approx(CUTOFF * 18)  # half a period in 9 pixels


def test_it_saves_steps_where_large_areas_change_and_fine_structures_are_stiff() -> None:
    target = torch.full((1, 3, 32, 48), 0.25)
    target[..., 24:] = 0.75

    def objective(image: Image) -> dict[str, Tensor]:
        error = image - target
        fine = error[..., 1:] - error[..., :-1]
        return {"areas": error.square().mean(), "fine": 100 * fine.square().mean()}

    def loss(*, preconditioned: bool) -> float:
        start = torch.full_like(target, 0.5)
        return min(step.loss for step in descend(objective, start, steps=12, preconditioned=preconditioned))

    assert loss(preconditioned=True) < 0.5 * loss(preconditioned=False)
