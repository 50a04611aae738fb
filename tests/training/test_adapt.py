"""Test the adaptation of `micro` to styles: training, weights file, and stylization without a style image."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as PILImage
from safetensors.torch import load_file
from support import sample, write_pictures

import impasto
from impasto.backbones import load_backbone
from impasto.cli import main
from impasto.images import save_image
from impasto.methods.micro import MicroConfig, MicroMethod
from impasto.networks.adapted_styles import adapted_styles, encode_style, styles_metadata
from impasto.networks.micro import Micro
from impasto.networks.weights_io import load_weights, read_metadata, save_weights
from impasto.pipeline.onnx import onnx_model
from impasto.samples import resolve
from impasto.training import content_crops
from impasto.training.adapt import Adaptation, AdaptSettings, adapt, open_styles
from impasto.training.content_crops import ContentCrops, photo_contents
from impasto.training.drawn_contents import draw_content
from impasto.training.scaled_loss import ScaledLoss

adapt_module = sys.modules["impasto.training.adapt"]  # the package has a function of this name
FAST = {"device": "cpu", "precision": "fp32", "backbone": "tiny", "crop": 96}
SMALL = {"method": "micro", "device": "cpu", "precision": "fp32", "size": 64}


@pytest.fixture(autouse=True)
def few_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_crops, "CONTENTS", {})
    monkeypatch.setattr(content_crops, "DRAWN", 1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights with the tensors of the bundled network that claim to be adapted to two samples."""
    network = Micro()
    load_weights(network, MicroMethod.bundled)
    styles = [encode_style(name, sample(name, 128)) for name in ("mosaic", "inkwash")]
    file = tmp_path_factory.mktemp("weights") / "two.safetensors"
    save_weights(network, file, styles_metadata(styles[:1]))
    save_weights(network, file.with_name("both.safetensors"), styles_metadata(styles))
    return file


# Training


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        files = [
            adapt("mosaic", tmp_path / f"{i}.safetensors", steps=2, seed=seed, **FAST).output
            for i, seed in enumerate((3, 3, 4))
        ]
    finally:
        torch.set_num_threads(threads)
    one, same, other = (file.read_bytes() for file in files)
    assert one == same
    assert one != other


def test_the_style_encoder_keeps_its_weights_and_all_others_change(tmp_path: Path) -> None:
    adapt("mosaic", tmp_path / "a.safetensors", steps=2, **FAST)
    before, after = load_file(MicroMethod.bundled), load_file(tmp_path / "a.safetensors")
    assert before.keys() == after.keys()
    same = {name for name in before if name.endswith("weight") and torch.equal(before[name], after[name])}
    assert same == {name for name in before if name.startswith("style_encoder") and name.endswith("weight")}


def test_a_training_can_start_from_the_network_of_a_sample_style(tmp_path: Path) -> None:
    """The file of such a network has only a part of the tensors; the style encoder is that of `micro`."""
    network = MicroMethod(MicroConfig(weights="mosaic", device="cpu")).network
    config = AdaptSettings(initial_weights="mosaic", steps=1, **FAST)  # type: ignore[arg-type]
    adaptation = Adaptation(config, open_styles("woodcut"), None)
    weights = adaptation.averaged.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in network.state_dict().items())
    adaptation.train(None)
    assert json.loads(adaptation.metadata()["source"])["name"] == "micro-mosaic.safetensors"


def test_texture_is_compared_in_a_piece_and_large_forms_in_the_whole_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt_module, "PIECE", 48)
    adaptation = Adaptation(AdaptSettings(**FAST), open_styles("woodcut"), None)  # type: ignore[arg-type]
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(ScaledLoss, "__call__", lambda _, *images: seen.extend(images) or {})
    places = set()
    for _ in range(8):
        seen.clear()
        adaptation._terms()
        output, piece, content_piece = seen
        assert (output.shape[-1], piece.shape[-1], content_piece.shape[-1]) == (64, 48, 48)
        windows = output.unfold(2, 48, 1).unfold(3, 48, 1)
        places.add(tuple((windows == piece[:, :, None, None]).all((-2, -1)).all(1)[0].nonzero()[0].tolist()))
    assert len(places) > 4


