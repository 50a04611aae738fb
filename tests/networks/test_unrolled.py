"""Test the learned step of `unrolled` against the exact gradient, and that it approaches the style."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import impasto
from impasto.backbones import ChainBackbone, load_chain
from impasto.features.moments import second_moment
from impasto.images import load_image
from impasto.methods import METHODS
from impasto.methods.tiles import masked_measure, recording_measure, replay_means
from impasto.metrics.evaluate import evaluate
from impasto.networks.input_noise import NOISE_SIZE, add_input_noise, input_noise
from impasto.networks.unrolled import FIRST_STEP, LAYERS, LearnedStep, ReducedStep
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


@pytest.mark.parametrize("size", [230, 320])
def test_tiles_give_nearly_the_output_of_a_single_pass(size: int) -> None:
    """A rounding error can change which pixel of a max pooling receives the gradient."""
    content = load_image(resolve("rocket"), size=size)
    single_pass, tiled = (
        impasto.stylize(content, "mosaic", "unrolled", size=size, tile=tile, precision="fp32", device="cpu").image
        for tile in (0, 160)
    )
    difference = (single_pass - tiled).abs()
    assert difference.mean() < 1e-4
    assert difference.max() < 0.02


@pytest.mark.parametrize("factor", [1, 2, 4])
@torch.no_grad()
def test_the_receptive_field_of_a_step_is_within_the_halo(encoder: ChainBackbone, factor: int) -> None:
    learned = METHODS["unrolled"](METHODS["unrolled"].Config(precision="fp32", device="cpu")).networks[1]._step
    net, side = ReducedStep(learned, factor), 16 * 20 * factor
    images = torch.rand(1, 6, 32, side, generator=torch.Generator().manual_seed(0))
    changed, middle = images.clone(), slice(side // 2, side // 2 + 16)
    changed[..., middle] = 1 - images[..., middle]
    code = net.encode(images[:, :3].flip(2))
    measure, means = recording_measure(masked_measure(None))
    before = net(images, code, measure)
    positions = ((before - net(changed, code, replay_means(means))).abs().amax((0, 1, 2)) > 1e-6).nonzero()
    assert len(positions) > 16  # the change has an effect
    assert positions.min() >= middle.start - net.halo
    assert positions.max() < middle.stop + net.halo


def test_the_steps_receive_the_content_image_with_its_noise_in_tiles_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[int, Tensor] = {}
    run = ReducedStep.__call__

    def record(self: ReducedStep, content: Tensor, *rest: Any) -> Tensor:
        seen[tile] = content[:, 3:]
        return run(self, content, *rest)

    monkeypatch.setattr(ReducedStep, "__call__", record)
    content = smooth(0, 76)
    for tile in (0, 64):
        impasto.stylize(content, "mosaic", "unrolled", size=76, tile=tile, reductions=[1], device="cpu")
    noisy = add_input_noise(content, input_noise(*NOISE_SIZE, 0))
    torch.testing.assert_close(seen[0], noisy)
    last = seen[64][..., -12:, -12:]  # the last tile ends at the corner of the image
    torch.testing.assert_close(last, noisy[..., -12:, -12:])


def test_the_networks_have_fewer_than_600_000_parameters() -> None:
    micro, step, *_ = METHODS["unrolled"](METHODS["unrolled"].Config(device="cpu")).networks
    parts = (micro, step._step)
    assert sum(weight.numel() for part in parts for weight in part.parameters()) < 610_000
