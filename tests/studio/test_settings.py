"""Form controls, code snippets, regions and loss curves of the studio, without the page."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
import torch

import impasto
from impasto.cli.flags import given_settings
from impasto.cli.stylize import stylize_parser
from impasto.config import setting_schemas
from impasto.methods import METHODS
from impasto.studio import labels
from impasto.studio.controls import controls_of
from impasto.studio.estimates import REFERENCE, quality_factors, seconds_per_megapixel
from impasto.studio.history import HistoryEntry
from impasto.studio.labels import TECHNIQUES, image_label, setting_label, technique
from impasto.studio.plot import MAX_POINTS, curves_svg
from impasto.studio.regions import PALETTE, colors_used, encode_png, label_map
from impasto.studio.requests import StylizeRequest, continue_from, request_from_record, without_continuation
from impasto.studio.snippets import python_script, shell_command
from impasto.types import Step

SETTINGS: dict[str, Any] = {
    "strength": 70.0,
    "style_scale": 2.0,
    "size": 256,
    "seed": 7,
    "style_mix": [0.7, 0.3],
    "steps": 9,
}


@pytest.mark.parametrize("method", [*METHODS])
def test_every_setting_but_files_has_a_control_and_the_main_settings_come_first(method: str) -> None:
    controls = controls_of(method)
    schemas = setting_schemas(METHODS[method].Config)
    files = {"mask", "style_mask", "weights"}
    assert {control.name for control in controls} == set(METHODS[method].Config.__dataclass_fields__) - files
    main = [name for name, schema in schemas.items() if schema["tier"] == "main" and name not in files]
    assert {"strength", "style_scale", "size"} <= set(main)
    assert [control.name for control in controls[: len(main)]] == main
    assert all(control.tier == "advanced" for control in controls[len(main) :])
    assert all(control.group == schemas[control.name]["group"] for control in controls)
    assert all(control.help and control.group for control in controls)


def test_controls_have_the_bounds_and_choices_of_the_settings() -> None:
    controls = {control.name: control for control in controls_of("gatys")}
    assert (controls["strength"].minimum, controls["strength"].maximum) == (0, 100)
    assert controls["color"].choices == ("style", "luminance", "moments", "histogram")
    assert controls["backbone"].choices[0] == "lite"
    assert (controls["lr"].kind, controls["lr"].initial, controls["style_layers"].kind) == ("number", None, "list")


def test_the_shell_command_has_the_images_and_settings_of_the_request() -> None:
    request = StylizeRequest(content="my photo.jpg", styles=("mosaic", "it's.png"), method="nnst", settings=SETTINGS)
    words = shlex.split(shell_command(request))
    options = stylize_parser("nnst").parse(words[2:])
    assert options.pictures == ["my photo.jpg", "mosaic", "it's.png"]
    own = given_settings(options, METHODS["nnst"].Config)
    assert {name: str(value) for name, value in own.items() if name != "style_mix"} == {
        name: str(value) for name, value in SETTINGS.items() if name != "style_mix"
    }
    assert own["style_mix"] == ["0.7", "0.3"]


def test_the_python_script_computes_the_same_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"backbone": "tiny", "size": 48, "steps": 2, "seed": 3}
    names: dict[str, Any] = {}
    request = StylizeRequest(content="woodcut", styles=("mosaic",), settings=settings)
    exec(python_script(request), names)
    again = impasto.stylize("woodcut", "mosaic", **settings)
    assert (names["result"].image == again.image).all()
    assert (tmp_path / "out.png").is_file()


def test_a_request_is_restored_from_a_record() -> None:
    settings = {"backbone": "tiny", "size": 48, "steps": 2, "style_mix": [1.0, 2.0]}
    record = impasto.stylize("woodcut", ["mosaic", "inkwash"], **settings).record()
    used = {**settings, "tile": 0}  # the record has the tiles that were used
    request = request_from_record(record)
    assert request == StylizeRequest(content="woodcut", styles=("mosaic", "inkwash"), settings=used)
    deep = request_from_record(record | {"bits": 16, "stopped": "cancelled"})
    assert deep == replace(request, bits=16, stop_at=2)
    assert python_script(deep, Path("a.png")).endswith("result.save('out.png', bits=16)")
    assert "tile" not in shell_command(request) + python_script(request)  # what a run finds out by itself
    assert "--tile 512" in shell_command(replace(request, settings={"tile": 512}))


def test_a_continued_request_keeps_the_size_of_the_picture_and_can_be_reverted() -> None:
    request = StylizeRequest(content="woodcut", styles=("mosaic",), settings={"steps": 2, "sizes": [32, 64]})
    continued = continue_from(request, Path("/x/picture.png"), 64)
    assert continued.settings == {"steps": 2, "start": "/x/picture.png", "sizes": [64]}
    assert without_continuation(continued.settings) == {"steps": 2}
    assert continue_from(replace(request, settings={"size": 96}), Path("/x.png"), 64).settings["sizes"] == [96]
    larger = continue_from(replace(request, settings={"size": 96, "quality": "draft"}), Path("/x.png"), 64)
    assert (larger.settings["steps"], without_continuation(larger.settings)) == (3, {"size": 96, "quality": "draft"})
    same = continue_from(replace(request, settings={}), Path("/x.png"), 64)
    assert (same.settings["steps"], same.settings["sizes"]) == (32, [64])
    assert without_continuation({"start": "noise", "sizes": [64]}) == {"start": "noise", "sizes": [64]}


def test_every_method_has_a_name_and_a_sentence_and_three_are_shown_first() -> None:
    assert set(TECHNIQUES) == set(METHODS)
    assert [name for name, each in TECHNIQUES.items() if each.is_first] == ["gatys", "micro", "nnst"]
    assert len({each.label for each in TECHNIQUES.values()}) == len(TECHNIQUES)
    assert all(each.sentence.endswith(".") for each in TECHNIQUES.values())
    assert technique("gatys").label == "Classic"


def test_labels_name_settings_and_choices_that_exist() -> None:
    controls = {control.name: control for method in METHODS for control in controls_of(method)}
    assert set(labels.SETTINGS) <= set(controls)
    assert {(name, choice) for name, named in labels.CHOICES.items() for choice in named} <= {
        (name, choice) for name in labels.CHOICES for choice in controls[name].choices
    }
    for name, named in labels.PRESETS.items():
        low, high = controls[name].minimum, controls[name].maximum
        assert all(low <= value <= high for value in named.values() if value)  # type: ignore[operator]
        assert controls[name].initial in named.values()
    assert setting_label("strength", "")[0] == "Style strength"
    assert setting_label("patch_size", "Side of the patches.") == ("Patch size", "Side of the patches.")
    assert [image_label(name) for name in ("stainedglass", "ukiyoe", "cubist")] == [
        "Stained glass",
        "Ukiyo-e",
        "Cubist",
    ]
    assert image_label("holiday at sea.jpg") == "holiday at sea"


def test_the_expected_time_depends_on_the_quality_where_there_is_one() -> None:
    assert quality_factors("gatys")["best"] == pytest.approx(9.4, abs=0.1)
    assert quality_factors("nnst") == {"draft": 0.1, "normal": 1, "best": 2.5}
    assert quality_factors("micro") == {}


def test_estimates_follow_the_results_of_this_machine() -> None:
    def entry(**summary: Any) -> HistoryEntry:
        figures = {"method": "gatys", "seconds": 10.0, "width": 1000, "height": 500, "is_typical": True}
        return HistoryEntry("key", "title", Path(), Path(), {**figures, **summary})

    assert seconds_per_megapixel([])["gatys"] == REFERENCE["gatys"]
    entries = [
        entry(),
        entry(seconds=12.0),
        entry(is_typical=False, seconds=900.0),
        entry(stopped="cancelled"),
        entry(seconds=0.5),
    ]
    found = seconds_per_megapixel(entries)
    assert found["gatys"] == 22
    assert found["nnst"] == pytest.approx(REFERENCE["nnst"] * 22 / REFERENCE["gatys"])


def layer_of(*boxes: tuple[int, tuple[int, int, int, int]]) -> PIL.Image.Image:
    """A layer with soft-edged discs in colors of the palette."""
    layer = PIL.Image.new("RGBA", (400, 300))
    for color, box in boxes:
        PIL.ImageDraw.Draw(layer).ellipse(box, fill=PALETTE[color])
    small = layer.resize((200, 150), PIL.Image.Resampling.BILINEAR)
    return small


def test_drawn_layers_become_regions_in_the_order_of_the_style_images(tmp_path: Path) -> None:
    layers = [layer_of((2, (20, 20, 180, 180))), layer_of((1, (220, 40, 380, 260)))]
    mask = label_map(layers, (200, 150), fill=True)
    assert colors_used(mask) == [0, 1, 2]
    (tmp_path / "map.png").write_bytes(encode_png(mask))
    content = torch.rand(1, 3, 150, 200, generator=torch.Generator().manual_seed(0))
    result = impasto.stylize(
        content, ["mosaic", "inkwash", "geometric"], backbone="tiny", size=48, steps=1, mask=tmp_path / "map.png"
    )
    assert {name.split("/")[-1] for name in result.losses if name.startswith("style")} == {
        *("region1", "region2", "region3")
    }


def test_areas_without_a_region_can_keep_the_content_image() -> None:
    mask = label_map([layer_of((1, (20, 20, 180, 180)))], (200, 150), fill=False)
    alpha = np.asarray(mask)[..., 3]
    assert set(np.unique(alpha)) == {0, 255}
    assert colors_used(mask) == [1]


def test_tiny_regions_are_ignored_and_a_map_without_regions_is_rejected() -> None:
    layers = [layer_of((1, (20, 20, 180, 180)), (3, (300, 200, 304, 204)))]
    assert colors_used(label_map(layers, (200, 150), fill=True)) == [0, 1]
    with pytest.raises(ValueError, match="has no regions yet"):
        colors_used(label_map([], (200, 150), fill=True))


def test_the_palette_is_sorted_from_dark_to_light_like_the_regions_of_a_mask() -> None:
    luminances = [
        sum(w * int(color[i : i + 2], 16) for w, i in zip((0.299, 0.587, 0.114), (1, 3, 5), strict=True))
        for color in PALETTE
    ]
    assert luminances == sorted(luminances)


def test_curves_are_drawn_for_every_kind_of_loss_and_skip_values_that_are_not_finite() -> None:
    curve = [Step(i, {"style": 10.0 / i, "content": math.nan if i == 5 else 0.1 * i}) for i in range(1, 1000)]
    svg = curves_svg(curve)
    assert svg.count("<polyline") == 3
    assert max(line.count(",") for line in svg.split("<polyline")) <= MAX_POINTS + 1
    assert "style 10 to 0.01" in svg
    assert "nan" not in svg.split("aria-label")[0] + svg.split("</svg>")[1]
    assert curves_svg(curve[:1]) == curves_svg([]) == ""