def test_training_reduces_the_style_loss_on_one_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    config = AdaptSettings(steps=8, lr=0.01, content_weight=0.0, **FAST)  # type: ignore[arg-type]
    adaptation = Adaptation(config, open_styles("mosaic"), None)
    crop = draw_content(96, torch.Generator().manual_seed(0))
    monkeypatch.setattr(ContentCrops, "batch", lambda *_: crop)
    styles: list[float] = []
    adaptation.train(lambda step: styles.append(step.losses["style"]))
    assert min(styles[-3:]) < 0.8 * styles[0]


@torch.no_grad()
def test_the_color_weight_keeps_the_coarse_colors_of_the_initial_network(monkeypatch: pytest.MonkeyPatch) -> None:
    crop, styles = draw_content(96, torch.Generator().manual_seed(0)), open_styles("inkwash")
    monkeypatch.setattr(ContentCrops, "batch", lambda *_: crop)
    changes = []
    for color_weight in (0.0, 20.0):
        config = AdaptSettings(steps=8, lr=0.01, color_weight=color_weight, **FAST)  # type: ignore[arg-type]
        adaptation = Adaptation(config, styles, None)
        code = adaptation.averaged.encode(styles[0].image[..., :128, :128])
        before = F.avg_pool2d(adaptation.averaged(crop, code), 16)
        with torch.enable_grad():
            adaptation.train(None)
        changes.append((F.avg_pool2d(adaptation.averaged(crop, code), 16) - before).square().mean().item())
    assert changes[1] < 0.5 * changes[0]


