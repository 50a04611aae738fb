"""What a painting writes: the flags, the checks before hours of painting, and the clearing up after a failure."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from impasto.curves import check_curves
from impasto.images import MAX_PIXELS, check_output
from impasto.images.pixels import Bits
from impasto.pipeline.result import record_path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a painting writes."""

    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"], metavar="FILE", help_behavior_hint="(required)")] = None
    """The picture to write: .png, .jpg, .webp, .tif, .avif or .bmp; its record lies beside it as .json."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON object on the last line of stdout."""
    curves: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the losses over steps and seconds: .svg, .csv or .json."""
    preview: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Picture file that is refreshed while painting, about once a second."""
    bits: Bits = 8
    """Bits a channel of the picture; 16 needs .png or .tif."""
    max_pixels: int = MAX_PIXELS
    """Refuse pictures with more pixels."""

    def files(self) -> list[Path]:
        """All that is written, the record included."""
        assert self.output is not None
        picture = Path(self.output)
        return [picture, record_path(picture), *(Path(each) for each in (self.curves, self.preview) if each)]


def check(outputs: Outputs, inputs: Sequence[str]) -> None:
    """All that can be told before hours of painting."""
    assert outputs.output is not None
    files = [os.path.realpath(file) for file in outputs.files()]
    for i, file in enumerate(files):
        if file in files[:i]:
            raise ValueError(
                f"{outputs.files()[i]} would be written twice (the record takes OUT.json): give another name"
            )
        if os.path.isfile(file) and file in [os.path.realpath(name) for name in inputs]:
            raise ValueError(f"{outputs.files()[i]} is an input and would be overwritten: give another name")
    check_output(outputs.output, bits=outputs.bits)
    if outputs.curves is not None:
        check_curves(outputs.curves)
    if outputs.preview is not None:
        check_output(outputs.preview)


def told(output: str, record: dict[str, Any]) -> str:
    """One line about a finished painting, from its record."""
    total = record["losses"]["total"]
    loss = "" if total is None else f", loss {total:.4g}"
    return f"{output}: {record['steps']} steps in {record['seconds']:.1f} s{loss} ({record['stopped']})"
