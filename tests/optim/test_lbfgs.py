"""Test that the compact form of L-BFGS equals the two-loop recursion and PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import noise
from torch import Tensor

from impasto.optim.descent import descend
from impasto.optim.lbfgs import InverseHessian, LbfgsUpdate

CPU = torch.device("cpu")
Pair = tuple[Tensor, Tensor]


def two_loops(pairs: list[Pair], gradient: Tensor) -> Tensor:
    """Return the inverse Hessian times the gradient by Nocedal & Wright, algorithm 7.4, in float64."""
    wide = [(step.double(), change.double()) for step, change in pairs]
    q, alphas = gradient.double(), []
    for step, change in reversed(wide):
        alpha = step.dot(q) / step.dot(change)
        alphas.append(alpha)
        q = q - alpha * change
    if wide:
        step, change = wide[-1]
        q = q * (step.dot(change) / change.dot(change))
    for (step, change), alpha in zip(wide, reversed(alphas), strict=True):
        q = q + (alpha - change.dot(q) / step.dot(change)) * step
    return q


def curved_pairs(count: int, size: int, seed: int = 0) -> list[Pair]:
    """Return steps and the changes of the gradient of a random positive definite matrix."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator)
    matrix = root @ root.T / size + 0.5 * torch.eye(size)
    steps = torch.randn(count, size, generator=generator)
    return [(step, matrix @ step) for step in steps]


def hessian_of(pairs: list[Pair], history: int) -> InverseHessian:
    hessian = InverseHessian(history, pairs[0][0].numel(), CPU)
    for step, change in pairs:
        hessian.update(step, change)
    return hessian


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 11, 12, 20])
def test_the_product_equals_the_two_loop_recursion_also_after_old_pairs_were_dropped(count: int) -> None:
    history = 6
    pairs = curved_pairs(count, 40, seed=count)
    gradient = torch.randn(40, generator=torch.Generator().manual_seed(9))

    product = hessian_of(pairs, history).times(gradient)

    truth = two_loops(pairs[-history:], gradient)
    assert (product.double() - truth).norm() < 2e-5 * truth.norm()


def test_the_newest_pair_satisfies_the_secant_equation() -> None:
    pairs = curved_pairs(9, 30)
    step, change = pairs[-1]
    assert torch.allclose(hessian_of(pairs, 5).times(change), step, atol=1e-4)


def test_large_vectors_are_processed_in_parts_with_pairs_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = curved_pairs(9, 40)
    gradient = torch.randn(40, generator=torch.Generator().manual_seed(9))
    whole = hessian_of(pairs, 6).times(gradient)
    monkeypatch.setattr("impasto.optim.lbfgs.LARGE", 39)
    monkeypatch.setattr("impasto.optim.lbfgs.PART", 7)
    hessian = hessian_of(pairs, 6)
    assert hessian.dtype is torch.bfloat16
    assert (hessian.times(gradient) - whole).norm() < 0.02 * whole.norm()

    monkeypatch.setattr("impasto.optim.lbfgs.LARGE_HISTORY", 4 * 40 * 4)  # bytes of 4 pairs
    fewer = hessian_of(pairs, 6).times(gradient)
    truth = two_loops(pairs[-4:], gradient)
    assert (fewer - truth).norm() < 0.02 * truth.norm()


def test_an_image_is_updated_in_parts_almost_as_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    start = noise(1, 3, 20, 24, seed=0)
    center, scale = noise(1, 3, 20, 24, seed=1) * 1.5 - 0.25, 0.5 + noise(1, 3, 20, 24, seed=2)

    def minimized() -> Tensor:
        update, image = LbfgsUpdate(start, 1.0, 6), start
        for _ in range(12):
            image = update(image, scale * (image - center))
        return image

    whole = minimized()
    monkeypatch.setattr("impasto.optim.lbfgs.LARGE", 1000)
    monkeypatch.setattr("impasto.optim.lbfgs.PART", 100)
    in_parts = minimized()
    assert (whole - center.clamp(0, 1)).abs().max() < 1e-3
    assert (in_parts - center.clamp(0, 1)).abs().max() < 1e-3


def test_without_pairs_the_product_is_the_gradient() -> None:
    gradient = torch.arange(5.0)
    assert torch.equal(InverseHessian(3, 5, CPU).times(gradient), torch.arange(5.0))


@pytest.mark.parametrize("curvature", [-1.0, 0.0, float("nan")])
def test_a_pair_without_positive_curvature_is_ignored(curvature: float) -> None:
    pairs = curved_pairs(4, 20)
    gradient = torch.randn(20, generator=torch.Generator().manual_seed(1))
    with_invalid = [
        *pairs[:2],
        (pairs[0][0], curvature * pairs[0][0]),
        *pairs[2:],
        (pairs[1][0], curvature * pairs[1][0]),
    ]
    assert torch.equal(hessian_of(with_invalid, 5).times(gradient), hessian_of(pairs, 5).times(gradient))


@pytest.mark.parametrize("count", [0, 3])
def test_changing_the_product_does_not_change_the_gradient(count: int) -> None:
    hessian = hessian_of(curved_pairs(3, 20), 5) if count else InverseHessian(5, 20, CPU)
    gradient = torch.randn(20, generator=torch.Generator().manual_seed(1))
    before = gradient.clone()
    hessian.times(gradient).mul_(-1)
    assert torch.equal(gradient, before)


# Comparison with PyTorch


def quadratic(x: Tensor) -> Tensor:
    scales = torch.logspace(0, 2, x.numel())
    return 0.5 * (scales * (x - 0.3).square()).sum()


def rosenbrock(x: Tensor) -> Tensor:
    """Return the Rosenbrock function, chained over all variables."""
    return (10 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()


def iterates_of_pytorch(objective: Callable[[Tensor], Tensor], start: Tensor, count: int) -> list[Tensor]:
    x = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([x], lr=1, max_iter=1, history_size=5, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = objective(x)
        value.backward()
        return value

    iterates = []
    for _ in range(count):
        optimizer.step(closure)
        iterates.append(x.detach().clone())
    return iterates


@pytest.mark.parametrize("objective", [quadratic, rosenbrock])
def test_the_iterates_equal_those_of_pytorch_without_line_search(objective: Callable[[Tensor], Tensor]) -> None:
    start = torch.linspace(-0.6, 0.9, 12)
    count = 14
    expected = iterates_of_pytorch(objective, start, count)
    hessian, x = InverseHessian(5, 12, CPU), start.clone()
    last: Pair | None = None
    for i in range(count):
        point = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(point), point)
        if last:
            hessian.update(last[0], gradient - last[1])
            step = -hessian.times(gradient)
        else:
            step = -min(1.0, 1 / gradient.abs().sum().item()) * gradient
        last = (step, gradient)
        x = x + step
        assert torch.allclose(x, expected[i], rtol=1e-3, atol=1e-3), i


@pytest.mark.parametrize("preconditioned", [False, True])
def test_pairs_that_a_run_cannot_fill_are_not_stored(preconditioned: bool) -> None:
    target = torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(1))
    start = torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(2))

    def objective(image: Tensor) -> dict[str, Tensor]:
        return {"distance": ((image - target) * target).square().sum()}

    runs = [
        [step.image() for step in descend(objective, start, steps=6, history=pairs, preconditioned=preconditioned)]
        for pairs in (5, 10)
    ]
    assert all(bool((few == many).all()) for few, many in zip(*runs, strict=True))
