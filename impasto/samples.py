"""Sample images by name: styles drawn for this package and photographs from scikit-image."""

import hashlib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample image, its license and its credit."""

    name: str
    """Name that users select the image by."""
    summary: str
    """What the image shows."""
    license: str
    """License of the image."""
    credit: str
    """Author or source of the image."""
    package: str
    """Importable package whose folder contains the file."""
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
        _drawn("impressionist", "a lily pond below a footbridge and willows, in short broken strokes of oil"),
        _drawn("stainedglass", "a sunrise over hills, a river and irises, in streaked glass between lead cames"),
        _drawn("charcoal", "a jug, a bowl and fruit before a hanging cloth, hatched and smudged on toned paper"),
        _drawn("ukiyoe", "a great wave with claws of foam before a snowy peak, printed from cut blocks"),
        _drawn("cubist", "a guitar, a bottle and a newspaper, broken into shaded planes seen from several sides"),
        _drawn("risograph", "a striped sun over mountains and water behind large leaves, in three screened inks"),
    )
}
"""Sample style images by name; bundled with the package."""

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
"""Sample content images by name; part of scikit-image's wheel, no download needed."""


BLURRED = re.compile(r"(.+)~(\d{1,3})")
"""Names of blurred images: `mosaic~20` is blurred by a Gaussian of 20 thousandths of the longer side."""


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the image file of a path or of a sample's name.

    A file in the current folder takes precedence over a sample of the same name. A suffix `~N` selects a blurred copy:
    a Gaussian with a standard deviation of N thousandths of the longer side. The copy is stored in the cache.

    Args:
        name_or_path: a path, or a name from `STYLES` or `CONTENTS`.

    Raises:
        ValueError: if it is neither, or if the sample needs scikit-image and it is not installed.

    >>> resolve("woodcut").name
    'woodcut.jpg'
    """
    text = os.fspath(name_or_path)
    if os.path.isfile(text):  # unlike Path.is_file, False for names that are too long for the file system
        return Path(text)
    if blurred := BLURRED.fullmatch(text):
        return _blurred(resolve(blurred[1]), int(blurred[2]))
    sample = STYLES.get(text) or CONTENTS.get(text)
    if sample is None:
        kind = "a folder" if os.path.isdir(text) else "not a file"
        choices = f"styles {', '.join(STYLES)}; photographs {', '.join(CONTENTS)}"
        raise ValueError(f"{text!r} is {kind} and not the name of a sample; samples: {choices}")
    return installed_file(sample)


def installed_file(sample: Sample) -> Path:
    """Return the file of a sample, also where the current folder has a file of its name.

    Its package is not imported, because importing scikit-image is slow.

    Raises:
        ValueError: if it is not installed.
    """
    spec = importlib.util.find_spec(sample.package)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        path = Path(folder) / sample.file
        if path.is_file():
            return path
    if sample.package == "impasto":
        raise ValueError(f"the sample {sample.name!r} is missing from this installation of impasto: reinstall it")
    problem = "does not contain it" if folders else "is not installed"
    raise ValueError(
        f"the photograph {sample.name!r} is part of scikit-image, which {problem}: pip install impasto[demo]"
    )


def _blurred(file: Path, thousandths: int) -> Path:
    """Return a blurred copy of an image in the cache; its name contains the hash of the original."""
    from impasto.images import blur, load_image, save_image
    from impasto.weights import cache_folder

    original_hash = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    copy = cache_folder() / "blurred" / f"{file.stem}-{thousandths}-{original_hash}.png"
    if not copy.is_file():
        image = load_image(file)
        try:
            save_image(blur(image, thousandths / 1000 * max(image.shape[-2:])), copy)
        except ValueError as error:
            raise ValueError(f"{error}: set IMPASTO_CACHE to a folder that can be written") from None
    return copy
