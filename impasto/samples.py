"""Pictures that can be used by name: styles drawn for this package, photographs in scikit-image."""

import hashlib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A picture and the terms it comes under."""

    name: str
    summary: str
    license: str
    credit: str
    package: str
    """Importable package whose folder holds the file."""
    file: str
    """Path inside that folder."""


def _drawn(name: str, summary: str) -> Sample:
    credit = "drawn by this project's own code, tools/draw_styles"
    file = f"assets/styles/{name}.jpg"
    return Sample(name=name, summary=summary, license="MIT", credit=credit, package="impasto", file=file)


def _photograph(file: str, summary: str, license: str, credit: str) -> Sample:
    name = Path(file).stem
    return Sample(name=name, summary=summary, license=license, credit=credit, package="skimage", file=f"data/{file}")


STYLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        _drawn("brushstrokes", "a night of wind over a valley, in thick swirling oil strokes"),
        _drawn("mosaic", "a sun over scalloped waves, in glass tesserae and pale grout"),
        _drawn("woodcut", "mountains by a lake, hatched in black on cream with red and ochre"),
        _drawn("pointillism", "sails and parasols by a sunlit river, in thousands of dabs of unmixed color"),
        _drawn("inkwash", "ridges sinking into mist behind an old pine, in gray washes and dry black strokes"),
        _drawn("geometric", "wheels, arcs, bars and a triangle, flat and sharp-edged, in a few poster inks"),
    )
}
"""Style pictures by name; bundled with the package."""

# Licenses and credits as scikit-image states them in the docstrings of `skimage.data`.
CONTENTS: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        _photograph("astronaut.png", "Eileen Collins before a shuttle", "public domain", "NASA"),
        _photograph("rocket.jpg", "a Falcon 9 launching DSCOVR", "public domain", "SpaceX"),
        _photograph("coffee.png", "a cup of coffee on a wooden table", "CC0", "Rachel Michetti, Pikolo Espresso Bar"),
        _photograph("chelsea.png", "Chelsea the cat", "CC0", "Stefan van der Walt"),
    )
}
"""Photographs by name; they lie inside scikit-image's wheel and need no download."""


BLURRED = re.compile(r"(.+)~(\d{1,3})")
"""A picture that has lost its fine texture: `mosaic~20` is blurred by 20 thousandths of its longer side."""


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The file behind a path or a sample's name; a file in the current folder wins over a sample.

    After a `~` stands by how much it is blurred: the standard deviation of a Gaussian, in thousandths of the longer
    side. The blurred picture is kept in the cache.

    Raises `ValueError`, in one line, for what is neither, and for a photograph without scikit-image.

    >>> resolve("woodcut").name
    'woodcut.jpg'
    """
    text = os.fspath(name_or_path)
    if os.path.isfile(text):  # unlike Path.is_file, False for names too long to be one
        return Path(text)
    if blurred := BLURRED.fullmatch(text):
        return _blurred(resolve(blurred[1]), int(blurred[2]))
    sample = STYLES.get(text) or CONTENTS.get(text)
    if sample is None:
        kind = "a folder" if os.path.isdir(text) else "no file"
        choices = f"styles {', '.join(STYLES)}; photographs {', '.join(CONTENTS)}"
        raise ValueError(f"{text!r} is {kind} and no sample's name; samples: {choices}")
    return _installed(sample)


def _installed(sample: Sample) -> Path:
    """Where a sample's file lies, found without importing its package: that would cost time."""
    spec = importlib.util.find_spec(sample.package)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        path = Path(folder) / sample.file
        if path.is_file():
            return path
    if sample.package == "impasto":
        raise ValueError(f"the sample {sample.name!r} is missing from this installation of impasto: reinstall it")
    lacking = "lacks it" if folders else "is not installed"
    raise ValueError(
        f"the photograph {sample.name!r} is part of scikit-image, which {lacking}: pip install impasto[demo]"
    )


def _blurred(file: Path, thousandths: int) -> Path:
    """A copy of a picture in the cache, under the hash of what it is made of."""
    from impasto.images import blur, load_image, save_image
    from impasto.weights import cache_folder

    made_of = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    copy = cache_folder() / "blurred" / f"{file.stem}-{thousandths}-{made_of}.png"
    if not copy.is_file():
        image = load_image(file)
        save_image(blur(image, thousandths / 1000 * max(image.shape[-2:])), copy)
    return copy
