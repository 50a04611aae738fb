"""Whose colors a painting has: what each choice promises, as a function and through the door."""

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
    luminance,
    match_histogram,
    match_luminance,
    match_moments,
    prepare_colors,
    restore_colors,
    take_chroma,
)
from impasto.config import Colors
from impasto.images import load_image, quantize, resize, save_image

CHOICES = get_args(Colors)
SIZE = (40, 56)


def picture(seed: int, low: float = 0.0, high: float = 1.0, size: tuple[int, int] = SIZE) -> Tensor:
    """Blurred noise of correlated channels, from `low` to `high`."""
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
    [  # CSS Color 4, and its tests on the web platform
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


def test_oklab_and_back_is_the_same_picture_from_black_to_white() -> None:
    ramp = torch.linspace(0, 1, 33, dtype=torch.float64)
    cube = torch.cartesian_prod(ramp, ramp, ramp).T.reshape(1, 3, 33, -1)
    assert (from_oklab(to_oklab(cube)) - cube).abs().max() < 1e-6
    assert (into_gamut(to_oklab(cube.float())) - cube).abs().max() < 1e-4


def test_a_color_that_srgb_lacks_keeps_lightness_and_hue_and_pales_no_more_than_it_must() -> None:
    angle = torch.linspace(-3.1, 3.1, 50)
    lab = torch.stack([torch.full((50,), 0.6), 0.5 * angle.cos(), 0.5 * angle.sin()]).view(1, 3, 5, 10)
    image = into_gamut(lab)
    assert 0 <= image.min() <= image.max() <= 1
    kept = to_oklab(image)
    assert (kept[:, 0] - 0.6).abs().max() < 2e-3
    assert (torch.atan2(kept[:, 2], kept[:, 1]).flatten() - angle).abs().max() < 1e-2
    assert torch.minimum(image.amin(1), 1 - image.amax(1)).max() < 3e-3  # each touches a wall


# luminance


def test_the_styles_luminance_gets_the_mean_and_the_deviation_of_the_contents() -> None:
    content, style = picture(1, 0.35, 0.65), picture(2)
    matched, wanted = match_luminance(style, content), luminance(content)
    assert matched.mean().item() == pytest.approx(wanted.mean().item(), abs=1e-5)
    assert matched.std().item() == pytest.approx(wanted.std().item(), rel=1e-3)
    assert saturation(matched) == 0


def test_a_luminance_painting_has_the_paintings_luminance_and_the_contents_chroma() -> None:
    painted, content = picture(1, 0.35, 0.65), picture(2, 0.35, 0.65)
    result = take_chroma(painted, content)
    yiq = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    of_result, of_painted, of_content = (torch.einsum("ij,bjhw->bihw", yiq, x) for x in (result, painted, content))
    assert torch.allclose(of_result[:, :1], of_painted[:, :1], atol=1e-5)
    assert torch.allclose(of_result[:, 1:], of_content[:, 1:], atol=1e-5)
    assert not torch.allclose(of_painted[:, 1:], of_content[:, 1:], atol=0.05)


def test_chroma_that_does_not_fit_is_shrunk_and_leaves_luminance_and_hue() -> None:
    painted, content = picture(1), picture(2)
    result = take_chroma(painted, content)
    assert 0 <= result.min() <= result.max() <= 1
    assert torch.allclose(luminance(result), luminance(painted), atol=1e-5)
    chroma, wanted = result - luminance(result), content - luminance(content)
    share = (chroma * wanted).sum(1) / wanted.square().sum(1).clamp_min(1e-9)
    assert torch.allclose(chroma, share[:, None] * wanted, atol=1e-4)
    assert share.min() < 0.9
    assert share.max() < 1.01


def test_taking_the_chroma_twice_changes_no_more() -> None:
    once = take_chroma(picture(1), picture(2))
    assert torch.allclose(take_chroma(once, picture(2)), once, atol=1e-5)


# moments


def test_the_styles_mean_and_covariance_become_the_contents() -> None:
    content, style = picture(1, 0.3, 0.7), picture(2)
    matched = match_moments(style, content)
    assert 0 < matched.min() <= matched.max() < 1  # nothing was cut
    for found, wanted in zip(moments(matched), moments(content), strict=True):
        assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(moments(style)[1], moments(content)[1], rtol=0.3)


def test_matching_the_moments_of_a_picture_to_its_own_or_twice_changes_nothing() -> None:
    content, style = picture(1, 0.3, 0.7), picture(2)
    assert torch.allclose(match_moments(style, style), style, atol=1e-5)
    once = match_moments(style, content)
    assert torch.allclose(match_moments(once, content), once, atol=1e-4)


def test_a_style_that_is_all_but_gray_is_not_blown_up_into_colors() -> None:
    style = (gray(2) + 1e-4 * (picture(3) - 0.5)).clamp(0, 1)
    without = match_moments(gray(2), picture(1, 0.3, 0.7))
    assert (match_moments(style, picture(1, 0.3, 0.7)) - without).abs().max() < 0.02


def test_a_gray_style_keeps_its_drawing_and_gets_the_contents_mean() -> None:
    content, style = picture(1, 0.3, 0.7), gray(2)
    matched = match_moments(style, content)
    assert torch.allclose(moments(matched)[0], moments(content)[0], atol=1e-5)
    drawing = torch.corrcoef(torch.stack([matched.mean(1).flatten(), style.mean(1).flatten()]))[0, 1]
    assert drawing > 0.999


# histogram


def test_the_painting_gets_the_contents_histograms_of_a_and_b_and_keeps_its_lightness() -> None:
    painted, content = picture(1, 0.4, 0.7), picture(2, 0.5, 0.6)
    before_it, result, wanted = (to_oklab(x) for x in (painted, match_histogram(painted, content), content))
    assert torch.allclose(result[:, 0], before_it[:, 0], atol=1e-3)
    for channel in (1, 2):
        ours, theirs, old = (x[0, channel].flatten().sort().values for x in (result, wanted, before_it))
        assert torch.allclose(ours, theirs, atol=1e-3)
        assert not torch.allclose(old, theirs, atol=0.02)


def test_a_dark_place_gets_a_color_that_is_dark_in_the_content() -> None:
    """Where a and b are matched without a look at the lightness, equal colors of the painting stay equal."""
    ramp = torch.linspace(0.3, 0.7, SIZE[0] * SIZE[1]).view(1, 1, *SIZE)
    generator = torch.Generator().manual_seed(5)
    painted = (ramp + 0.05 * torch.rand(1, 3, *SIZE, generator=generator)).clamp(0, 1)
    warmth = torch.cat([ramp, ramp, 1 - ramp], 1)  # dark is blue, light is yellow
    shuffled = warmth.flatten(2)[:, :, torch.randperm(ramp.numel(), generator=generator)].view_as(warmth)
    lab = to_oklab(match_histogram(painted, shuffled))
    assert torch.corrcoef(torch.stack([lab[0, 0].flatten(), lab[0, 2].flatten()]))[0, 1] > 0.95


def test_a_picture_in_its_own_colors_is_left_as_it_was() -> None:
    assert torch.allclose(match_histogram(picture(1), picture(1)), picture(1), atol=1e-3)


def test_equal_colors_stay_equal() -> None:
    painted = picture(1)
    painted[..., :20] = 0.25
    patch = match_histogram(painted, picture(2))[..., :20]
    assert (patch - patch[..., :1, :1]).abs().max() < 1e-5


def test_a_painting_of_one_color_gets_the_contents_median_a_and_b() -> None:
    content = picture(2, 0.45, 0.6)
    found, wanted = to_oklab(match_histogram(flat(0.5, 0.5, 0.5), content)), to_oklab(content)
    for channel in (1, 2):
        assert torch.allclose(found[:, channel], wanted[:, channel].median(), atol=1e-3)


# all of them


@pytest.mark.parametrize("choice", ["luminance", "histogram"])
def test_a_gray_content_makes_a_gray_painting(choice: Colors) -> None:
    assert saturation(restore_colors(choice, picture(1), gray(2))) < 2e-3


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("other", [flat(0.2, 0.5, 0.9), flat(0.0, 0.0, 0.0), flat(1.0, 1.0, 1.0), gray(3)])
def test_pictures_of_one_color_and_grays_survive_in_every_place(choice: Colors, other: Tensor) -> None:
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
def test_a_painting_may_have_another_size_than_its_content_and_inputs_are_left_alone(choice: Colors) -> None:
    painted, content, style = picture(1), picture(2, size=(64, 92)), picture(3, size=(48, 48))
    copies = [x.clone() for x in (painted, content, style)]
    given, styles = prepare_colors(choice, content, [style, painted])
    assert [x.shape for x in (given, *styles)] == [x.shape for x in (content, style, painted)]
    assert restore_colors(choice, painted, content).shape == painted.shape
    assert all(torch.equal(x, copy) for x, copy in zip((painted, content, style), copies, strict=True))


def test_only_luminance_changes_the_content() -> None:
    given = {choice: prepare_colors(choice, picture(1), [picture(2)])[0] for choice in CHOICES}
    assert {choice for choice in CHOICES if not torch.equal(given[choice], picture(1))} == {"luminance"}
    assert saturation(given["luminance"]) == 0
    assert torch.allclose(luminance(given["luminance"]), luminance(picture(1)), atol=1e-6)


def test_style_does_nothing() -> None:
    painted, content, style = picture(1), picture(2), picture(3)
    given, styles = prepare_colors("style", content, [style])
    assert given is content
    assert styles[0] is style
    assert restore_colors("style", painted, content) is painted


# Through the door


def paint(content: Any = None, style: Any = None, **settings: Any) -> Result:
    content, style = picture(1) if content is None else content, picture(2) if style is None else style
    return impasto.stylize(content, style, **{"backbone": "tiny", "size": 48, "steps": 4, **settings})


@pytest.mark.parametrize("choice", CHOICES)
def test_every_step_and_the_result_are_what_was_painted_of_before_and_recolored_after(choice: Colors) -> None:
    steps: list[Step] = []
    result = paint(color=choice, on_step=steps.append)
    given, styles = prepare_colors(choice, picture(1), [picture(2)])
    plain: list[Step] = []
    paint(given, styles, on_step=plain.append)
    assert len(steps) == len(plain) == 4
    for step, other in zip(steps, plain, strict=True):
        assert torch.equal(step.image(), restore_colors(choice, other.image(), picture(1)))
        assert step.losses == other.losses
    assert torch.equal(result.image, min(steps, key=lambda step: step.loss).image())
    assert torch.equal(result.image, paint().image) == (choice == "style")


@pytest.mark.parametrize("choice", CHOICES)
def test_the_losses_are_those_of_the_saved_picture(choice: Colors) -> None:
    """Under `luminance` those of its luminance: the objective knows no colors."""
    steps: list[Step] = []
    result = paint(color=choice, on_step=steps.append)
    given, styles = prepare_colors(choice, picture(1), [picture(2)])
    plain: list[Step] = []
    paint(given, styles, on_step=plain.append)
    saved = quantize(result.image)
    judged = luminance(saved).expand_as(saved).contiguous() if choice == "luminance" else saved
    assert result.losses == plain[-1].losses_of(judged) == steps[-1].losses_of(saved)


def test_a_luminance_paintings_losses_take_no_notice_of_the_chroma_that_was_put_back() -> None:
    steps: list[Step] = []
    result = paint(gray(1), color="luminance", on_step=steps.append)
    colored = take_chroma(result.image, resize(picture(4), (result.image.shape[-2], result.image.shape[-1])))
    assert saturation(colored) > 0.2
    assert steps[-1].losses_of(colored) == pytest.approx(steps[-1].losses_of(result.image), rel=1e-4)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_painting_stopped_at_a_coarser_size_has_the_size_asked_for(choice: Colors) -> None:
    result = paint(color=choice, steps=10, sizes=(32, 64), on_step=lambda step: False)
    assert result.image.shape[-1] == 64


@pytest.mark.parametrize("choice", CHOICES)
def test_opacity_is_left_as_it_was(choice: Colors) -> None:
    rgba = PIL.Image.new("RGBA", (48, 36), "orange")
    rgba.putalpha(PIL.Image.linear_gradient("L").resize(rgba.size))
    result = paint(rgba, color=choice)
    assert result.alpha is not None
    assert result.alpha.mul(255).round().flatten().tolist() == list(rgba.getchannel("A").tobytes())


@pytest.mark.parametrize("choice", CHOICES)
def test_the_choice_is_recorded_and_a_replay_gives_the_same_picture(choice: Colors, tmp_path: Path) -> None:
    save_image(picture(1), tmp_path / "content.png")
    result = paint(tmp_path / "content.png", "mosaic", color=choice)
    path = result.save(tmp_path / "out.png")
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["settings"]["color"] == choice
    assert torch.equal(impasto.replay(path).image, result.image)


def test_the_command_line_takes_a_choice(tmp_path: Path) -> None:
    save_image(picture(1), tmp_path / "content.png")
    words = ["--backbone", "tiny", "--size", "48", "--steps", "4", "--color", "histogram"]
    assert main(["stylize", str(tmp_path / "content.png"), "mosaic", "-o", str(tmp_path / "out.png"), *words]) == 0
    expected = paint(tmp_path / "content.png", "mosaic", color="histogram").image
    assert torch.equal(load_image(tmp_path / "out.png"), quantize(expected))
