"""The descent: always in the box, never lost, as long as asked, and counted honestly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.optim.descent import DIVERGED, LIMIT, DivergedError, Optimizer, descend
from impasto.optim.lbfgs import FIRST_STEP
from impasto.types import Step

SHAPE = (1, 3, 6, 7)
WAYS = pytest.mark.parametrize(
    "way",
    [{"optimizer": name, "pyramid": levels} for name in ("lbfgs", "adam", "rmsprop") for levels in (0, 3)],
    ids=lambda way: f"{way['optimizer']}-{way['pyramid']}",
)


def random(seed: int = 0) -> Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed))


class Bowl:
    """Squared distance to a target, steeper in some pixels; counts how often it is asked, and fails when told."""

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


def paint(objective: Callable[[Tensor], dict[str, Tensor]], start: Tensor, **settings: Any) -> list[Step]:
    return list(descend(objective, start, **settings))


@WAYS
def test_the_loss_falls_to_the_target(way: dict[str, Any]) -> None:
    values = losses(paint(Bowl(0.2 + 0.6 * random(1)), random(), **way, steps=100))
    assert values[-1] < 1e-3 * values[0]


def test_a_loss_that_has_fallen_to_nothing_may_grow_there() -> None:
    for seed in range(1, 13):
        iterates = paint(Bowl(0.2 + 0.6 * random(seed), fail_at=(40,), failure=100), random(), steps=100)
        values = losses(iterates)
        assert DIVERGED * min(values[:39]) < values[39] < 1e-6 * values[0]
        assert iterates[-1].evaluations == 100  # nothing was taken back
        assert values[-1] < 1e-9 * values[0]


@WAYS
@pytest.mark.parametrize("lr", [None, 3.0, 50.0])
def test_every_picture_lies_in_the_box_even_where_the_target_does_not(way: dict[str, Any], lr: float | None) -> None:
    bowl = Bowl(4 * random(1) - 1.5)
    start = random()
    values = losses(iterates := paint(bowl, start, **way, lr=lr, steps=40))
    assert all(iterate.image().min() >= 0 and iterate.image().max() <= 1 for iterate in iterates)
    assert min(values) < values[0]


@pytest.mark.parametrize("levels", [0, 3])
@pytest.mark.parametrize(("optimizer", "tolerance"), [("lbfgs", 0.07), ("adam", 0.001), ("rmsprop", 0.001)])
def test_the_best_loss_inside_the_box_is_reached_on_its_wall(
    optimizer: Optimizer, tolerance: float, levels: int
) -> None:
    target = 4 * random(1) - 1.5
    optimum = sum(loss.item() for loss in Bowl(target)(target.clamp(0, 1)).values())
    values = losses(paint(Bowl(target), random(), optimizer=optimizer, pyramid=levels, steps=150))
    assert min(values) < (1 + tolerance) * optimum


def test_what_the_box_cuts_off_a_step_of_the_pyramid_is_not_taken_for_curvature() -> None:
    excess = 0.0
    for seed in (1, 2, 3):  # targets so far out that every early step is cut; without taking it back 1.1e-3
        target = 8 * random(seed) - 3.5
        optimum = sum(loss.item() for loss in Bowl(target)(target.clamp(0, 1)).values())
        excess += min(losses(paint(Bowl(target), random(), pyramid=3, steps=10))) / optimum - 1
    assert excess < 6e-4


def test_a_start_outside_the_box_is_put_into_it_and_left_as_it_was() -> None:
    start = 3 * random() - 1
    before = start.clone()
    first = paint(Bowl(random(1)), start, steps=3)[0]
    assert torch.equal(first.image(), before.clamp(0, 1))
    assert torch.equal(start, before)


@WAYS
def test_the_losses_are_those_of_the_picture_they_come_with(way: dict[str, Any]) -> None:
    bowl = Bowl(random(1))
    for iterate in paint(bowl, random(), **way, steps=12):  # all kept: none may be overwritten later
        assert iterate.losses == {name: loss.item() for name, loss in bowl(iterate.image()).items()}


@WAYS
@pytest.mark.parametrize("steps", [1, 2, 37])
def test_it_takes_exactly_the_steps_that_are_given(way: dict[str, Any], steps: int) -> None:
    bowl = Bowl(random(1))
    iterates = paint(bowl, random(), **way, steps=steps)
    assert [iterate.index for iterate in iterates] == list(range(1, steps + 1))
    assert [iterate.evaluations for iterate in iterates] == list(range(1, steps + 1))
    assert bowl.calls == steps


@WAYS
def test_without_steps_it_stops_when_converged(way: dict[str, Any]) -> None:
    target = 3 * random(1) - 1  # on the wall, so that the loss does not go to 0
    iterates = paint(Bowl(target), random(), **way)
    assert 25 < len(iterates) < LIMIT / 4
    optimum = sum(loss.item() for loss in Bowl(target)(target.clamp(0, 1)).values())
    assert min(losses(iterates)) < 1.07 * optimum


@WAYS
def test_more_tolerance_stops_sooner_on_the_same_way(way: dict[str, Any]) -> None:
    bowl = Bowl(3 * random(1) - 1)
    short, long = (losses(paint(bowl, random(), **way, tolerance=each)) for each in (0.2, 0.01))
    assert 25 < len(short) < len(long)
    assert short == long[: len(short)]
    assert min(short[:-25]) - min(short) <= 0.2 * min(short)  # and not a step later than that
    assert min(short[:-26]) - min(short[:-1]) > 0.2 * min(short[:-1])


def test_a_start_that_cannot_be_better_stops_too() -> None:
    assert len(paint(Bowl(random()), random())) < 100


@WAYS
def test_the_same_start_gives_the_same_pictures_bit_for_bit(way: dict[str, Any]) -> None:
    first, again = (paint(Bowl(random(1)), random(), **way, steps=30) for _ in range(2))
    assert all(torch.equal(a.image(), b.image()) for a, b in zip(first, again, strict=True))
    assert losses(first) == losses(again)


def test_closing_the_iterator_stops_the_work() -> None:
    bowl = Bowl(random(1))
    iterates = descend(bowl, random(), steps=100)
    next(iterates), next(iterates)
    iterates.close()
    assert bowl.calls == 2
    assert list(iterates) == []


# When it goes wrong


@WAYS
@pytest.mark.parametrize("failure", [math.nan, math.inf, 1e6])
def test_a_loss_that_fails_once_is_taken_back_and_the_run_goes_on(way: dict[str, Any], failure: float) -> None:
    bowl = Bowl(random(1), fail_at=(9,), failure=failure)
    iterates = paint(bowl, random(), **way, steps=60)
    values = losses(iterates)
    assert len(iterates) == 60
    assert all(math.isfinite(value) and value <= 3 * values[0] for value in values)
    assert all(iterate.image().isfinite().all() for iterate in iterates)
    assert torch.equal(iterates[8].image(), min(iterates[:8], key=lambda i: i.loss).image())
    assert values[-1] < 0.1 * values[8]


def test_a_gradient_that_fails_once_is_taken_back_too() -> None:
    class Cusp(Bowl):
        """Its loss is always finite, its gradient once is not."""

        def __call__(self, image: Tensor) -> dict[str, Tensor]:
            terms = super().__call__(image)
            return terms | {"cusp": (0 * image).abs().sqrt().sum()} if self.calls == 7 else terms

    iterates = paint(Cusp(random(1)), random(), steps=40)
    assert all(iterate.image().isfinite().all() for iterate in iterates)
    assert iterates[6].evaluations == 8  # at once, not when the next picture is broken
    assert losses(iterates)[-1] < 0.01 * losses(iterates)[0]


def test_evaluations_count_those_of_failed_steps_too() -> None:
    bowl = Bowl(random(1), fail_at=(5, 12))
    counted = [(iterate.evaluations, bowl.calls) for iterate in descend(bowl, random(), steps=20)]
    assert all(said == done for said, done in counted)
    assert bowl.calls == 22


@WAYS
@pytest.mark.parametrize("lr", [20.0, 100.0])
def test_a_huge_step_never_leaves_a_black_or_broken_picture(way: dict[str, Any], lr: float) -> None:
    class Steep(Bowl):
        """Overflows far away from its target."""

        def __call__(self, image: Tensor) -> dict[str, Tensor]:
            return {"steep": (40 * (image - self.target)).square().exp().mean()}

    target = 0.4 + 0.2 * random(1)
    start = (target + 0.1 * (random(2) - 0.5)).clamp(0, 1)
    iterates: list[Step] = []
    try:
        for iterate in descend(Steep(target), start, **way, lr=lr, steps=60):
            iterates.append(iterate)
    except DivergedError:
        pass  # what was painted before it stands
    values = losses(iterates)
    best = iterates[values.index(min(values))].image()
    assert all(math.isfinite(value) for value in values)
    assert min(values) <= values[0]
    assert best.isfinite().all()
    assert 0.2 < best.mean() < 0.8


@WAYS
@pytest.mark.parametrize("failure", [math.nan, math.inf])
def test_a_start_without_a_finite_loss_is_refused_in_one_line(way: dict[str, Any], failure: float) -> None:
    with pytest.raises(ValueError, match=r"^the loss of the start is not finite.*$"):
        paint(Bowl(random(1), fail_at=(1,), failure=failure), random(), **way, steps=5)


@WAYS
def test_a_loss_that_fails_at_every_step_ends_the_run_with_an_error(way: dict[str, Any]) -> None:
    failing = Bowl(random(1), fail_at=tuple(range(10, 1000)))
    pictures: list[Step] = []
    with pytest.raises(DivergedError):
        pictures.extend(descend(failing, random(), **way, steps=500))
    assert all(picture.image().isfinite().all() for picture in pictures)
    assert failing.calls < 40


# Against torch


def hilly(image: Tensor) -> dict[str, Tensor]:
    """A bowl with ripples: its curvature is negative in places."""
    away = image - torch.linspace(0.35, 0.65, image.numel()).view_as(image)
    return {"hilly": (away.square() + 0.02 * (14 * away).cos()).sum()}


def bowl(image: Tensor) -> dict[str, Tensor]:
    return Bowl(torch.linspace(0.4, 0.6, image.numel()).view_as(image))(image)


@pytest.mark.parametrize("objective", [bowl, hilly])
def test_lbfgs_is_that_of_torch_from_the_same_first_step(objective: Callable[[Tensor], dict[str, Tensor]]) -> None:
    start = 0.45 + 0.1 * random()
    ours = paint(objective, start, steps=13, history=6)
    assert all(iterate.image().min() > 0 and iterate.image().max() < 1 for iterate in ours)

    pixels = start.clone().requires_grad_()
    torchs = torch.optim.LBFGS([pixels], max_iter=1, history_size=6, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        torchs.zero_grad()
        loss = sum(objective(pixels).values())
        loss.backward()
        return loss

    closure()
    gradient = pixels.grad
    length = FIRST_STEP / gradient.square().mean().sqrt()
    torchs.param_groups[0]["lr"] = (length / min(1.0, 1 / gradient.abs().sum())).item()
    for iterate in ours[1:]:
        torchs.step(closure)
        torchs.param_groups[0]["lr"] = 1
        assert torch.allclose(iterate.image(), pixels, atol=1e-4), iterate.index
