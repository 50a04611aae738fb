"""Test the optimizers of pixels: convergence, bounds, number of evaluations, and losses that are not finite."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from support import noise
from torch import Tensor

from impasto.optim import descent
from impasto.optim.descent import DIVERGED, LIMIT, DivergedError, Optimizer, descend
from impasto.optim.lbfgs import FIRST_STEP
from impasto.types import Step

SHAPE = (1, 3, 6, 7)
EACH = pytest.mark.parametrize(
    "settings",
    [{"optimizer": name, "pyramid": levels} for name in ("lbfgs", "adam", "rmsprop") for levels in (0, 3)],
    ids=lambda settings: f"{settings['optimizer']}-{settings['pyramid']}",
)


def random_image(seed: int = 0) -> Tensor:
    return noise(*SHAPE, seed=seed)


class Quadratic:
    """Squared distance to a target, steeper in some pixels.

    Counts its calls; the loss is multiplied by `failure` at the calls `fail_at`.
    """

    def __init__(self, target: Tensor, fail_at: tuple[int, ...] = (), failure: float = math.nan) -> None:
        self.target, self.fail_at, self.failure = target, fail_at, failure
        self.steepness = torch.logspace(0, 1.5, target.numel()).view_as(target)
        self.calls = 0

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        loss = (self.steepness * (image - self.target).square()).sum()
        if self.calls in self.fail_at:
            loss = loss * self.failure
        return {"near": 0.75 * loss, "far": 0.25 * loss}


def losses(iterates: list[Step]) -> list[float]:
    return [iterate.loss for iterate in iterates]


def run(objective: Callable[[Tensor], dict[str, Tensor]], start: Tensor, **settings: Any) -> list[Step]:
    return list(descend(objective, start, **settings))


@EACH
def test_the_loss_converges_to_zero(settings: dict[str, Any]) -> None:
    values = losses(run(Quadratic(0.2 + 0.6 * random_image(1)), random_image(), **settings, steps=100))
    assert values[-1] < 1e-3 * values[0]


def test_a_loss_near_zero_may_increase_without_being_taken_back() -> None:
    for seed in range(1, 6):
        iterates = run(Quadratic(0.2 + 0.6 * random_image(seed), fail_at=(40,), failure=100), random_image(), steps=100)
        values = losses(iterates)
        assert DIVERGED * min(values[:39]) < values[39] < 1e-6 * values[0]
        assert iterates[-1].evaluations == 100  # no step was taken back
        assert values[-1] < 1e-9 * values[0]


@EACH
@pytest.mark.parametrize("lr", [None, 3.0, 50.0])
def test_every_image_is_within_the_bounds_even_if_the_target_is_not(settings: dict[str, Any], lr: float | None) -> None:
    iterates = run(Quadratic(4 * random_image(1) - 1.5), random_image(), **settings, lr=lr, steps=40)
    values = losses(iterates)
    assert all(iterate.image().min() >= 0 and iterate.image().max() <= 1 for iterate in iterates)
    assert min(values) < values[0]


@pytest.mark.parametrize("levels", [0, 3])
@pytest.mark.parametrize(("optimizer", "tolerance"), [("lbfgs", 0.07), ("adam", 0.001), ("rmsprop", 0.001)])
def test_the_smallest_loss_within_the_bounds_is_reached_at_active_bounds(
    optimizer: Optimizer, tolerance: float, levels: int
) -> None:
    target = 4 * random_image(1) - 1.5
    optimum = sum(loss.item() for loss in Quadratic(target)(target.clamp(0, 1)).values())
    values = losses(run(Quadratic(target), random_image(), optimizer=optimizer, pyramid=levels, steps=150))
    assert min(values) < (1 + tolerance) * optimum


def test_the_clamped_part_of_a_step_of_the_pyramid_is_not_used_as_curvature() -> None:
    excess = 0.0
    for seed in (1, 2, 3):  # so far outside that every early step is clamped; using it as curvature gives 1.1e-3
        target = 8 * random_image(seed) - 3.5
        optimum = sum(loss.item() for loss in Quadratic(target)(target.clamp(0, 1)).values())
        excess += min(losses(run(Quadratic(target), random_image(), pyramid=3, steps=10))) / optimum - 1
    assert excess < 6e-4


def test_a_start_outside_the_bounds_is_clamped_and_not_changed() -> None:
    start = 3 * random_image() - 1
    before = start.clone()
    first = run(Quadratic(random_image(1)), start, steps=3)[0]
    assert torch.equal(first.image(), before.clamp(0, 1))
    assert torch.equal(start, before)


@EACH
def test_the_losses_of_a_step_are_those_of_its_image(settings: dict[str, Any]) -> None:
    objective = Quadratic(random_image(1))
    for iterate in run(
        objective, random_image(), **settings, steps=12
    ):  # all are kept, so that a shared buffer would be noticed
        assert iterate.losses == {name: loss.item() for name, loss in objective(iterate.image()).items()}


@EACH
@pytest.mark.parametrize("steps", [1, 2, 37])
def test_the_number_of_steps_is_exact(settings: dict[str, Any], steps: int) -> None:
    objective = Quadratic(random_image(1))
    iterates = run(objective, random_image(), **settings, steps=steps)
    assert [iterate.index for iterate in iterates] == list(range(1, steps + 1))
    assert [iterate.evaluations for iterate in iterates] == list(range(1, steps + 1))
    assert objective.calls == steps


@EACH
@pytest.mark.parametrize(("steps", "fail_at"), [(1, ()), (5, ()), (5, (5,)), (5, (3,))])
def test_only_the_last_step_has_no_gradient(settings: dict[str, Any], steps: int, fail_at: tuple[int, ...]) -> None:
    quadratic, found = Quadratic(random_image(1), fail_at), []

    def objective(image: Tensor) -> dict[str, Tensor]:
        found.append(image.requires_grad)
        return quadratic(image)

    iterates = run(objective, random_image(), **settings, steps=steps)
    without = 1 + (fail_at == (steps,))  # a last step that is taken back is evaluated twice
    assert found == [True] * (steps + len(fail_at) - without) + [False] * without
    longer = run(Quadratic(random_image(1), fail_at), random_image(), **settings, steps=steps + 3)[:steps]
    assert losses(iterates) == losses(longer)
    assert torch.equal(iterates[-1].image(), longer[-1].image())


@EACH
def test_without_steps_it_stops_when_it_has_converged(settings: dict[str, Any]) -> None:
    target = 3 * random_image(1) - 1  # outside the bounds, so that the loss does not converge to 0
    iterates = run(Quadratic(target), random_image(), **settings)
    assert 25 < len(iterates) < LIMIT / 4
    optimum = sum(loss.item() for loss in Quadratic(target)(target.clamp(0, 1)).values())
    assert min(losses(iterates)) < 1.07 * optimum


@EACH
def test_a_higher_tolerance_stops_the_same_run_earlier(settings: dict[str, Any]) -> None:
    objective = Quadratic(3 * random_image(1) - 1)
    short, long = (losses(run(objective, random_image(), **settings, tolerance=each)) for each in (0.2, 0.01))
    assert 25 < len(short) < len(long)
    assert short == long[: len(short)]
    assert min(short[:-25]) - min(short) <= 0.2 * min(short)  # and not one step later
    assert min(short[:-26]) - min(short[:-1]) > 0.2 * min(short[:-1])


def test_a_start_at_the_minimum_stops_too() -> None:
    assert len(run(Quadratic(random_image()), random_image())) < 100


@EACH
def test_the_same_start_gives_the_same_images(settings: dict[str, Any]) -> None:
    first, second = (run(Quadratic(random_image(1)), random_image(), **settings, steps=30) for _ in range(2))
    assert all(torch.equal(a.image(), b.image()) for a, b in zip(first, second, strict=True))
    assert losses(first) == losses(second)


def test_closing_the_iterator_ends_the_run() -> None:
    objective = Quadratic(random_image(1))
    iterates = descend(objective, random_image(), steps=100)
    next(iterates), next(iterates)
    iterates.close()
    assert objective.calls == 2
    assert list(iterates) == []


# Losses that are not finite


@EACH
@pytest.mark.parametrize("failure", [math.nan, math.inf, 1e6])
def test_a_step_with_an_invalid_loss_is_taken_back_and_the_run_continues(
    settings: dict[str, Any], failure: float
) -> None:
    objective = Quadratic(random_image(1), fail_at=(9,), failure=failure)
    iterates = run(objective, random_image(), **settings, steps=60)
    values = losses(iterates)
    assert len(iterates) == 60
    assert all(math.isfinite(value) and value <= 3 * values[0] for value in values)
    assert all(iterate.image().isfinite().all() for iterate in iterates)
    assert torch.equal(iterates[8].image(), min(iterates[:8], key=lambda i: i.loss).image())
    assert values[-1] < 0.1 * values[8]


def test_a_step_with_an_invalid_gradient_is_taken_back_too() -> None:
    class Cusp(Quadratic):
        """Has a finite loss, and once a gradient that is not finite."""

        def __call__(self, image: Tensor) -> dict[str, Tensor]:
            terms = super().__call__(image)
            return terms | {"cusp": (0 * image).abs().sqrt().sum()} if self.calls == 7 else terms

    iterates = run(Cusp(random_image(1)), random_image(), steps=40)
    assert all(iterate.image().isfinite().all() for iterate in iterates)
    assert iterates[6].evaluations == 8  # immediately, and not after the next image is invalid
    assert losses(iterates)[-1] < 0.01 * losses(iterates)[0]


def test_evaluations_include_those_of_steps_that_were_taken_back() -> None:
    objective = Quadratic(random_image(1), fail_at=(5, 12))
    counted = [(iterate.evaluations, objective.calls) for iterate in descend(objective, random_image(), steps=20)]
    assert all(recorded == calls for recorded, calls in counted)
    assert objective.calls == 22


@EACH
@pytest.mark.parametrize("lr", [20.0, 100.0])
def test_a_very_long_step_never_gives_a_black_or_invalid_image(settings: dict[str, Any], lr: float) -> None:
    class Steep(Quadratic):
        """A loss that overflows far from its target."""

        def __call__(self, image: Tensor) -> dict[str, Tensor]:
            return {"steep": (40 * (image - self.target)).square().exp().mean()}

    target = 0.4 + 0.2 * random_image(1)
    start = (target + 0.1 * (random_image(2) - 0.5)).clamp(0, 1)
    iterates: list[Step] = []
    try:
        for iterate in descend(Steep(target), start, **settings, lr=lr, steps=60):
            iterates.append(iterate)
    except DivergedError:
        pass  # the steps before it are valid
    values = losses(iterates)
    best = iterates[values.index(min(values))].image()
    assert all(math.isfinite(value) for value in values)
    assert min(values) <= values[0]
    assert best.isfinite().all()
    assert 0.2 < best.mean() < 0.8


@EACH
@pytest.mark.parametrize("failure", [math.nan, math.inf])
def test_a_start_without_a_finite_loss_is_an_error_of_one_line(settings: dict[str, Any], failure: float) -> None:
    with pytest.raises(ValueError, match=r"^the loss of the start is not finite.*$"):
        run(Quadratic(random_image(1), fail_at=(1,), failure=failure), random_image(), **settings, steps=5)


@EACH
def test_a_loss_that_fails_at_every_step_ends_the_run_with_an_error(settings: dict[str, Any]) -> None:
    failing = Quadratic(random_image(1), fail_at=tuple(range(10, 1000)))
    iterates: list[Step] = []
    with pytest.raises(DivergedError):
        iterates.extend(descend(failing, random_image(), **settings, steps=500))
    assert all(iterate.image().isfinite().all() for iterate in iterates)
    assert failing.calls < 40


# Comparison with PyTorch


def nonconvex(image: Tensor) -> dict[str, Tensor]:
    """Return a quadratic loss with ripples, whose curvature is negative at some positions."""
    distance = image - torch.linspace(0.35, 0.65, image.numel()).view_as(image)
    return {"loss": (distance.square() + 0.02 * (14 * distance).cos()).sum()}


def quadratic(image: Tensor) -> dict[str, Tensor]:
    return Quadratic(torch.linspace(0.4, 0.6, image.numel()).view_as(image))(image)


@pytest.mark.parametrize("objective", [quadratic, nonconvex])
def test_lbfgs_equals_that_of_pytorch_after_the_same_first_step(
    objective: Callable[[Tensor], dict[str, Tensor]],
) -> None:
    start = 0.45 + 0.1 * random_image()
    ours = run(objective, start, steps=13, history=6)
    assert all(iterate.image().min() > 0 and iterate.image().max() < 1 for iterate in ours)

    pixels = start.clone().requires_grad_()
    reference = torch.optim.LBFGS([pixels], max_iter=1, history_size=6, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        reference.zero_grad()
        loss = sum(objective(pixels).values())
        loss.backward()
        return loss

    closure()
    gradient = pixels.grad
    length = FIRST_STEP / gradient.square().mean().sqrt()
    reference.param_groups[0]["lr"] = (length / min(1.0, 1 / gradient.abs().sum())).item()
    for iterate in ours[1:]:
        reference.step(closure)
        reference.param_groups[0]["lr"] = 1
        assert torch.allclose(iterate.image(), pixels, atol=1e-4), iterate.index


def test_a_diverged_image_and_its_optimizer_are_freed_before_the_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    quadratic, make_update = Quadratic(0.2 + 0.6 * random_image(1), fail_at=(3,)), descent._make_update
    updates: list[weakref.ref[Any]] = []
    images: list[weakref.ref[Any]] = []

    def recording_update(*arguments: Any) -> Any:
        assert not [each for each in updates if each() is not None]
        update = make_update(*arguments)
        updates.append(weakref.ref(update))
        return update

    def objective(image: Tensor) -> dict[str, Tensor]:
        alive = [i for i, each in enumerate(images, 1) if each() is not None]
        images.append(weakref.ref(image.untyped_storage()))
        if len(images) == 4:
            assert alive == [2]  # the best image, which is evaluated again
        return quadratic(image)

    monkeypatch.setattr(descent, "_make_update", recording_update)
    for step in descend(objective, random_image(), steps=4):
        del step
    assert len(updates) == 2
