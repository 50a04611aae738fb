"""Compute the pictures of the documentation from freely licensed photographs and the bundled sample styles.

    python tools/docs/pictures.py                     all pictures, about twenty minutes on two cores
    python tools/docs/pictures.py methods subjects    only the two galleries of the README
    python tools/docs/pictures.py gatys strotss       only the strips of these methods
    python tools/docs/pictures.py studio              only the page of the studio; needs Chromium
    python tools/docs/pictures.py examples            only the pictures of the first visit and the techniques
    python tools/docs/pictures.py styles              only the sheet of the sample styles

The photographs come from scikit-image and, for architecture, from scikit-learn (`china.jpg`, CC BY 2.0, by
danielbuechele); `docs/reference/samples.md` lists the licenses.
"""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import PIL.Image
import PIL.ImageOps

from impasto import load_image, stylize
from impasto.cli.styles import style_sheet
from impasto.images import fit, resize, to_pil
from impasto.images.contact_sheet import contact_sheet
from impasto.methods import METHODS
from impasto.samples import resolve
from impasto.studio.examples import EXAMPLES, QUALITY, TECHNIQUE_PAIR, TECHNIQUE_SIZE, technique_file
from impasto.studio.examples import SIZE as EXAMPLE_SIZE
from impasto.studio.labels import TECHNIQUES
from impasto.studio.page_api import FILES
from impasto.types import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = "/usr/bin/chromium"
FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
PAIRS = (("chelsea", "brushstrokes"), ("astronaut", "mosaic"), ("rocket", "pointillism"))
VARIANTS = {"gatys, strength 25": {"strength": 25}, "gatys, color luminance": {"color": "luminance", "strength": 75}}
SUBJECTS = {
    "architecture": "china.jpg of scikit-learn",
    "interior": "coffee",
    "portrait": "astronaut",
    "landscape": "rocket",
    "animal": "chelsea",
}
STYLES = ("brushstrokes", "pointillism", "woodcut", "geometric")
SIZE, WIDTH = 256, 1200


def example() -> None:
    """Save the picture at the top of the README: content image, style image and output."""
    images = [load_image(resolve(name), size=512) for name in ("rocket", "brushstrokes")]
    images.append(stylize("rocket", "brushstrokes").image)
    _save(
        contact_sheet([images], column_names=["content image", "style image", "output"], cell=480), "rocket-strip", 1472
    )


def strip(method: str) -> None:
    """Save three stylized images of a method, each beside its style image."""
    row: list[Image | None] = []
    for content, style in PAIRS:
        result = stylize(content, style, method, size=SIZE)
        row += [load_image(resolve(style), size=SIZE), result.image]
        print(f"{method}: {content} x {style}, {result.seconds:.0f} s", flush=True)
    _save(contact_sheet([row], cell=SIZE), method, WIDTH)


def methods() -> None:
    """Save one pair of images stylized by every method; `johnson` has a network for this style image."""
    content, style, size = "astronaut", "brushstrokes", 384
    cells: dict[str, Image] = {name: load_image(resolve(name), size=size) for name in (content, style)}
    optimizing = ("gatys", "bures", "sliced", "mrf", "strotss", "nnst", "gpdm")
    for name in (*optimizing, "micro", "unrolled", "adain", "wct", "johnson"):
        cells[name] = stylize(content, style, name, size=size).image
        print(name, flush=True)
    for name, settings in VARIANTS.items():
        cells[name] = stylize(content, style, size=size, **settings).image
    names, images = list(cells), list(cells.values())
    width = 4
    bands = [
        contact_sheet([images[first : first + width]], column_names=names[first : first + width], cell=280)
        for first in range(0, len(images), width)
    ]
    _save(contact_sheet([[band] for band in bands], cell=max(band.shape[-1] for band in bands)), "methods", 1440)


