"""An anchor keeps the image close to another one where its mask says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from impasto.images import load_image
from impasto.methods import METHODS, configure
from impasto.optim.anchors import AnchoredObjective
from impasto.optim.lbfgs import FIRST_STEP, NEAR_FIRST_STEP
from impasto.regions.subject import Anchor, single_region
from impasto.samples import resolve
from impasto.types import Image, Step

CPU = torch.device("cpu")


def last(method: str, anchor: Anchor | None) -> Step:
    content, style = (load_image(resolve(name), size=48) for name in ("woodcut", "mosaic"))
    settings = {"size": 48, **({"steps": 20} if method == "gpdm" else {"steps": 8, "backbone": "tiny"})}
    if method == "strotss":
        settings["positions"] = 128
    subject = replace(single_region(content, [style]), anchors=() if anchor is None else (anchor,))
    *_, step = METHODS[method](configure(method, {**settings, "sizes": (48,)})).run(subject)
    return step


def first_step(anchor: Anchor | None, pyramid: int = 0, region: torch.Tensor | None = None) -> float:
    """Return the root mean square of the first step of L-BFGS from a start between the bounds."""
    content, style = (load_image(resolve(name), size=48) for name in ("woodcut", "mosaic"))
    settings = {"size": 48, "steps": 2, "backbone": "tiny", "pyramid": pyramid, "sizes": (48,)}
    start = 0.3 + 0.4 * content
    anchors = () if anchor is None else (replace(anchor, image=start),)
    subject = replace(single_region(content, [style]), start=start, anchors=anchors)
    subject = replace(subject, regions=tuple(replace(each, mask=region) for each in subject.regions))
    before, after = METHODS["gatys"](configure("gatys", settings)).run(subject)
    return (after.image() - before.image()).square().mean().sqrt().item()


@pytest.mark.parametrize("pyramid", [0, 3])
def test_a_run_with_an_anchor_begins_with_a_small_step_because_its_start_is_nearly_optimal(pyramid: int) -> None:
    anchor = Anchor(torch.zeros(1, 3, 1, 1), torch.ones(1, 1, 1, 1), 1.0)
    assert first_step(None, pyramid) == pytest.approx(FIRST_STEP, rel=0.01)
    assert first_step(anchor, pyramid) == pytest.approx(NEAR_FIRST_STEP, rel=0.01)


def test_the_first_step_is_longer_the_less_of_the_regions_the_anchors_cover() -> None:
    """An area that comes into view is far from its optimum."""
    ones = torch.ones(1, 1, 24, 36)
    half = left_half(ones)
    between = (FIRST_STEP + NEAR_FIRST_STEP) / 2
    assert first_step(Anchor(ones, half, 1.0)) == pytest.approx(between, rel=0.03)
    assert first_step(Anchor(ones, half, 1.0), region=half) == pytest.approx(NEAR_FIRST_STEP, rel=0.03)
    assert first_step(Anchor(ones, half, 1.0), region=1 - half) == pytest.approx(FIRST_STEP, rel=0.03)


def left_half(image: Image) -> torch.Tensor:
    mask = torch.zeros(1, 1, *image.shape[-2:])
    mask[..., : image.shape[-1] // 2] = 1
    return mask


@pytest.mark.parametrize("method", ["gatys", "strotss", "nnst", "gpdm"])
def test_every_optimizing_method_stays_close_to_an_anchor_inside_its_mask_only(method: str) -> None:
    free = last(method, None).image()
    gray = torch.full_like(free, 0.5)
    step = last(method, Anchor(gray, left_half(free), 1e5))
    left, right = step.image().chunk(2, 3)
    assert (left - 0.5).abs().mean() < 0.5 * (free.chunk(2, 3)[0] - 0.5).abs().mean()
    assert (right - 0.5).abs().mean() > 0.5 * (free.chunk(2, 3)[1] - 0.5).abs().mean()
    assert "temporal/1" in step.losses


def test_the_term_is_the_weighted_mean_of_the_masked_squared_difference() -> None:
    image, target = torch.zeros(1, 3, 4, 8), torch.full((1, 3, 4, 8), 0.5)
    anchors = [Anchor(target, left_half(target), 8.0), Anchor(target, left_half(target), 0.5)]
    objective = AnchoredObjective(lambda image: {"other": image.sum()}, anchors, (4, 8), CPU)
    for losses in (objective(image), objective.at_step(3)(image)):
        assert {name: loss.item() for name, loss in losses.items()} == {
            "other": 0,
            "temporal/1": 8 * 0.25 / 2,
            "temporal/2": 0.5 * 0.25 / 2,
        }
