"""Define the result of a run: a stylized image and the record from which it can be computed again."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import PIL.Image
from torch import Tensor

from impasto.files import replaced_file, write_atomically
from impasto.images import Bits, check_format, check_output, encode_image, to_pil, write_image
from impasto.images.metadata import NO_METADATA, Metadata
from impasto.pipeline.notebook import before_and_after
from impasto.pipeline.records import FORMAT, check_record_path, record_path
from impasto.types import Image, Step, losses_by_kind

Stopped = Literal["converged", "steps", "cancelled", "diverged"]
"""Why a run ended: loss converged, all steps done, stopped by the listener, or loss growing at any step size."""


@dataclass(frozen=True)
class Input:
    """An input file or picture."""

    role: Literal["content", "style", "start", "mask", "style_mask"]
    path: str | None
    """Absolute path, or the name of a sample; None for a picture in memory."""
    name: str
    sha256: str
    """Of the file, or of the pixels of a picture in memory."""


@dataclass(frozen=True, eq=False)
class Result:
    """A stylized image and everything needed to compute it again; results are equal only to themselves."""

    image: Image
    """`(1, 3, H, W)` in [0, 1], on the CPU."""
    alpha: Tensor | None
    """Alpha channel of the content image, `(1, 1, H, W)` in [0, 1], or None."""
    method: str
    settings: dict[str, Any]
    """Every setting of the method, as JSON values."""
    losses: dict[str, float]
    """Weighted loss of every term for the image as saved with 8 bits; empty where the method has no loss."""
    curve: tuple[Step, ...] = field(repr=False)
    """Losses of every step."""
    best: int
    """Index of the step with the lowest loss, whose image is the result."""
    stopped: Stopped
    seconds: float
    device: str
    precision: str
    """Of the convolutions: fp32 or bf16."""
    peak_memory_mib: float
    """Highest memory use of the process, or of the GPU, in MiB; NaN where the system does not report it (Windows)."""
    inputs: tuple[Input, ...]
    """Content image, style images, masks and start image."""
    weights: dict[str, str]
    """Name and SHA-256 of the weights file; empty where the method needs none."""
    versions: dict[str, str]
    """Of impasto, torch and python."""
    note: str | None = None
    """A limitation of the backbone that affects the image, or None."""
    segments: tuple[dict[str, Any], ...] = ()
    """The runs that this run continued, oldest first, from `segment_of`."""
    metadata: Metadata = field(default=NO_METADATA, repr=False)
    """EXIF data and resolution of the content image, which the output keeps; they are not part of the record."""

    before: Image | None = field(default=None, repr=False)
    """Content image `(1, 3, h, w)`, reduced to the size that notebooks show."""

    @property
    def steps(self) -> int:
        """Return the number of iterations done."""
        return self.curve[-1].index if self.curve else 0

    @property
    def evaluations(self) -> int:
        """Return the number of evaluations of the objective and its gradient."""
        return self.curve[-1].evaluations if self.curve else 0

    @property
    def seed(self) -> int:
        """Return the seed of the random numbers."""
        return int(self.settings["seed"])

    def summary(self) -> dict[str, Any]:
        """Return the figures of the run as `impasto stylize --json` prints them, without `output`."""
        sums = losses_by_kind(self.losses) if self.losses else {}
        return {
            "method": self.method,
            "backbone": self.settings.get("backbone"),
            "seconds": round(self.seconds, 3),
            "steps": self.steps,
            "evaluations": self.evaluations,
            "losses": {kind: sums.get(kind) for kind in ("content", "style", "total")},
            "peak_memory_mib": None if math.isnan(self.peak_memory_mib) else round(self.peak_memory_mib, 1),
            "seed": self.settings.get("seed"),
            "device": self.device,
            "precision": self.precision,
        }

    def record(
        self, *, curve: bool = True, picture: str | None = None, bits: Bits = 8, keep_location: bool = False
    ) -> dict[str, Any]:
        """Return everything but the pixels as JSON values; `impasto.replay` needs nothing else.

        Args:
            curve: whether to include the losses of every step.
            picture: name of the file that the image is written to.
            bits: as for `save`.
            keep_location: as for `save`.
        """
        record = {
            "format": FORMAT,
            **self.summary(),
            "settings": self.settings,
            "terms": self.losses,
            "best": self.best,
            "stopped": self.stopped,
            "note": self.note,
            "inputs": [asdict(each) for each in self.inputs],
            "weights": self.weights,
            "versions": self.versions,
            "bits": bits,
            "keep_location": keep_location,
        }
        if picture is not None:
            record["picture"] = picture
        if self.segments:
            record["segments"] = list(self.segments)
        if curve:
            record["curve"] = [step.to_json() for step in self.curve]
        return record

    def save(self, path: str | os.PathLike[str], *, bits: Bits = 8, keep_location: bool = False) -> Path:
        """Write the image, with its record inside if it is a PNG, and the record beside it as JSON.

        Each file appears complete or not at all.

        Args:
            path: file to write; the suffix sets the format.
            bits: bits per channel; 16 needs `.png` or `.tif`.
            keep_location: whether the EXIF data keep the location (GPS) of the content image.

        Returns:
            The path of the image.

        Raises:
            ValueError: for an unknown suffix, a folder that cannot be written, or if the record would replace a file
                that is not a record.
        """
        path = Path(path)
        check_output(path, bits=bits)
        check_record_path(path)
        with replaced_file(path) as file:
            write_image(file, self.image, path.suffix.lower(), **self._encoding(bits, path.name, keep_location))
            file.flush()  # where the disk is full, an older record stays too
            record = self.encode_record(picture=path.name, bits=bits, keep_location=keep_location)
            write_atomically(record_path(path), record)
        return path

    def encode(
        self, suffix: str = ".png", *, bits: Bits = 8, picture: str | None = None, keep_location: bool = False
    ) -> bytes:
        """Return the content of a file of the image, with its record inside if it is a PNG.

        Args:
            suffix: suffix of the format, such as `.jpg`.
            bits: bits per channel; 16 needs `.png` or `.tif`.
            picture: name of the file, for the record.
            keep_location: as for `save`.

        Raises:
            ValueError: for an unknown suffix, or one that cannot store 16 bits.
        """
        suffix = suffix.lower()
        check_format(f"image{suffix}", bits)
        return encode_image(self.image, suffix, **self._encoding(bits, picture, keep_location))

    def _encoding(self, bits: Bits, picture: str | None, keep_location: bool) -> dict[str, Any]:
        """Return the arguments of `encode_image` and of `write_image`; those of `encode`."""
        # ASCII, because the name of a file may not be valid UTF-8
        record = json.dumps(self.record(curve=False, picture=picture, bits=bits, keep_location=keep_location))
        metadata = self.metadata if keep_location else self.metadata.without_location()
        return {"alpha": self.alpha, "bits": bits, "record": record, "metadata": metadata}

    def encode_record(self, *, picture: str, bits: Bits = 8, keep_location: bool = False) -> bytes:
        """Return the content of the record beside an image, a JSON file.

        Args:
            picture: name of the file of the image.
            bits: as for `save`.
            keep_location: as for `save`.
        """
        return json.dumps(self.record(picture=picture, bits=bits, keep_location=keep_location), indent=1).encode()

    def to_pil(self) -> PIL.Image.Image:
        """Return the image as an 8-bit image of Pillow, RGBA if it has transparency."""
        return to_pil(self.image, self.alpha)

    def _repr_png_(self) -> bytes:
        """Return the image as PNG, which notebooks show."""
        return encode_image(self.image, ".png", alpha=self.alpha)

    def _repr_html_(self) -> str:
        """Return the content image beside the output as HTML, which notebooks prefer to the image alone."""
        loss = f", loss {sum(self.losses.values()):.4g}" if self.losses else ""
        text = f"{self.method}: {self.steps} step{'' if self.steps == 1 else 's'} in {self.seconds:.1f} s{loss}"
        return before_and_after(self.before, self.image, self.alpha, text)


def segment_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return the part of the record of a run that the record of a run that continues it includes."""
    names = ("method", "settings", "steps", "seconds", "stopped", "losses", "inputs")
    return {name: record[name] for name in names if name in record}
