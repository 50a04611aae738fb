"""Test the learned step of `unrolled` against the exact gradient, and that it approaches the style."""

from __future__ import annotations

from functools import partial
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
from impasto.methods.feed_forward import _add_content, apply_network
from impasto.methods.tiles import masked_measure, recording_measure, replay_means
from impasto.methods.unrolled import UnrolledMethod
from impasto.metrics.evaluate import evaluate
from impasto.networks.input_noise import NOISE_SIZE, add_input_noise, input_noise
from impasto.networks.unrolled import (
    CONTENT_LAYER,
    DEEP_CONTENT_LAYER,
    DEEP_LAYERS,
    FIRST_STEP,
    LAYERS,
    LearnedStep,
    LearnedSteps,
    ReducedStep,
)
from impasto.samples import resolve


@pytest.fixture(scope="module")
def encoder() -> ChainBackbone:
    return load_chain("lite")


def smooth(seed: int, side: int = 48) -> Tensor:
    """Return smooth colors, `(1, 3, side, side)`."""
    coarse = torch.rand(1, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False).clamp(0, 1)


@pytest.mark.parametrize(("layers", "border"), [(LAYERS, 24), (DEEP_LAYERS, 160)])
def test_an_untrained_step_follows_the_gradient_of_the_style_loss(
    encoder: ChainBackbone, layers: tuple[str, ...], border: int
) -> None:
    """Away from the border, which the encoder of the step reflects."""
    step, image, style = LearnedStep(encoder, layers), smooth(0, 2 * border + 64), smooth(1, 2 * border + 64)
    targets, features = step.targets(style), encoder.encode_reflected(image, layers)
    loss, variable = torch.zeros(()), image.clone().requires_grad_()
    encoded = encoder.encode(variable, layers)
    for name in layers:
        activations = encoded[name]
        moments, target = second_moment(features[name]), targets[layers.index(name)]
        scale = (target.square().mean().sqrt() + moments.square().mean().sqrt()) / 2 * len(target[0])
        loss = loss + ((moments - target) / scale * second_moment(activations)).sum() * activations[0, 0].numel() / 2
    (gradient,) = torch.autograd.grad(loss, variable)
    with torch.no_grad():
        change = step(image, image, targets) - image
    inner = (..., slice(border, -border), slice(border, -border))
    assert change[inner].abs().max() > 1e-4
    torch.testing.assert_close(change[inner], -FIRST_STEP * gradient[inner], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "content_layer", "border"), [(LAYERS, CONTENT_LAYER, 24), (DEEP_LAYERS, DEEP_CONTENT_LAYER, 64)]
)
def test_the_content_matrix_follows_the_gradient_of_the_content_loss(
    encoder: ChainBackbone, layers: tuple[str, ...], content_layer: str, border: int
) -> None:
    step, side = LearnedStep(encoder, layers, content_layer), 2 * border + 64
    image, content = smooth(0, side), smooth(1, side)
    variable = image.clone().requires_grad_()
    kept = encoder.encode_reflected(content, [content_layer])[content_layer]
    loss = (encoder.encode(variable, [content_layer])[content_layer] - kept).square().sum() / 2
    (gradient,) = torch.autograd.grad(loss, variable)
    with torch.no_grad():
        step.content_mixture.copy_(torch.eye(len(step.content_mixture)))
        change = step(image, content, step.targets(image)) - image
    inner = (..., slice(border, -border), slice(border, -border))
    assert change[inner].abs().max() > 1e-4
    torch.testing.assert_close(change[inner], -FIRST_STEP * gradient[inner], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(16, 16), (20, 44), (52, 36)])
def test_training_and_use_of_a_step_give_the_same_change_at_any_size(size: tuple[int, int], dtype: torch.dtype) -> None:
    step, (height, width) = LearnedStep(load_chain("lite", dtype=dtype), DEEP_LAYERS), size
    image, style = smooth(0, 64)[..., :height, :width], smooth(1, 64)
    targets, trained = step.targets(style), step(image, image, step.targets(style))
    with torch.no_grad():
        used = step(image, image, targets)
    assert (used - image).std() > 1e-3
    # of equal values in bf16, another one may receive the gradient of a max pooling
    assert (used - trained).abs().mean() <= (1e-6 if dtype is torch.float32 else 0.05 * (used - image).std())


@torch.no_grad()
def test_a_step_leaves_an_image_that_has_the_moments_of_the_style(encoder: ChainBackbone) -> None:
    step, image = LearnedStep(encoder, DEEP_LAYERS), smooth(0)
    torch.testing.assert_close(step(image, image, step.targets(image)), image)


def test_the_gradient_of_a_step_is_that_of_its_weights_alone(encoder: ChainBackbone) -> None:
    step, image = LearnedStep(encoder, DEEP_LAYERS), smooth(0).requires_grad_()
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


