"""Write a web page that stylizes pictures in the browser: a folder of static files."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from impasto.config import names_of
from impasto.devices import torch_defaults
from impasto.files import check_unused, clean_up_on_error, write_atomically
from impasto.images import encode_image, fit, load_image, resize
from impasto.networks.adapted_styles import AdaptedStyle, adapted_styles
from impasto.networks.sample_networks import sample_networks
from impasto.pipeline.onnx import AdaptedModel, CodeModel, code_model, models, onnx_bytes, onnx_model, weights_file
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.types import Image
from impasto.web.runtime import VERSION, runtime_files

SIZES = (256, 384, 512, 768, 1024, 2048)
"""Longer sides of the output that the page offers, in pixels."""
SAMPLES = ("astronaut", "chelsea", "coffee", "rocket")
THUMBNAIL = 224
"""Longer side of the picture of a style on the page, in pixels."""
SAMPLE_SIZE = 768
"""Longer side of the sample photographs, in pixels."""
PAGE = Path(__file__).with_name("page")
STUDIO_PAGE = Path(__file__).parents[1] / "studio" / "page"
SHARED = ("dom.js", "drop.js", "frame.js", "icon.svg", "style.css")
"""Files of the studio's page that this page uses unchanged."""
INDEX = "site.json"
"""Description of the network, the styles and the samples, which the page reads first."""
VARYING = ("styles/[0-9]*.jpg", "samples/*.jpg", "model/*.onnx")
"""Patterns of the files that not every export writes."""

Files = dict[str, bytes]
"""Content of files by their path in the folder of the page."""
Entries = list[dict[str, Any]]
"""Entries of the index: label and path of a picture, and the codes of a style by size."""


@torch_defaults()
def export_site(
    folder: Path,
    model: str = "micro",
    *,
    styles: str | Sequence[str] = (),
    weights: Path | None = None,
    runtime: Path | None = None,
    sizes: Sequence[int] = SIZES,
) -> Path:
    """Write the page with its network, styles and runtime; all files or none.

    Args:
        folder: the folder; created if it is missing. An earlier export in it is replaced, and other files remain.
        model: `micro` for any style, `micro-STYLE`, `johnson-STYLE`, or a weights file of `micro` or `impasto adapt`.
        styles: one or several files or names of samples, shown before the bundled ones; for a network of any style.
        weights: weights file, as for `model`, where that is `micro`; None is the bundled one.
        runtime: folder with the files of onnxruntime-web; None downloads them once into the cache.
        sizes: longer sides of the output that the page offers, in pixels.

    Returns:
        The path of `index.html`.

    Raises:
        ValueError: in one line, for a wrong model, style, weights file or folder, or a missing runtime or extra.
    """
    _check_folder(folder, ["index.html", INDEX])
    styles, (model, weights) = names_of(styles), _model_and_weights(model, weights)
    adapted = _own_styles(model, styles, weights)
    any_style = model == "micro" and not adapted
    try:
        runtime_data = {f"runtime/{each}": data for each, data in runtime_files(runtime).items()}
        network, entries = _with_codes(adapted, styles, weights, sizes) if model == "micro" else _one_style(model)
        samples, photographs = _samples()
        index = {"sizes": [*sizes], "any_style": any_style, "styles": entries, "samples": photographs}
        licenses = _licenses(list(samples), has_bundled_styles=_has_bundled_styles(adapted, weights))
        texts = {INDEX: json.dumps(index).encode(), "licenses.txt": licenses.encode()}
        _write(folder, _page_files() | runtime_data | network | samples | texts)
    finally:
        gc.collect()  # torch.export leaves the network in reference cycles, and so does an error
    return folder / "index.html"


def _model_and_weights(model: str, weights: Path | None) -> tuple[str, Path | None]:
    """Return `micro` and a file of weights where the model is one; raise `ValueError` where two files are given."""
    file = weights_file(model)
    if file is None:
        return model, weights
    if weights is not None:
        raise ValueError(f"two files of weights are given, {model!r} and {str(weights)!r}; give one of them")
    return "micro", file


def _own_styles(model: str, styles: Sequence[str], weights: Path | None) -> tuple[AdaptedStyle, ...]:
    """Return the styles to which the weights of a network that takes codes of styles were adapted.

    Raises:
        ValueError: for another model, or settings that the model does not have.
    """
    choices = [each for each in models() if each != "adain"]
    if model not in choices:
        raise ValueError(f"the page runs {', '.join(choices)} or a file of `impasto adapt`, not {model!r}")
    if model != "micro":
        if styles or weights:
            raise ValueError(
                f"{model} has one style and its own weights; leave --style and --weights out, or choose micro"
            )
        return ()
    own = adapted_styles(weights) if weights else ()
    if own and styles:
        names = ", ".join(style.name for style in own)
        raise ValueError(f"{str(weights)!r} was adapted to {names}; leave --style out, or choose micro for any style")
    return own


def _has_bundled_styles(adapted: Sequence[AdaptedStyle], weights: Path | None) -> bool:
    """Return whether the page shows sample styles: all, or the one of a bundled network."""
    return not adapted or weights in sample_networks().values()


