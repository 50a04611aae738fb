"""Test sample images: they are found by name, reproducible from a seed, and documented with their license."""

import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from draw_styles import DRAWINGS, charcoal, draw, fields, impressionist, inkwash, riverbank, woodcut
from PIL import Image

from impasto.samples import CONTENTS, STYLES, resolve

SMALL = (40, 24)
"""Height and width of small drawings: a portrait."""
SAMPLES = {**STYLES, **CONTENTS}


def levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255


def fine_texture(picture: Image.Image) -> float:
    """Return the mean squared difference between neighboring pixels."""
    rgb = levels(picture)
    return float((np.diff(rgb, axis=0) ** 2).mean() + (np.diff(rgb, axis=1) ** 2).mean())


def flat_fraction(picture: Image.Image) -> float:
    """Return the fraction of the pixels that hardly differ from their neighbors."""
    return float((np.abs(np.diff(levels(picture), axis=1)).max(axis=2) < 0.02).mean())


@pytest.mark.parametrize("name", SAMPLES)
def test_a_name_resolves_to_a_readable_image(name: str) -> None:
    if name in CONTENTS:
        pytest.importorskip("skimage")
    with Image.open(resolve(name)) as picture:
        picture.load()
    assert min(picture.size) >= 300


@pytest.mark.parametrize("name", STYLES)
def test_a_bundled_style_is_small_on_disk_and_768_pixels_long(name: str) -> None:
    path = resolve(name)
    assert path.stat().st_size < 350_000
    with Image.open(path) as picture:
        assert max(picture.size) == 768


def test_every_style_has_a_drawing_and_every_drawing_is_a_style() -> None:
    assert list(STYLES) == list(DRAWINGS)


def test_no_name_is_both_a_style_and_a_photograph() -> None:
    assert not STYLES.keys() & CONTENTS.keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_documentation_of_samples_agrees_with_the_code(name: str) -> None:
    sample = SAMPLES[name]
    page = (Path(__file__).parents[1] / "docs" / "reference" / "samples.md").read_text(encoding="utf-8")
    assert f"| `{sample.name}` | {sample.summary} | {sample.license} | {sample.credit} |" in page


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan the drawings on a grid of 128 cells instead of 512, in a tenth of the time."""
    for module in (charcoal, fields, impressionist, inkwash, riverbank, woodcut):
        monkeypatch.setattr(module, "FIELD_SIDE", 128)


@pytest.mark.usefixtures("small_grid")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in ("impressionist", "cubist"))) for name in DRAWINGS],
)
def test_a_drawing_has_its_size_and_depends_only_on_its_seed(name: str) -> None:
    pictures = [draw(name, *SMALL, seed=seed) for seed in (5, 5, 6)]
    assert all(picture.size == SMALL[::-1] for picture in pictures)
    first, again, other = map(levels, pictures)
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02


@pytest.mark.parametrize(
    "name",
    [
        *("woodcut", "inkwash"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in DRAWINGS if name not in ("woodcut", "inkwash")),
    ],
)
def test_a_bundled_image_is_what_the_code_draws(name: str) -> None:
    with Image.open(resolve(name)) as picture:
        bundled = levels(picture)
    drawn = levels(draw(name, *bundled.shape[:2]))
    assert np.abs(bundled - drawn).mean() < 0.06  # the loss of JPEG; another seed differs by 0.18 or more


def test_every_style_has_texture_and_woodcut_has_the_most() -> None:
    texture = {name: fine_texture(Image.open(resolve(name))) for name in STYLES}
    smooth = fine_texture(Image.radial_gradient("L").resize((768, 608)))
    assert all(energy > 100 * smooth for energy in texture.values())
    assert texture["woodcut"] > 2 * max(energy for name, energy in texture.items() if name != "woodcut")


def test_geometric_has_the_least_texture_and_risograph_nearly_the_most() -> None:
    texture = {name: fine_texture(Image.open(resolve(name))) for name in STYLES}
    ranking = sorted(texture, key=texture.__getitem__)
    assert ranking[:2] == ["geometric", "inkwash"]
    assert ranking[-2:] == ["risograph", "woodcut"]
    flat = {name: flat_fraction(Image.open(resolve(name))) for name in STYLES}
    assert flat["geometric"] > 0.8
    assert flat["pointillism"] < 0.2


def test_pointillism_is_saturated_and_inkwash_is_gray_except_for_its_seal() -> None:
    spread = {}
    for name in ("pointillism", "inkwash"):
        rgb = levels(Image.open(resolve(name)))
        spread[name] = rgb.max(axis=2) - rgb.min(axis=2)
    assert spread["pointillism"].mean() > 0.2
    assert np.median(spread["inkwash"]) < 0.15
    assert 0.0005 < (spread["inkwash"] > 0.4).mean() < 0.01


def test_brushstrokes_is_blue_and_ochre_and_woodcut_nearly_gray() -> None:
    saturation = {}
    for name in ("brushstrokes", "woodcut"):
        rgb = levels(Image.open(resolve(name)))
        saturation[name] = float(np.mean(rgb.max(axis=2) - rgb.min(axis=2)))
        blue, ochre = (rgb[..., 2] > rgb[..., 0] + 0.15), (rgb[..., 0] > rgb[..., 2] + 0.15)
        if name == "brushstrokes":
            assert blue.mean() > 0.4
            assert ochre.mean() > 0.1
    assert saturation["brushstrokes"] > 1.3 * saturation["woodcut"]


def test_charcoal_is_gray_and_stainedglass_and_risograph_are_saturated() -> None:
    spread = {}
    for name in ("charcoal", "stainedglass", "risograph"):
        rgb = levels(Image.open(resolve(name)))
        spread[name] = float((rgb.max(axis=2) - rgb.min(axis=2)).mean())
    assert spread["charcoal"] < 0.1
    assert min(spread["stainedglass"], spread["risograph"]) > 0.3


def test_a_file_takes_precedence_over_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mosaic").write_bytes(b"local")
    assert resolve("mosaic").read_bytes() == b"local"
    assert resolve(tmp_path / "mosaic") == tmp_path / "mosaic"


def test_a_folder_does_not_take_precedence_over_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mosaic").mkdir()
    assert resolve("mosaic").name == "mosaic.jpg"


@pytest.mark.parametrize("wrong", ["mosaics", "", "no/such.png", "x" * 5000, "new\nline"])
def test_an_unknown_name_is_refused_in_one_line_with_all_choices(wrong: str) -> None:
    with pytest.raises(ValueError, match="samples: ") as caught:
        resolve(wrong)
    message = str(caught.value)
    assert all(name in message for name in chain(STYLES, CONTENTS))
    assert "\n" not in message


def test_without_scikit_image_the_error_of_a_photograph_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ValueError, match=r"pip install impasto\[demo\]") as caught:
        resolve("astronaut")
    assert "astronaut" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_resolving_a_photograph_does_not_import_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    for name in [name for name in sys.modules if name.split(".")[0] == "skimage"]:
        monkeypatch.delitem(sys.modules, name)
    resolve("rocket")
    assert "skimage" not in sys.modules


def test_an_unknown_drawing_and_a_size_below_16_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="brushstrokes, mosaic, woodcut"):
        draw("fresco", *SMALL)
    with pytest.raises(ValueError, match="8x8"):
        draw("woodcut", 8, 8)