@pytest.mark.parametrize("reduction", [1, 2, 4])
@pytest.mark.parametrize("size", [230, 320])
def test_tiles_give_nearly_the_output_of_a_single_pass(size: int, reduction: int) -> None:
    """A rounding error can change which pixel of a max pooling receives the gradient; later steps amplify that."""
    content = load_image(resolve("rocket"), size=size)
    settings: dict[str, Any] = {"reductions": [reduction], "size": size, "precision": "fp32", "device": "cpu"}
    single_pass, tiled = (
        impasto.stylize(content, "mosaic", "unrolled", tile=tile, **settings).image for tile in (0, 160)
    )
    difference = (single_pass - tiled).abs()
    assert difference.mean() < 1e-4
    assert difference.max() < 0.02


def test_tiles_and_bf16_are_as_close_to_the_style_and_to_the_content_image() -> None:
    content = load_image(resolve("rocket"), size=320)
    fp32, *others = (
        evaluate(content, resolve("mosaic"), image, backbone="lite", metrics=["style_share", "content"])
        for image in (
            impasto.stylize(content, "mosaic", "unrolled", size=320, precision=precision, tile=tile, device="cpu").image
            for precision, tile in (("fp32", 0), ("fp32", 160), ("bf16", 0), ("bf16", 192))
        )
    )
    for grades in others:
        assert grades == pytest.approx(fp32, rel=0.02)


@pytest.fixture(scope="module")
def steps() -> LearnedSteps:
    method = METHODS["unrolled"](METHODS["unrolled"].Config(precision="fp32", device="cpu"))
    assert isinstance(method, UnrolledMethod)
    return method.steps


@pytest.mark.parametrize("factor", [1, 2, 4])
@torch.no_grad()
def test_the_receptive_field_of_a_step_is_within_the_halo(steps: LearnedSteps, factor: int) -> None:
    net = ReducedStep(steps, factor)
    side = 2 * net.halo + 64 * factor
    images = torch.rand(1, 6, 16 * factor, side, generator=torch.Generator().manual_seed(0))
    changed, middle = images.clone(), slice(side // 2, side // 2 + 16)
    changed[..., middle] = 1 - images[..., middle]
    code = net.encode(images[:, :3].flip(2))
    measure, means = recording_measure(masked_measure(None))
    before = net(images, code, measure)
    positions = ((before - net(changed, code, replay_means(means))).abs().amax((0, 1, 2)) > 1e-6).nonzero()
    assert len(positions) > 16  # the change has an effect
    assert positions.min() >= middle.start - net.halo
    assert positions.max() < middle.stop + net.halo


@pytest.mark.parametrize("is_masked", [False, True])
@torch.no_grad()
def test_a_coarse_step_in_tiles_gives_the_output_of_a_single_pass(steps: LearnedSteps, is_masked: bool) -> None:
    """The last position of relu5_1 is incomplete in both directions."""
    net, side = ReducedStep(steps, 2), 2 * 352 + 88
    image, content = smooth(0, side)[..., :104, :], smooth(1, side)[..., :104, :]
    both = partial(_add_content, content, torch.zeros(1, 1, 104, side))
    mask = (smooth(2, side)[:, :1, :104] > 0.4).float() if is_masked else None
    code = net.encode(smooth(3, 128))
    single_pass, tiled = (apply_network(net, image, code, mask, tile, both)[0] for tile in (0, 352))
    difference = (single_pass - tiled).abs()
    assert (single_pass - image).std() > 0.01
    assert difference.mean() < 1e-4
    assert difference.max() < 0.02


@pytest.mark.parametrize("size", [26, 40])
def test_small_images_have_an_output(size: int) -> None:
    content = load_image(resolve("coffee"), size=size)
    image = impasto.stylize(content, content, "unrolled", size=size, device="cpu").image
    assert image.shape == content.shape


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


def test_the_networks_have_fewer_than_830_000_parameters() -> None:
    method = METHODS["unrolled"](METHODS["unrolled"].Config(device="cpu"))
    assert isinstance(method, UnrolledMethod)
    assert sum(weight.numel() for part in (method.micro, method.steps) for weight in part.parameters()) < 830_000


def test_the_code_of_a_style_is_computed_once_for_each_reduction(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode = ReducedStep.encode

    def record(self: ReducedStep, *args: Any) -> Any:
        encoded.append(self)
        return encode(self, *args)

    monkeypatch.setattr(ReducedStep, "encode", record)
    impasto.stylize("coffee", "mosaic", "unrolled", size=96, reductions=[4, 4, 2, 2, 1], device="cpu")
    assert len(encoded) == 3
