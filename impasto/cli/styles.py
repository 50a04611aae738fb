"""List the sample styles, and draw them on a sheet of thumbnails: `impasto styles`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.cli.flags import CommandParser, add_json
from impasto.cli.tables import print_rows

if TYPE_CHECKING:
    from impasto.types import Image

COLUMNS = 4
"""Thumbnails side by side."""
THUMBNAIL = 256
"""Longer side of a thumbnail in pixels."""


def styles(arguments: list[str]) -> int:
    """Run `impasto styles`."""
    parser = CommandParser(
        "styles",
        "List the sample styles, each of which is selected by its name, and with -o draw them on a sheet. `networks` "
        "names the methods that have a network for this style only.",
    )
    add_json(parser, "Print a JSON list with one object per row.")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="Image to write, a sheet of thumbnails with their names."
    )
    options = parser.parse(arguments)
    if options.output is not None:
        from impasto.images import check_output, save_image

        check_output(options.output)
        save_image(style_sheet(), options.output)
    from impasto.methods.johnson import JohnsonMethod
    from impasto.networks.johnson_styles import find_style_models
    from impasto.networks.sample_networks import sample_networks
    from impasto.samples import STYLES, installed_file

    trained = {
        "johnson": {model.style for model in find_style_models(None, JohnsonMethod.folder)},
        "micro": set(sample_networks()),
    }
    rows = [
        {
            "name": sample.name,
            "summary": sample.summary,
            "license": sample.license,
            "networks": [method for method, names in trained.items() if sample.name in names],
            "path": str(installed_file(sample)),
        }
        for sample in STYLES.values()
    ]
    print_rows(rows, as_json=options.json, columns=("name", "networks", "summary"))
    return 0


def style_sheet(thumbnail: int = THUMBNAIL) -> Image:
    """Return a sheet `(1, 3, H, W)` of all sample styles with their names.

    Args:
        thumbnail: longer side of a picture in pixels.
    """
    import torch

    from impasto.images import load_image
    from impasto.images.contact_sheet import contact_sheet
    from impasto.samples import STYLES, installed_file

    samples = list(STYLES.values())
    lines = []
    for start in range(0, len(samples), COLUMNS):
        part = samples[start : start + COLUMNS]
        images = [load_image(installed_file(sample), size=thumbnail) for sample in part]
        row = [*images, *[None] * (COLUMNS - len(part))]
        lines.append(contact_sheet([row], column_names=[sample.name for sample in part], cell=thumbnail))
    return torch.cat(lines, 2)