def test_a_stop_by_the_listener_writes_the_weights_so_far(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    adapted = impasto.adapt("mosaic", file, steps=50, on_step=lambda step: np.less(step.index, 2), **FAST)
    assert (adapted.steps, adapted.stopped) == (2, "cancelled")
    assert read_metadata(file)["steps"] == "2"


def test_the_time_limit_ends_the_training(tmp_path: Path) -> None:
    adapted = impasto.adapt("mosaic", tmp_path / "a.safetensors", steps=10_000, seconds=0.01, **FAST)
    assert (adapted.steps, adapted.stopped) == (1, "seconds")


def test_the_preparation_is_no_part_of_the_time_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The learning rate decreases to 0 at the limit: a network that took so long to prepare would not change at all."""
    opened = adapt_module.open_styles

    def slow(style: object) -> object:
        time.sleep(1.2)
        return opened(style)  # type: ignore[arg-type]

    monkeypatch.setattr(adapt_module, "open_styles", slow)
    adapt("mosaic", tmp_path / "a.safetensors", steps=3, seconds=1.0, **FAST)
    before, after = load_file(MicroMethod.bundled), load_file(tmp_path / "a.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_several_styles_are_trained_in_turn_and_described_in_the_file(tmp_path: Path) -> None:
    save_image(sample("woodcut", 96), tmp_path / "own.png")
    adapted = adapt([tmp_path / "own.png", "mosaic"], tmp_path / "a.safetensors", steps=1, **FAST)
    metadata = read_metadata(adapted.output)
    assert adapted.steps == 2
    assert adapted.styles == ("own", "mosaic")
    assert [style.name for style in adapted_styles(adapted.output)] == ["own", "mosaic"]
    assert json.loads(metadata["source"])["name"] == "micro.safetensors"
    assert json.loads(metadata["settings"])["crop"] == 96
    assert str(tmp_path) not in str(metadata)


def test_the_loss_is_one_for_usual_contents_and_zero_for_the_style() -> None:
    style, contents = sample("mosaic", 96), draw_content(96, torch.Generator().manual_seed(1))
    loss = ScaledLoss(load_backbone("tiny"), style, contents, 0.0)
    terms, same = (loss(image, image, image) for image in (contents, style))
    assert {name: round(float(terms[name]), 4) for name in ("style", "layers", "moments")} == dict.fromkeys(
        ("style", "layers", "moments"), 1.0
    )
    assert float(same["style"]) == pytest.approx(0, abs=1e-6)
    assert float(terms["content"]) == 0


# Export


def test_a_file_for_one_style_is_exported_without_the_input_style(weights: Path) -> None:
    network, inputs = onnx_model(str(weights))
    content = sample("woodcut", 64)
    assert inputs == ["content", "strength"]
    expected = impasto.stylize(content, weights=weights, strength=30, style_scale=2, **SMALL).image  # 128 pixels
    with torch.no_grad():
        assert (network(content, torch.tensor(30.0)) - expected).abs().max() < 1e-4


def test_a_file_for_several_styles_is_not_exported(weights: Path) -> None:
    with pytest.raises(ValueError, match="is a network for 2 styles"):
        onnx_model(str(weights.with_name("both.safetensors")))


# Content images


def test_drawn_contents_have_edges_and_plain_areas_and_follow_the_generator() -> None:
    image, again = (draw_content(128, torch.Generator().manual_seed(5)) for _ in range(2))
    steps = (image[..., 1:] - image[..., :-1]).abs().mean(1)
    assert torch.equal(image, again)
    assert tuple(image.shape) == (1, 3, 128, 128)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    assert float(steps.median()) < 0.03  # noise of 2 % only
    assert float(steps.max()) > 0.2


def test_photographs_that_cannot_be_used_are_left_out_with_a_warning(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "photos", 2)
    (folder / "broken.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="broken"):
        assert len(photo_contents(folder, 40, torch.Generator())) == 2
    with pytest.warns(UserWarning, match="left out"), pytest.raises(ValueError, match="photos: none of the 3 pictures"):
        photo_contents(folder, 200, torch.Generator())


def test_a_photograph_that_is_a_little_smaller_than_a_crop_is_enlarged(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    PILImage.new("RGB", (80, 50)).save(tmp_path / "photos" / "small.png")
    (image,) = photo_contents(tmp_path / "photos", 64, torch.Generator())
    assert image.shape[-2:] == (64, 103)


def test_a_panorama_is_not_reduced_below_the_height_of_a_crop(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    PILImage.new("RGB", (600, 50)).save(tmp_path / "photos" / "wide.png")
    (image,) = photo_contents(tmp_path / "photos", 40, torch.Generator())
    assert image.shape[-2] >= 40
    assert ContentCrops([image], 40).batch(2, torch.Generator()).shape == (2, 3, 40, 40)


# The weights file


def test_stylizing_needs_no_style_image_and_accepts_the_same_one(weights: Path, tmp_path: Path) -> None:
    without = impasto.stylize("woodcut", weights=weights, **SMALL)
    given = impasto.stylize("woodcut", "mosaic", weights=weights, **SMALL)
    assert [each.role for each in without.inputs] == ["content", "style"]
    assert (without.image - given.image).abs().max() < 0.1  # the image in the file is reduced and a JPEG


def test_a_strength_below_50_blends_with_the_content_image(weights: Path) -> None:
    content = sample("woodcut", 64)
    full, half, none = (
        impasto.stylize(content, weights=weights, strength=strength, **SMALL).image for strength in (50, 25, 0)
    )
    assert torch.equal(none, content)
    assert torch.allclose(half, (full + content) / 2, atol=1e-6)
    assert not torch.allclose(full, impasto.stylize(content, weights=weights, strength=100, **SMALL).image, atol=0.01)


def test_another_style_image_is_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match=r"style: these weights were adapted to mosaic"):
        impasto.stylize("woodcut", "inkwash", weights=weights, **SMALL)


@pytest.mark.parametrize("color", ["luminance", "histogram"])
def test_other_colors_work_without_a_style_image(weights: Path, color: str) -> None:
    assert impasto.stylize("woodcut", weights=weights, color=color, **SMALL).image.isfinite().all()


def test_colors_by_moments_are_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match="color: an adapted network"):
        impasto.stylize("woodcut", weights=weights, color="moments", **SMALL)


def test_the_styles_of_a_file_are_mixed_by_style_mix(weights: Path) -> None:
    both = weights.with_name("both.safetensors")
    first = impasto.stylize("woodcut", weights=both, style_mix=(1, 0), **SMALL).image
    alone = impasto.stylize("woodcut", weights=weights, **SMALL).image
    assert torch.equal(first, alone)
    assert not torch.equal(first, impasto.stylize("woodcut", weights=both, **SMALL).image)


def test_a_picture_without_a_style_image_is_replayed_bit_for_bit(weights: Path, tmp_path: Path) -> None:
    result = impasto.stylize("woodcut", weights=weights, **SMALL)
    result.save(tmp_path / "a.png")
    assert torch.equal(impasto.replay(tmp_path / "a.png").image, result.image)


def test_a_clip_and_a_folder_need_no_style_image_either(weights: Path, tmp_path: Path) -> None:
    """The style was a required argument."""
    photos = write_pictures(tmp_path / "photos", 1)
    settings: dict[str, Any] = {"method": "micro", "weights": weights, "size": 48}
    (result,) = impasto.stylize_folder(photos, output=tmp_path / "out", **settings)
    assert result.status == "stylized"
    assert impasto.plan_folder(photos, output=tmp_path / "out", **settings).skipped == 1
    assert impasto.stylize_video(photos, output=tmp_path / "out.gif", **settings).frames == 1
    with pytest.raises(ValueError, match=r"^output: it is missing; give the file or the folder"):
        impasto.stylize_video(photos, **settings)
    with pytest.raises(ValueError, match=r"^style: no style image is given"):
        impasto.stylize_video(photos, output=tmp_path / "none.gif", size=48)


def test_a_style_from_memory_is_not_replaced_by_that_of_the_weights(weights: Path, tmp_path: Path) -> None:
    impasto.stylize("woodcut", sample("mosaic", 128), weights=weights, **SMALL).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"^styles: it was a picture in memory"):
        impasto.replay(tmp_path / "a.png")


def test_a_corrupt_description_of_the_styles_is_one_line(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_weights(Micro(), file, {"styles": "[3]"})
    with pytest.raises(ValueError, match=r"weights: the styles in .* are corrupt"):
        impasto.stylize("woodcut", weights=file, **SMALL)


# Command line


def test_the_command_writes_a_file_that_stylizes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, photos = tmp_path / "my.safetensors", write_pictures(tmp_path / "photos", 2)
    fast = ["--steps", "1", "--backbone", "tiny", "--crop", "96"]
    assert main(["adapt", "mosaic", "-o", str(file), *fast, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["output"], summary["styles"], summary["steps"]) == (str(file), ["mosaic"], 1)
    out = tmp_path / "out"
    arguments = ["stylize", str(photos), "--method", "micro", "--weights", str(file), "--size", "48", "-o", str(out)]
    assert main(arguments) == 0
    assert len(list(out.glob("*.png"))) == 2


def test_a_file_that_is_not_an_adapted_network_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "micro.safetensors"
    file.write_bytes(MicroMethod.bundled.read_bytes())
    assert main(["adapt", "mosaic", "-o", str(file)]) == 2
    assert "it is not a file of `impasto adapt`" in capsys.readouterr().err
    assert file.read_bytes() == MicroMethod.bundled.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give at least one STYLE"),
        (["mosaic"], "give -o FILE.safetensors"),
        (["mosaic", "-o", "a.png"], "not '.png'"),
        (["nothing", "-o", "a.safetensors"], "'nothing' is not a file"),
        (["mosaic", "-o", "a.safetensors", "--crop", "100"], "--crop: give a multiple of 8"),
        (["mosaic", "-o", "a.safetensors", "--photos", "missing"], "'missing': it is not a folder"),
        (["mosaic", "-o", "a.safetensors", "--backbone", "none"], "unknown backbone 'none'"),
        (["mosaic", "-o", "a.safetensors", "--initial-weights", "none"], "'none' cannot be read"),
    ],
)
def test_wrong_arguments_are_one_line_and_write_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["adapt", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_stylize_without_style_needs_weights_that_have_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stylize", str(resolve("woodcut")), "--method", "micro", "-o", "a.png"]) == 2
    assert "give a CONTENT and at least one STYLE" in capsys.readouterr().err
