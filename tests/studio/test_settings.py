"""The studio's controls, code to copy, regions and curves: what the page is made of, without the page."""

from __future__ import annotations

import math
import shlex
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
from impasto.methods import METHODS
from impasto.studio.controls import FIRST, controls_of, settings_from, values_for
from impasto.studio.plot import POINTS, curves_svg
from impasto.studio.regions import PALETTE, as_png, colors_used, label_map
from impasto.studio.requests import Order, as_asked, continued, order_of
from impasto.studio.snippets import as_command, as_python

SETTINGS: dict[str, Any] = {
    "strength": 70.0,
    "style_scale": 2.0,
    "size": 256,
    "seed": 7,
    "style_mix": [0.7, 0.3],
    "steps": 9,
}


@pytest.mark.parametrize("method", [*METHODS])
def test_every_setting_but_files_has_a_control_and_strength_and_stroke_come_first(method: str) -> None:
    names = [control.name for control in controls_of(method)]
    files = {"mask", "style_mask", "weights"}
    assert set(names) == set(METHODS[method].Config.__dataclass_fields__) - files
    first = [name for name in FIRST if name in METHODS[method].Config.__dataclass_fields__]
    assert names[: len(first)] == first
    assert names[:2] == ["strength", "style_scale"]
    assert all(control.help and control.group for control in controls_of(method))


@pytest.mark.parametrize("method", [*METHODS])
def test_controls_as_they_stand_at_first_set_nothing(method: str) -> None:
    shown = {control.name: control.shown for control in controls_of(method)}
    assert settings_from(method, shown) == {}
    assert values_for(method, {}) == shown


@pytest.mark.parametrize("method", [*METHODS])
def test_settings_go_to_the_controls_and_come_back(method: str) -> None:
    known = {name: value for name, value in SETTINGS.items() if name in METHODS[method].Config.__dataclass_fields__}
    assert settings_from(method, values_for(method, SETTINGS)) == known


def test_limits_and_choices_are_those_of_the_configuration() -> None:
    controls = {control.name: control for control in controls_of("gatys")}
    assert (controls["strength"].minimum, controls["strength"].maximum) == (0, 100)
    assert controls["color"].choices == ("style", "luminance", "moments", "histogram")
    assert controls["backbone"].choices[0] == "lite"
    assert (controls["lr"].kind, controls["lr"].shown, controls["style_layers"].kind) == ("number", None, "list")


def test_what_is_typed_is_read_as_numbers_and_names() -> None:
    typed = {"style_mix": "1, 2.5", "style_layers": "relu1_1 relu2_1", "steps": "12", "lr": "", "history": 5.0}
    assert settings_from("gatys", typed) == {
        "style_mix": [1, 2.5],
        "style_layers": ["relu1_1", "relu2_1"],
        "steps": 12,
        "history": 5,
    }


def test_the_copied_command_says_the_same_as_the_order() -> None:
    order = Order(content="my photo.jpg", styles=("mosaic", "it's.png"), method="nnst", settings=SETTINGS)
    words = shlex.split(as_command(order))
    options = stylize_parser("nnst").parse(words[2:])
    assert options.pictures == ["my photo.jpg", "mosaic", "it's.png"]
    own = given_settings(options, METHODS["nnst"].Config)
    assert {name: str(value) for name, value in own.items() if name != "style_mix"} == {
        name: str(value) for name, value in SETTINGS.items() if name != "style_mix"
    }
    assert own["style_mix"] == ["0.7", "0.3"]


def test_the_copied_python_paints_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"backbone": "tiny", "size": 48, "steps": 2, "seed": 3}
    names: dict[str, Any] = {}
    exec(as_python(Order(content="woodcut", styles=("mosaic",), settings=settings)), names)
    again = impasto.stylize("woodcut", "mosaic", **settings)
    assert (names["result"].image == again.image).all()
    assert (tmp_path / "out.png").is_file()


