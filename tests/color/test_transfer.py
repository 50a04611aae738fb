"""Test the setting `color`: the properties of each choice, as functions and in the pipeline."""

import json
from pathlib import Path
from typing import Any, get_args

import PIL.Image
import pytest
import torch
from torch import Tensor

import impasto
from impasto import Result, Step
from impasto.cli import main
from impasto.color.oklab import from_oklab, into_gamut, to_oklab
from impasto.color.transfer import (
    match_histogram,
    match_luminance,
    match_moments,
    prepare_colors,
    restore_colors,
    take_chroma,
)
from impasto.config import Colors
from impasto.images import load_image, luminance, quantize, resize, save_image

CHOICES = get_args(Colors)
SIZE = (40, 56)


def picture(seed: int, low: float = 0.0, high: float = 1.0, size: tuple[int, int] = SIZE) -> Tensor:
    """Return blurred noise with correlated channels, from `low` to `high`."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, size[0] // 4, size[1] // 4, generator=generator)
    mixed = torch.einsum("ij,bjhw->bihw", torch.rand(3, 3, generator=generator), coarse)
    image = resize(mixed / 3, size) + 0.02 * torch.rand(1, 3, *size, generator=generator)
    return low + (high - low) * (image - image.min()) / (image.max() - image.min())


def flat(*color: float) -> Tensor:
    return torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, *SIZE).contiguous()


def gray(seed: int) -> Tensor:
    return luminance(picture(seed)).expand(1, 3, -1, -1).contiguous()


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    colors = image[0].flatten(1).double()
    return colors.mean(1), torch.cov(colors, correction=0)


def saturation(image: Tensor) -> float:
    return (image.amax(1) - image.amin(1)).max().item()


# OKLab


@pytest.mark.parametrize(
    ("color", "lab"),
    [  # CSS Color 4 and its web platform tests
        ((1, 1, 1), (1, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 1, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 1), (0.45201, -0.03246, -0.31153)),
        ((0, 128 / 255, 0), (0.51975, -0.14030, 0.10768)),
    ],
)
def test_oklab_has_the_published_values(color: tuple[float, ...], lab: tuple[float, ...]) -> None:
    pixel = torch.tensor(color, dtype=torch.float64).view(1, 3, 1, 1)
    assert to_oklab(pixel).flatten().tolist() == pytest.approx(lab, abs=6e-6)


def test_converting_to_oklab_and_back_gives_the_same_image() -> None:
    ramp = torch.linspace(0, 1, 33, dtype=torch.float64)
    cube = torch.cartesian_prod(ramp, ramp, ramp).T.reshape(1, 3, 33, -1)
    assert (from_oklab(to_oklab(cube)) - cube).abs().max() < 1e-6
    assert (into_gamut(to_oklab(cube.float())) - cube).abs().max() < 1e-4


def test_a_color_outside_the_gamut_keeps_lightness_and_hue_and_the_largest_possible_chroma() -> None:
    angle = torch.linspace(-3.1, 3.1, 50)
    lab = torch.stack([torch.full((50,), 0.6), 0.5 * angle.cos(), 0.5 * angle.sin()]).view(1, 3, 5, 10)
    image = into_gamut(lab)
    assert 0 <= image.min() <= image.max() <= 1
    kept = to_oklab(image)
    assert (kept[:, 0] - 0.6).abs().max() < 2e-3
    assert (torch.atan2(kept[:, 2], kept[:, 1]).flatten() - angle).abs().max() < 1e-2
    assert torch.minimum(image.amin(1), 1 - image.amax(1)).max() < 3e-3  # each is on the boundary of the gamut


# luminance


def test_match_luminance_matches_the_mean_and_the_standard_deviation() -> None:
    content, style = picture(1, 0.35, 0.65), picture(2)
    matched, target = match_luminance(style, content), luminance(content)
    assert matched.mean().item() == pytest.approx(target.mean().item(), abs=1e-5)
    assert matched.std().item() == pytest.approx(target.std().item(), rel=1e-3)
    assert saturation(matched) == 0


def test_take_chroma_keeps_the_luminance_and_takes_the_chroma_of_the_content() -> None:
    stylized, content = picture(1, 0.35, 0.65), picture(2, 0.35, 0.65)
    result = take_chroma(stylized, content)
    yiq = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    of_result, of_stylized, of_content = (torch.einsum("ij,bjhw->bihw", yiq, x) for x in (result, stylized, content))
    assert torch.allclose(of_result[:, :1], of_stylized[:, :1], atol=1e-5)
    assert torch.allclose(of_result[:, 1:], of_content[:, 1:], atol=1e-5)
    assert not torch.allclose(of_stylized[:, 1:], of_content[:, 1:], atol=0.05)


def test_chroma_outside_the_gamut_is_reduced_and_luminance_and_hue_are_kept() -> None:
    stylized, content = picture(1), picture(2)
    result = take_chroma(stylized, content)
    assert 0 <= result.min() <= result.max() <= 1
    assert torch.allclose(luminance(result), luminance(stylized), atol=1e-5)
    chroma, target = result - luminance(result), content - luminance(content)
    factor = (chroma * target).sum(1) / target.square().sum(1).clamp_min(1e-9)
    assert torch.allclose(chroma, factor[:, None] * target, atol=1e-4)
    assert factor.min() < 0.9
    assert factor.max() < 1.01


def test_take_chroma_is_idempotent() -> None:
    once = take_chroma(picture(1), picture(2))
    assert torch.allclose(take_chroma(once, picture(2)), once, atol=1e-5)


# moments


def test_match_moments_matches_the_mean_and_the_covariance() -> None:
    content, style = picture(1, 0.3, 0.7), picture(2)
    matched = match_moments(style, content)
    assert 0 < matched.min() <= matched.max() < 1  # nothing was clamped
    for found, target in zip(moments(matched), moments(content), strict=True):
        assert torch.allclose(found, target, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(moments(style)[1], moments(content)[1], rtol=0.3)


def test_match_moments_is_idempotent_and_keeps_an_image_with_the_same_moments() -> None:
    content, style = picture(1, 0.3, 0.7), picture(2)
    assert torch.allclose(match_moments(style, style), style, atol=1e-5)
    once = match_moments(style, content)
    assert torch.allclose(match_moments(once, content), once, atol=1e-4)


def test_the_noise_of_a_nearly_gray_style_is_not_amplified_into_colors() -> None:
    style = (gray(2) + 1e-4 * (picture(3) - 0.5)).clamp(0, 1)
    without = match_moments(gray(2), picture(1, 0.3, 0.7))
    assert (match_moments(style, picture(1, 0.3, 0.7)) - without).abs().max() < 0.02


def test_a_gray_style_keeps_its_structure_and_gets_the_mean_of_the_content() -> None:
    content, style = picture(1, 0.3, 0.7), gray(2)
    matched = match_moments(style, content)
    assert torch.allclose(moments(matched)[0], moments(content)[0], atol=1e-5)
    structure = torch.corrcoef(torch.stack([matched.mean(1).flatten(), style.mean(1).flatten()]))[0, 1]
    assert structure > 0.999


# histogram


def test_match_histogram_matches_a_and_b_and_keeps_the_lightness() -> None:
    stylized, content = picture(1, 0.4, 0.7), picture(2, 0.5, 0.6)
    original, result, target = (to_oklab(x) for x in (stylized, match_histogram(stylized, content), content))
    assert torch.allclose(result[:, 0], original[:, 0], atol=1e-3)
    for channel in (1, 2):
        found, expected, old = (x[0, channel].flatten().sort().values for x in (result, target, original))
        assert torch.allclose(found, expected, atol=1e-3)
        assert not torch.allclose(old, expected, atol=0.02)


def test_a_dark_pixel_gets_a_color_that_is_dark_in_the_content() -> None:
    """Matching a and b independently of the lightness would fail: the stylized image has a single hue."""
    ramp = torch.linspace(0.3, 0.7, SIZE[0] * SIZE[1]).view(1, 1, *SIZE)
    generator = torch.Generator().manual_seed(5)
    stylized = (ramp + 0.05 * torch.rand(1, 3, *SIZE, generator=generator)).clamp(0, 1)
    warmth = torch.cat([ramp, ramp, 1 - ramp], 1)  # dark is blue, light is yellow
    shuffled = warmth.flatten(2)[:, :, torch.randperm(ramp.numel(), generator=generator)].view_as(warmth)
    lab = to_oklab(match_histogram(stylized, shuffled))
    assert torch.corrcoef(torch.stack([lab[0, 0].flatten(), lab[0, 2].flatten()]))[0, 1] > 0.95


def test_match_histogram_keeps_an_image_with_the_same_colors() -> None:
    assert torch.allclose(match_histogram(picture(1), picture(1)), picture(1), atol=1e-3)


def test_equal_colors_stay_equal() -> None:
    stylized = picture(1)
    stylized[..., :20] = 0.25
    patch = match_histogram(stylized, picture(2))[..., :20]
    assert (patch - patch[..., :1, :1]).abs().max() < 1e-5


def test_an_image_of_one_color_gets_the_median_a_and_b_of_the_content() -> None:
    content = picture(2, 0.45, 0.6)
    found, target = to_oklab(match_histogram(flat(0.5, 0.5, 0.5), content)), to_oklab(content)
    for channel in (1, 2):
        assert torch.allclose(found[:, channel], target[:, channel].median(), atol=1e-3)


# all choices


@pytest.mark.parametrize("choice", ["luminance", "histogram"])
def test_a_gray_content_gives_a_gray_output(choice: Colors) -> None:
    assert saturation(restore_colors(choice, picture(1), gray(2))) < 2e-3


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("other", [flat(0.2, 0.5, 0.9), flat(0.0, 0.0, 0.0), flat(1.0, 1.0, 1.0), gray(3)])
def test_images_of_one_color_and_gray_images_give_finite_results(choice: Colors, other: Tensor) -> None:
    for content, style in ((picture(1), other), (other, picture(1)), (other, other)):
        images = [
            *prepare_colors(choice, content, [style])[1],
            restore_colors(choice, style, content),
            restore_colors(choice, content, style),
        ]
        for image in images:
            assert image.shape == (1, 3, *SIZE)
            assert image.isfinite().all()
            assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize("choice", CHOICES)
def test_the_output_may_have_another_size_than_the_content_and_inputs_are_not_changed(choice: Colors) -> None:
    stylized, content, style = picture(1), picture(2, size=(64, 92)), picture(3, size=(48, 48))
    copies = [x.clone() for x in (stylized, content, style)]
    given, styles = prepare_colors(choice, content, [style, stylized])
    assert [x.shape for x in (given, *styles)] == [x.shape for x in (content, style, stylized)]
    assert restore_colors(choice, stylized, content).shape == stylized.shape
    assert all(torch.equal(x, copy) for x, copy in zip((stylized, content, style), copies, strict=True))


def test_only_luminance_changes_the_content() -> None:
    given = {choice: prepare_colors(choice, picture(1), [picture(2)])[0] for choice in CHOICES}
    assert {choice for choice in CHOICES if not torch.equal(given[choice], picture(1))} == {"luminance"}
    assert saturation(given["luminance"]) == 0
    assert torch.allclose(luminance(given["luminance"]), luminance(picture(1)), atol=1e-6)


def test_the_choice_style_changes_nothing() -> None:
    stylized, content, style = picture(1), picture(2), picture(3)
    given, styles = prepare_colors("style", content, [style])
    assert given is content
    assert styles[0] is style
    assert restore_colors("style", stylized, content) is stylized


# in the pipeline


def stylize(content: Any = None, style: Any = None, **settings: Any) -> Result:
    content, style = picture(1) if content is None else content, picture(2) if style is None else style
    return impasto.stylize(content, style, **{"backbone": "tiny", "size": 48, "steps": 4, **settings})


@pytest.mark.parametrize("choice", CHOICES)
def test_every_step_and_the_result_are_recolored(choice: Colors) -> None:
    steps: list[Step] = []
    result = stylize(color=choice, on_step=steps.append)
    given, styles = prepare_colors(choice, picture(1), [picture(2)])
    plain: list[Step] = []
    stylize(given, styles, on_step=plain.append)
    assert len(steps) == len(plain) == 4
    for step, other in zip(steps, plain, strict=True):
        assert torch.equal(step.image(), restore_colors(choice, other.image(), picture(1)))
        assert step.losses == other.losses
    assert torch.equal(result.image, min(steps, key=lambda step: step.loss).image())
    assert torch.equal(result.image, stylize().image) == (choice == "style")


@pytest.mark.parametrize("choice", CHOICES)
def test_the_losses_are_those_of_the_saved_image(choice: Colors) -> None:
    """With `luminance`, those of its luminance, because the objective receives gray images."""
    steps: list[Step] = []
    result = stylize(color=choice, on_step=steps.append)
    given, styles = prepare_colors(choice, picture(1), [picture(2)])
    plain: list[Step] = []
    stylize(given, styles, on_step=plain.append)
    saved = quantize(result.image)
    measured = luminance(saved).expand_as(saved).contiguous() if choice == "luminance" else saved
    assert result.losses == plain[-1].losses_of(measured) == steps[-1].losses_of(saved)


def test_the_losses_of_the_choice_luminance_ignore_the_chroma() -> None:
    """In fp32: their luminance differs by rounding errors, which bf16 may round to other pixels."""
    steps: list[Step] = []
    result = stylize(gray(1), color="luminance", precision="fp32", on_step=steps.append)
    colored = take_chroma(result.image, resize(picture(4), (result.image.shape[-2], result.image.shape[-1])))
    assert saturation(colored) > 0.2
    assert steps[-1].losses_of(colored) == pytest.approx(steps[-1].losses_of(result.image), rel=1e-4)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_run_stopped_at_a_coarser_size_has_the_final_size(choice: Colors) -> None:
    result = stylize(color=choice, steps=10, sizes=(32, 64), on_step=lambda step: False)
    assert result.image.shape[-1] == 64


@pytest.mark.parametrize("choice", CHOICES)
def test_alpha_is_not_changed(choice: Colors) -> None:
    rgba = PIL.Image.new("RGBA", (48, 36), "orange")
    rgba.putalpha(PIL.Image.linear_gradient("L").resize(rgba.size))
    result = stylize(rgba, color=choice)
    assert result.alpha is not None
    assert result.alpha.mul(255).round().flatten().tolist() == list(rgba.getchannel("A").tobytes())


@pytest.mark.parametrize("choice", CHOICES)
def test_the_choice_is_recorded_and_a_replay_gives_the_same_image(choice: Colors, tmp_path: Path) -> None:
    save_image(picture(1), tmp_path / "content.png")
    result = stylize(tmp_path / "content.png", "mosaic", color=choice)
    path = result.save(tmp_path / "out.png")
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["settings"]["color"] == choice
    assert torch.equal(impasto.replay(path).image, result.image)


def test_the_command_line_has_the_setting(tmp_path: Path) -> None:
    save_image(picture(1), tmp_path / "content.png")
    words = ["--backbone", "tiny", "--size", "48", "--steps", "4", "--color", "histogram"]
    assert main(["stylize", str(tmp_path / "content.png"), "mosaic", "-o", str(tmp_path / "out.png"), *words]) == 0
    expected = stylize(tmp_path / "content.png", "mosaic", color="histogram").image
    assert torch.equal(load_image(tmp_path / "out.png"), quantize(expected))
