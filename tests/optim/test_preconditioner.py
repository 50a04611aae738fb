"""Test the preconditioners of L-BFGS: their spectra, their symmetry, and the steps that result."""

from __future__ import annotations

import pytest
import scipy.fft
import torch
from support import smooth_image
from torch import Tensor

from impasto.images import bicubic
from impasto.optim.descent import descend
from impasto.optim.preconditioner import CUTOFF, GRAY, LowPass, Preconditioner
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


def enlargements(grid: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Return the enlarged images of all units of a grid of one color, one per column."""
    count = grid[0] * grid[1]
    units = torch.eye(count, dtype=torch.float64).view(count, 1, *grid)
    return bicubic(units, shape).view(count, -1).T


def test_a_low_pass_is_the_enlargement_times_its_adjoint() -> None:
    low_pass = LowPass(torch.zeros(1, 3, 9, 14), (3, 5))
    gradient = torch.rand(1, 3, 9, 14, generator=torch.Generator().manual_seed(1))
    u = enlargements((3, 5), (9, 14)).float()
    expected = gradient.view(3, -1) @ u @ u.T
    in_bf16 = gradient.bfloat16()
    low_pass(in_bf16)
    assert torch.allclose(in_bf16.float().view(3, -1), expected, rtol=0.02, atol=0.02)
    assert torch.allclose(low_pass(gradient.flatten()).view(3, -1), expected, atol=1e-5)


@pytest.mark.parametrize("starts_at_bound", [False, True])
def test_the_steps_on_a_grid_end_at_the_best_enlarged_image_without_grain(starts_at_bound: bool) -> None:
    height, width, grid = 24, 32, (6, 8)
    target = 0.3 + 0.4 * torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(2))
    start = torch.full_like(target, 0.0 if starts_at_bound else 0.5)

    def objective(image: Image) -> dict[str, Tensor]:
        return {"distance": (image - target).square().mean()}

    steps = list(descend(objective, start, steps=10, grid=grid))
    u = enlargements(grid, (height, width)).float()
    best = torch.linalg.pinv(u) @ (target - start).view(3, -1).T
    expected = start.view(3, -1).T + u @ best
    assert torch.allclose(min(steps, key=lambda step: step.loss).image().view(3, -1).T, expected, atol=2e-3)
    moved = (steps[1].image() - start).view(3, -1).T  # the first step has no finer structures, either
    assert torch.allclose(u @ (torch.linalg.pinv(u) @ moved), moved, atol=1e-5)
