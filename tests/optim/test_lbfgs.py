"""L-BFGS in its compact form is L-BFGS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.optim.lbfgs import InverseHessian

CPU = torch.device("cpu")
Pair = tuple[Tensor, Tensor]


def two_loops(pairs: list[Pair], gradient: Tensor) -> Tensor:
    """The inverse Hessian times the gradient by Nocedal & Wright, algorithm 7.4, in float64."""
    wide = [(step.double(), change.double()) for step, change in pairs]
    q, walked = gradient.double(), []
    for step, change in reversed(wide):
        alpha = step.dot(q) / step.dot(change)
        walked.append(alpha)
        q = q - alpha * change
    if wide:
        step, change = wide[-1]
        q = q * (step.dot(change) / change.dot(change))
    for (step, change), alpha in zip(wide, reversed(walked), strict=True):
        q = q + (alpha - change.dot(q) / step.dot(change)) * step
    return q


def curved_pairs(count: int, size: int, seed: int = 0) -> list[Pair]:
    """Steps and the changes of gradient that a random positive definite matrix gives them."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator)
    matrix = root @ root.T / size + 0.5 * torch.eye(size)
    steps = torch.randn(count, size, generator=generator)
    return [(step, matrix @ step) for step in steps]


def remembering(pairs: list[Pair], history: int) -> InverseHessian:
    hessian = InverseHessian(history, pairs[0][0].numel(), CPU)
    for step, change in pairs:
        hessian.update(step, change)
    return hessian


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 11, 12, 20])
def test_the_product_is_that_of_the_two_loop_recursion_also_when_old_pairs_were_forgotten(count: int) -> None:
    history = 6
    pairs = curved_pairs(count, 40, seed=count)
    gradient = torch.randn(40, generator=torch.Generator().manual_seed(9))

    product = remembering(pairs, history).times(gradient)

    truth = two_loops(pairs[-history:], gradient)
    assert (product.double() - truth).norm() < 2e-5 * truth.norm()


def test_the_newest_step_is_undone_exactly() -> None:
    pairs = curved_pairs(9, 30)
    step, change = pairs[-1]
    assert torch.allclose(remembering(pairs, 5).times(change), step, atol=1e-4)  # the secant equation


def test_a_gradient_stays_itself_while_nothing_is_known() -> None:
    gradient = torch.arange(5.0)
    assert torch.equal(InverseHessian(3, 5, CPU).times(gradient), torch.arange(5.0))


@pytest.mark.parametrize("bend", [-1.0, 0.0, float("nan")])
def test_a_pair_without_positive_curvature_is_passed_over(bend: float) -> None:
    pairs = curved_pairs(4, 20)
    gradient = torch.randn(20, generator=torch.Generator().manual_seed(1))
    with_bad = [*pairs[:2], (pairs[0][0], bend * pairs[0][0]), *pairs[2:], (pairs[1][0], bend * pairs[1][0])]
    assert torch.equal(remembering(with_bad, 5).times(gradient), remembering(pairs, 5).times(gradient))


@pytest.mark.parametrize("known", [0, 3])
def test_the_gradient_is_not_changed_by_what_is_done_with_the_product(known: int) -> None:
    hessian = remembering(curved_pairs(3, 20), 5) if known else InverseHessian(5, 20, CPU)
    gradient = torch.randn(20, generator=torch.Generator().manual_seed(1))
    before = gradient.clone()
    hessian.times(gradient).mul_(-1)
    assert torch.equal(gradient, before)


# Against torch


def quadratic(x: Tensor) -> Tensor:
    scales = torch.logspace(0, 2, x.numel())
    return 0.5 * (scales * (x - 0.3).square()).sum()


def rosenbrock(x: Tensor) -> Tensor:
    """A curved valley; chained over all variables."""
    return (10 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()


def torchs_iterates(objective: Callable[[Tensor], Tensor], start: Tensor, count: int) -> list[Tensor]:
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
def test_the_iterates_are_those_of_torch_without_line_search(objective: Callable[[Tensor], Tensor]) -> None:
    start = torch.linspace(-0.6, 0.9, 12)
    count = 14
    expected = torchs_iterates(objective, start, count)
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