def subjects() -> None:
    """Save photographs of five kinds of subjects, each stylized with four sample styles by `gatys`."""
    files = {kind: _file(name) for kind, name in SUBJECTS.items()}
    size = 512
    rows: list[list[Image | None]] = [[load_image(file, size=size) for file in files.values()]]
    for style in STYLES:
        rows.append([stylize(file, style, size=size).image for file in files.values()])
        print(style, flush=True)
    _save(contact_sheet(rows, column_names=list(files), row_names=["content", *STYLES], cell=280), "subjects", 1440)


def examples() -> None:
    """Save the pictures that the studio shows on the first visit and beside its techniques."""
    for each in EXAMPLES:
        picture = to_pil(stylize(each.content, each.style, each.method, size=EXAMPLE_SIZE).image)
        picture.save(FILES / each.file, quality=QUALITY)
        print(each.file, flush=True)
    for method in TECHNIQUES:
        picture = to_pil(stylize(*TECHNIQUE_PAIR, method, size=EXAMPLE_SIZE).image)
        square = PIL.ImageOps.fit(picture, (TECHNIQUE_SIZE, TECHNIQUE_SIZE), PIL.Image.Resampling.LANCZOS)
        square.save(FILES / technique_file(method), quality=QUALITY)
        print(technique_file(method), flush=True)


def _file(sample: str) -> Path:
    """Return the path of a sample, or of the photograph of architecture inside scikit-learn's wheel."""
    if not sample.endswith(" of scikit-learn"):
        return resolve(sample)
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        sys.exit("the photograph of architecture needs scikit-learn, which the extra `track` brings")
    return Path(spec.origin).parent / "datasets" / "images" / sample.split()[0]


def _save(sheet: Image, name: str, width: int) -> None:
    pixels = resize(sheet, fit((sheet.shape[-2], sheet.shape[-1]), width))[0].permute(1, 2, 0)
    picture = PIL.Image.fromarray((pixels * 255).round().byte().numpy())
    picture.save(FOLDER / f"{name}.jpg", quality=85, optimize=True)  # half the bytes of the quality of an output


def studio() -> None:
    """Save the page of the studio with a finished picture, on a screen in light colors and on a phone in dark ones."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [
            sys.executable,
            "-m",
            "impasto",
            "studio",
            "--port",
            "0",
            "--folder",
            folder,
            "--experiments",
            folder,
        ]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert server.stdout is not None
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            shots = _studio_pages(browser, server.stdout.readline().strip())
        finally:
            browser.close()
            server.terminate()
            server.wait()
    sheet = PIL.Image.new("RGB", (sum(shot.width for shot in shots) + 24, max(shot.height for shot in shots)), "white")
    sheet.paste(shots[0], (0, (sheet.height - shots[0].height) // 2))
    sheet.paste(shots[1], (shots[0].width + 24, 0))
    sheet.save(FOLDER / "studio.jpg", quality=82)


def _studio_pages(browser: Browser, url: str) -> list[PIL.Image.Image]:
    """Paint a picture in the studio, and return the page on a screen and on a phone."""
    shots, address = [], url
    for size, scheme in (((1280, 800), "light"), ((390, 844), "dark")):
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)  # type: ignore
        page.set_default_timeout(600_000)
        page.goto(address)
        page.locator("body[data-ready]").wait_for()
        if address == url:
            page.locator("#paint").click()
            page.locator("#stage[data-status=done]").wait_for()
            address = page.url
        page.get_by_label("Before and after").focus()
        for _ in range(4):
            page.keyboard.press("PageUp")
        page.locator("h1").click()
        page.wait_for_timeout(3000)  # instant versions of the styles
        shots.append(PIL.Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        page.close()
    return shots


def main(names: list[str]) -> None:
    """Compute the pictures with these names, or all pictures."""
    galleries = {
        "example": example,
        "methods": methods,
        "subjects": subjects,
        "studio": studio,
        "examples": examples,
        "styles": lambda: _save(style_sheet(), "styles", 1064),
    }
    for name in names or [*galleries, *METHODS]:
        if name in galleries:
            galleries[name]()
        else:
            strip(name)


if __name__ == "__main__":
    main(sys.argv[1:])