def _check_folder(folder: Path, names: Iterable[str]) -> None:
    """Raise `ValueError` for a path that is not a folder, or if files would be replaced that are not of an export."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"cannot write the page to {str(folder)!r}: it is a file; give a folder")
    if not _is_export(folder):
        check_unused([folder / name for name in names], "the page")


def _is_export(folder: Path) -> bool:
    try:
        index = json.loads((folder / INDEX).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and index.keys() >= {"any_style", "styles", "samples"}


def _page_files() -> dict[str, bytes]:
    own = {f"page/{path.name}": path.read_bytes() for path in sorted(PAGE.iterdir()) if path.suffix in (".js", ".css")}
    shared = {f"page/{name}": (STUDIO_PAGE / name).read_bytes() for name in SHARED}
    return {"index.html": (PAGE / "index.html").read_bytes()} | own | shared


def _one_style(model: str) -> tuple[Files, Entries]:
    """Return the files of a network for one style, and the entry of the style."""
    network, inputs = onnx_model(model)
    style = model.partition("-")[2]
    path, data = _picture(load_image(resolve(style)), 0)
    files = {path: data, "model/stylizer.onnx": onnx_bytes(network, inputs, "stylized")}
    return files, [{"label": _label(style), "picture": path}]


def _with_codes(
    adapted: Sequence[AdaptedStyle], styles: Sequence[str], weights: Path | None, sizes: Sequence[int]
) -> tuple[Files, Entries]:
    """Return the files of a network that takes the code of a style, and the styles with their codes.

    An adapted network has its own styles. A network for any style has the given and the bundled ones, and its style
    encoder is among the files, for the visitor's own styles.
    """
    network = code_model("micro", weights)
    inputs = ["content", "code", "strength"]
    if adapted:
        images = [(style.name, style.image) for style in adapted]
        files = {"model/stylizer.onnx": onnx_bytes(AdaptedModel(network).eval(), inputs, "stylized")}
    else:
        images = [(style, load_image(resolve(style))) for style in dict.fromkeys([*styles, *STYLES])]
        files = {
            "model/stylizer.onnx": onnx_bytes(network, inputs, "stylized"),
            "model/encoder.onnx": onnx_bytes(network.encoder, ["style"], "code"),
        }
    entries: Entries = []
    for number, (style, image) in enumerate(images):
        path, files[path] = _picture(image, number)
        entries.append({"label": _label(style), "picture": path, "codes": _codes(network, image, sizes)})
    return files, entries


def _picture(style: Image, number: int) -> tuple[str, bytes]:
    """Return the path and the data of the small picture of a style."""
    return f"styles/{number}.jpg", encode_image(_resized(style, THUMBNAIL), ".jpg", quality=88)


def _resized(image: Image, size: int) -> Image:
    """Return an image with a longer side of `size` pixels."""
    return resize(image, fit((image.shape[-2], image.shape[-1]), size))


def _codes(network: CodeModel, style: Image, sizes: Sequence[int]) -> dict[str, list[float]]:
    """Return the code of a style for each size of the output, as the command line computes it."""
    codes = {}
    for size in sizes:
        with torch.no_grad():
            (code,) = network.encoder(_resized(style, size))
        codes[str(size)] = [float(f"{value:.7g}") for value in code[0].tolist()]
    return codes


def _samples() -> tuple[Files, Entries]:
    """Return the sample photographs that are installed, and their entries."""
    files: Files = {}
    entries: Entries = []
    for name in SAMPLES:
        try:
            photo = load_image(resolve(name))
        except ValueError:  # scikit-image is not installed
            continue
        photo = _resized(photo, min(SAMPLE_SIZE, max(photo.shape)))
        files[f"samples/{name}.jpg"] = encode_image(photo, ".jpg", quality=88)
        entries.append({"label": _label(name), "picture": f"samples/{name}.jpg"})
    return files, entries


def _label(name: str) -> str:
    """Return the name of a picture for visitors: `brushstrokes` and `photos/my_style.jpg` as words."""
    words = Path(name).stem.replace("-", " ").replace("_", " ").strip()
    return f"{words[:1].upper()}{words[1:]}" or "Style"


def _licenses(samples: Sequence[str], *, has_bundled_styles: bool) -> str:
    """Return what the files are licensed under, as text; style images of the owner are not mentioned."""
    photographs = [
        f"{path}: {CONTENTS[Path(path).stem].license}, {CONTENTS[Path(path).stem].credit}" for path in samples
    ]
    covered = f"The page, its networks{' and the bundled styles' if has_bundled_styles else ''}"
    lines = [
        f"{covered}: MIT, the impasto authors (impasto {version('impasto')}).",
        f"runtime/: ONNX Runtime Web {VERSION}, MIT, Microsoft Corporation;",
        "see runtime/LICENSE.txt and runtime/ThirdPartyNotices.txt.",
        *photographs,
    ]
    return "\n".join(lines) + "\n"


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files, `index.html` last: a page that can be opened is complete; then remove old ones.

    A style or a photograph of an earlier export, which the page no longer offers, would otherwise remain public.
    """
    _check_folder(folder, files)
    order = sorted(files, key=lambda name: (name in ("index.html", INDEX), name == "index.html"))
    with clean_up_on_error([folder / name for name in order]):
        for name in order:
            write_atomically(folder / name, files[name])
    for pattern in VARYING:
        for path in folder.glob(pattern):
            if path.relative_to(folder).as_posix() not in files:
                path.unlink()