def test_an_order_can_be_read_from_a_record() -> None:
    settings = {"backbone": "tiny", "size": 48, "steps": 2, "style_mix": [1.0, 2.0]}
    record = impasto.stylize("woodcut", ["mosaic", "inkwash"], **settings).record()
    assert order_of(record) == Order(content="woodcut", styles=("mosaic", "inkwash"), settings=settings)


def test_what_goes_on_keeps_its_size_and_can_be_asked_for_anew() -> None:
    order = Order(content="woodcut", styles=("mosaic",), settings={"steps": 2, "sizes": [32, 64]})
    further = continued(order, Path("/x/picture.png"), 64)
    assert further.settings == {"steps": 2, "start": "/x/picture.png", "sizes": [64]}
    assert as_asked(further.settings) == {"steps": 2}
    assert as_asked({"start": "noise", "sizes": [64]}) == {"start": "noise", "sizes": [64]}


def strokes(*boxes: tuple[int, tuple[int, int, int, int]]) -> PIL.Image.Image:
    """A layer with soft-edged discs in colors of the palette."""
    layer = PIL.Image.new("RGBA", (400, 300))
    for color, box in boxes:
        PIL.ImageDraw.Draw(layer).ellipse(box, fill=PALETTE[color])
    small = layer.resize((200, 150), PIL.Image.Resampling.BILINEAR)
    return small


def test_what_is_painted_becomes_regions_in_the_order_of_the_styles(tmp_path: Path) -> None:
    layers = [strokes((2, (20, 20, 180, 180))), strokes((1, (220, 40, 380, 260)))]
    mask = label_map(layers, (200, 150), rest=True)
    assert colors_used(mask) == [0, 1, 2]
    (tmp_path / "map.png").write_bytes(as_png(mask))
    photograph = torch.rand(1, 3, 150, 200, generator=torch.Generator().manual_seed(0))
    result = impasto.stylize(
        photograph, ["mosaic", "inkwash", "geometric"], backbone="tiny", size=48, steps=1, mask=tmp_path / "map.png"
    )
    assert {name.split("/")[-1] for name in result.losses if name.startswith("style")} == {
        *("region1", "region2", "region3")
    }


def test_what_is_left_unpainted_can_stay_a_photograph() -> None:
    mask = label_map([strokes((1, (20, 20, 180, 180)))], (200, 150), rest=False)
    alpha = np.asarray(mask)[..., 3]
    assert set(np.unique(alpha)) == {0, 255}
    assert colors_used(mask) == [1]


def test_a_speck_is_no_region_and_nothing_painted_divides_nothing() -> None:
    layers = [strokes((1, (20, 20, 180, 180)), (3, (300, 200, 304, 204)))]
    assert colors_used(label_map(layers, (200, 150), rest=True)) == [0, 1]
    with pytest.raises(ValueError, match="nothing is divided yet"):
        colors_used(label_map([], (200, 150), rest=True))


def test_the_palette_is_in_the_order_in_which_masks_count() -> None:
    luminances = [
        sum(w * int(color[i : i + 2], 16) for w, i in zip((0.299, 0.587, 0.114), (1, 3, 5), strict=True))
        for color in PALETTE
    ]
    assert luminances == sorted(luminances)


def test_curves_are_drawn_for_every_kind_and_never_break() -> None:
    curve = [(i, {"style": 10.0 / i, "content": 0.1 * i, "total": math.nan if i == 5 else 1.0}) for i in range(1, 1000)]
    svg = curves_svg(curve)
    assert svg.count("<polyline") == 3
    assert max(line.count(",") for line in svg.split("<polyline")) <= POINTS + 1
    assert "style 10 to 0.01" in svg
    assert "nan" not in svg.split("aria-label")[0] + svg.split("</svg>")[1]
    assert curves_svg(curve[:1]) == curves_svg([]) == ""
