"""Test the learned step of `unrolled` against the exact gradient, and that it approaches the style."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import impasto
from impasto.backbones import ChainBackbone, load_chain
from impasto.features.moments import second_moment
from impasto.images import load_image
from impasto.methods import METHODS
from impasto.metrics.evaluate import evaluate
from impasto.networks.unrolled import FIRST_STEP, LAYERS, LearnedStep
from impasto.samples import resolve


@pytest.fixture(scope="module")
def encoder() -> ChainBackbone:
    return load_chain("lite")


def smooth(seed: int, side: int = 48) -> Tensor:
    """Return smooth colors, `(1, 3, side, side)`."""
    coarse = torch.rand(1, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False).clamp(0, 1)


def test_an_untrained_step_follows_the_gradient_of_the_style_loss(encoder: ChainBackbone) -> None:
    """Away from the border, which the encoder of the step reflects."""
    step, image, style = LearnedStep(encoder), smooth(0, 96), smooth(1, 96)
    targets, features = step.targets(style), encoder.encode_reflected(image, LAYERS)
    loss, variable = torch.zeros(()), image.clone().requires_grad_()
    for name, activations in encoder.encode(variable, LAYERS).items():
        if name in LAYERS:
            moments, target = second_moment(features[name]), targets[LAYERS.index(name)]
            scale = (target.square().mean().sqrt() + moments.square().mean().sqrt()) / 2 * len(target[0])
            loss = (
                loss + ((moments - target) / scale * second_moment(activations)).sum() * activations[0, 0].numel() / 2
            )
    (gradient,) = torch.autograd.grad(loss, variable)
    with torch.no_grad():
        change = step(image, image, targets) - image
    inner = (..., slice(24, -24), slice(24, -24))
    assert change[inner].abs().max() > 1e-4
    torch.testing.assert_close(change[inner], -FIRST_STEP * gradient[inner], rtol=1e-3, atol=1e-7)


@torch.no_grad()
def test_a_step_leaves_an_image_that_has_the_moments_of_the_style(encoder: ChainBackbone) -> None:
    step, image = LearnedStep(encoder), smooth(0)
    torch.testing.assert_close(step(image, image, step.targets(image)), image)


def test_the_gradient_of_a_step_is_that_of_its_weights_alone(encoder: ChainBackbone) -> None:
    step, image = LearnedStep(encoder), smooth(0).requires_grad_()
    step(image.detach(), image.detach(), step.targets(smooth(1))).square().mean().backward()
    assert image.grad is None
    for name, weight in step.named_parameters():
        assert weight.grad is not None, name
    assert all(kernel.grad.abs().max() > 0 for kernel in step.kernels.values())
    assert all(mixture.grad.abs().max() > 0 for mixture in step.mixtures.values())


@pytest.mark.parametrize("style", ["mosaic", "brushstrokes", "woodcut"])
def test_unrolled_is_closer_to_the_style_than_micro_at_every_size(style: str) -> None:
    content = load_image(resolve("chelsea"), size=320)
    names = [f"style_share@{size}" for size in (256, 128)] + ["style_share"]
    first, unrolled = (
        evaluate(content, resolve(style), image, backbone="lite", metrics=names)
        for image in (
            impasto.stylize(content, style, "micro", size=320, weights="micro").image,
            impasto.stylize(content, style, "unrolled", size=320).image,
        )
    )
    for name in names:
        assert unrolled[name] < 0.97 * first[name], name


def test_more_steps_are_closer_to_the_style() -> None:
    content = load_image(resolve("coffee"), size=256)
    few, many = (
        evaluate(content, resolve("mosaic"), image, backbone="lite", metrics=["style_share"])["style_share"]
        for image in (
            impasto.stylize(content, "mosaic", "unrolled", size=256, reductions=reductions).image
            for reductions in ((1,), (1, 1, 1))
        )
    )
    assert many < 0.95 * few


@pytest.mark.parametrize(
    ("reductions", "message"),
    [((3,), "reductions: choose from 1, 2 and 4, not 3"), ((), "reductions: "), ((8,), "reductions.0: ")],
)
def test_other_reductions_give_one_line(reductions: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        impasto.stylize("woodcut", "mosaic", "unrolled", size=64, reductions=reductions)
    assert "\n" not in str(caught.value)


def test_the_networks_have_fewer_than_600_000_parameters() -> None:
    network = METHODS["unrolled"](METHODS["unrolled"].Config(device="cpu")).network
    parts = (network._first, network._step)
    assert sum(weight.numel() for part in parts for weight in part.parameters()) < 610_000
