"""Carry the EXIF data and the resolution of a photograph over to the output (Exif 3.0, CIPA DC-008-2023; TIFF 6.0).

Title, creator, copyright and description of XMP and IPTC data become EXIF entries where the photograph has none, as the
Metadata Working Group recommends (Guidelines for handling image metadata 2.0). The entries are copied as they are
stored, so that no text and no number changes. What describes the pixels of the photograph (its size, orientation, color
space, thumbnail) is replaced or left out, and so are the notes of the maker of the camera, whose format is not public:
they become invalid when they are moved, and some contain the location.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from mmap import mmap
from typing import Any, BinaryIO, NamedTuple

from impasto.images.captions import read_captions

TIFF_HEADERS = {b"II*\0": "<", b"MM\0*": ">"}
PHOTO_DIRECTORY, LOCATION_DIRECTORY = 0x8769, 0x8825
"""Tags of the positions of the directories of the exposure and of the location (GPS)."""
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
COLOR_SPACE, PIXEL_WIDTH, PIXEL_HEIGHT = 0xA001, 0xA002, 0xA003
MAIN_TAGS = frozenset(
    (
        *(0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132),  # document, description, maker, model, software, date
        *(0x013B, 0x013C, 0x4746, 0x4749, 0x8298),  # artist, computer, two ratings, copyright
        *range(0x9C9B, 0x9CA0),  # title, comment, author, keywords and subject of Windows
    )
)
"""Tags that are kept of the main directory, which in a TIFF also describes the pixels."""
PHOTO_TAGS = frozenset(range(0x829A, 0xA500)) - {
    *(PHOTO_DIRECTORY, LOCATION_DIRECTORY, 0x927C, 0xA005),  # other directories, notes of the maker
    *(COLOR_SPACE, PIXEL_WIDTH, PIXEL_HEIGHT, 0x9101, 0x9102, 0x9214, 0xA214),  # what describes the pixels
}
"""Tags that are kept of the directory of the exposure."""
LOCATION_TAGS = frozenset(range(0x20))
CAPTION_TAGS = {"description": 0x010E, "creator": 0x013B, "copyright": 0x8298, "title": 0x9C9B}
"""Tags of the texts of XMP and IPTC data. EXIF data have no title but that of Windows, in UTF-16."""
UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 129: 1}
"""Bytes of the numbers of each type; the fractions 5 and 10 have two numbers."""
UTF16 = b"UNICODE\0"
"""First bytes of a comment in UTF-16."""
BYTE, TEXT, SHORT, LONG, FRACTION = 1, 2, 3, 4, 5
MAX_MAIN, MAX_PHOTO, MAX_LOCATION = 28_000, 28_000, 8_000
"""Bytes that are kept of each directory: all EXIF data of a JPEG must have less than 2**16."""
MIN_DPI, MAX_DPI = 3, 65535
"""Limits of a resolution. Pillow reports one pixel per inch, or per centimeter, for a TIFF that has none."""
MAX_TIFF = 2**32
"""Bytes of a TIFF with offsets of 32 bits."""


class Entry(NamedTuple):
    """One value, or a row of values, under a tag."""

    tag: int
    kind: int
    """Number of its type."""
    data: bytes
    """Values, the lowest byte first."""


UPRIGHT = Entry(ORIENTATION, SHORT, struct.pack("<H", 1))


@dataclass(frozen=True)
class Metadata:
    """EXIF data and resolution of a photograph."""

    main: tuple[Entry, ...] = ()
    """Author, copyright, date, camera and description."""
    photo: tuple[Entry, ...] = ()
    """Exposure, lens and times."""
    location: tuple[Entry, ...] = ()
    """Where the photograph was taken (GPS)."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch, horizontally and vertically."""

    @property
    def has_exif(self) -> bool:
        """Return whether there is more than the resolution."""
        return bool(self.main or self.photo or self.location)

    def without_location(self) -> Metadata:
        """Return the rest."""
        return replace(self, location=())


NO_METADATA = Metadata()


def read_metadata(info: Mapping[Any, Any], data: bytes | mmap = b"") -> Metadata:
    """Return the metadata of an image file; what is corrupt is left out.

    Args:
        info: the metadata that Pillow read.
        data: bytes of the file, of which only those of a TIFF are used.
    """
    block = data if data[:4] in TIFF_HEADERS else _exif_of(info)
    try:
        metadata, dpi = _parse(block)
    except (ValueError, struct.error):
        metadata, dpi = NO_METADATA, None
    own = {entry.tag: entry for entry in metadata.main}
    captions = _caption_entries(read_captions(info))
    # Some cameras write blanks for the texts that they do not have.
    own |= {tag: entry for tag, entry in captions.items() if tag not in own or not own[tag].data.strip(b"\0 ")}
    return replace(metadata, main=_kept(own, MAIN_TAGS, MAX_MAIN), dpi=_checked(info.get("dpi")) or _checked(dpi))


def _caption_entries(captions: Mapping[str, str]) -> dict[int, Entry]:
    """Return the texts of `read_captions` as entries by tag; as in exiftool, they are UTF-8."""
    entries = {}
    for name, text in captions.items():
        tag = CAPTION_TAGS[name]
        is_windows = tag == CAPTION_TAGS["title"]
        data = f"{text}\0".encode("utf-16-le" if is_windows else "utf-8")
        entries[tag] = Entry(tag, BYTE if is_windows else TEXT, data)
    return entries


def exif_block(metadata: Metadata, shape: tuple[int, int], *, with_orientation: bool = True) -> bytes:
    """Return EXIF data, without the prefix of a JPEG, for an upright sRGB image.

    Args:
        metadata: the metadata.
        shape: height and width of the image in pixels.
        with_orientation: whether to say that the image is upright.
    """
    entries = (UPRIGHT,) if with_orientation else ()
    return (
        b"II*\0" + struct.pack("<I", 8) + _directories(replace(metadata, main=(*metadata.main, *entries)), shape, 8, {})
    )


def add_to_tiff(file: BinaryIO, metadata: Metadata, shape: tuple[int, int]) -> None:
    """Add metadata to the first directory of a TIFF, which is written again at the end.

    Args:
        file: the file, open for reading and writing. It remains unchanged if it is a BigTIFF, if the highest byte of
            its numbers is first, or if it becomes too large for its offsets.
        metadata: the metadata.
        shape: height and width of the image in pixels.
    """
    file.seek(0)
    header = file.read(8)
    if TIFF_HEADERS.get(header[:4]) != "<":
        return
    file.seek(struct.unpack_from("<I", header, 4)[0])
    (count,) = struct.unpack("<H", file.read(2))
    stored = [file.read(12) for _ in range(count)]
    length = file.seek(0, os.SEEK_END)
    end = length + length % 2  # a directory begins at an even position
    metadata = replace(metadata, main=(*metadata.main, UPRIGHT))
    directories = _directories(metadata, shape, end, {struct.unpack_from("<H", each)[0]: each for each in stored})
    if end + len(directories) < MAX_TIFF:
        file.write(bytes(end - length) + directories)
        file.seek(4)
        file.write(struct.pack("<I", end))


def _exif_of(info: Mapping[Any, Any]) -> bytes:
    """Return the EXIF data that Pillow found, from the header of its TIFF structure on; empty if there is none."""
    block = info.get("exif") or b""
    text = info.get("Raw profile type exif")  # as ImageMagick writes it into a PNG: a name, a length, and digits
    if not block and isinstance(text, str):
        with suppress(ValueError):
            block = bytes.fromhex("".join(text.split()[2:]))
    starts = [i for i in range(16) if block[i : i + 4] in TIFF_HEADERS]  # after `Exif\0\0`, or the length of a prefix
    return bytes(block[starts[0] :]) if starts else b""


def _parse(block: bytes | mmap) -> tuple[Metadata, tuple[float, float] | None]:
    """Return the metadata and the resolution of a TIFF structure."""
    if not block:
        return NO_METADATA, None
    order = TIFF_HEADERS[block[:4]]
    first = _directory_at(block, order, struct.unpack_from(f"{order}I", block, 4)[0])
    subs: dict[int, dict[int, Entry]] = {}
    for tag in (PHOTO_DIRECTORY, LOCATION_DIRECTORY):
        subs[tag] = {}
        if tag in first and len(first[tag].data) == 4:
            with suppress(struct.error):
                subs[tag] = _directory_at(block, order, struct.unpack("<I", first[tag].data)[0])
    main = _kept(first, MAIN_TAGS, MAX_MAIN)
    photo = _kept(subs[PHOTO_DIRECTORY], PHOTO_TAGS, MAX_PHOTO)
    return Metadata(main, photo, _kept(subs[LOCATION_DIRECTORY], LOCATION_TAGS, MAX_LOCATION)), _resolution(first)


def _directory_at(block: bytes | mmap, order: str, offset: int) -> dict[int, Entry]:
    """Return the entries of a directory by tag, without large and corrupt ones."""
    entries = {}
    for i in range(struct.unpack_from(f"{order}H", block, offset)[0]):
        start = offset + 2 + 12 * i
        if start + 12 > len(block):
            break
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, start)
        size = UNITS.get(kind, 0) * count * (2 if kind in (5, 10) else 1)
        position = start + 8 if size <= 4 else struct.unpack_from(f"{order}I", block, start + 8)[0]
        data = block[position : position + size]
        if 0 < size <= MAX_MAIN and len(data) == size:
            entries[tag] = Entry(tag, kind, _swapped(data, UNITS[kind]) if order == ">" else data)
    return entries


def _swapped(data: bytes, unit: int) -> bytes:
    """Return numbers with their bytes in the opposite order; a comment in UTF-16 has the order of the numbers, too."""
    prefix, unit = (UTF16, 2) if data.startswith(UTF16) else (b"", unit)
    return prefix + b"".join(data[i : i + unit][::-1] for i in range(len(prefix), len(data), unit))


def _kept(directory: Mapping[int, Entry], tags: Iterable[int], limit: int) -> tuple[Entry, ...]:
    """Return the entries with one of the tags, without those that would exceed a limit in bytes."""
    kept: list[Entry] = []
    for tag in sorted(set(tags) & set(directory)):
        size = 12 + len(directory[tag].data)  # an entry takes 12 bytes, beside a long value
        if size <= limit:
            limit -= size
            kept.append(directory[tag])
    return tuple(kept)


def _resolution(directory: Mapping[int, Entry]) -> tuple[float, float] | None:
    """Return the pixels per inch of a directory."""
    values = []
    for tag in (X_RESOLUTION, Y_RESOLUTION):
        entry = directory.get(tag)
        if entry is None or entry.kind != FRACTION or len(entry.data) != 8:
            return None
        numerator, denominator = struct.unpack("<II", entry.data)
        values.append(numerator / denominator if denominator else 0.0)
    unit = directory.get(RESOLUTION_UNIT)
    number = unit.data[0] if unit else 2
    scale = {2: 1.0, 3: 2.54}.get(number)  # per inch, per centimeter; 1: only the ratio is meant
    return None if scale is None else (values[0] * scale, values[1] * scale)


def _checked(dpi: Any) -> tuple[float, float] | None:
    """Return a resolution if it consists of two usable numbers."""
    try:
        x, y = (float(each) for each in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(MIN_DPI <= each <= MAX_DPI for each in (x, y)) else None


def _directories(metadata: Metadata, shape: tuple[int, int], start: int, stored: Mapping[int, bytes]) -> bytes:
    """Return the three directories as they follow each other in a file, the main one first.

    Args:
        metadata: the metadata.
        shape: height and width of the image in pixels.
        start: position of the first directory in the file.
        stored: entries of 12 bytes that the main directory also has, by tag.
    """
    height, width = shape
    color = Entry(COLOR_SPACE, SHORT, struct.pack("<H", 1))  # sRGB
    sides = (Entry(tag, LONG, struct.pack("<I", n)) for tag, n in ((PIXEL_WIDTH, width), (PIXEL_HEIGHT, height)))
    main = [*metadata.main]
    if metadata.dpi is not None:
        main += [
            Entry(tag, FRACTION, _fraction(n))
            for tag, n in zip((X_RESOLUTION, Y_RESOLUTION), metadata.dpi, strict=True)
        ]
        main += [Entry(RESOLUTION_UNIT, SHORT, struct.pack("<H", 2))]  # inch
    subs = [(PHOTO_DIRECTORY, (*metadata.photo, color, *sides)), (LOCATION_DIRECTORY, metadata.location)]
    subs = [(tag, entries) for tag, entries in subs if entries]
    pointers = [Entry(tag, LONG, bytes(4)) for tag, _ in subs]
    position = start + len(_directory([*main, *pointers], start, stored))
    blocks = []
    for i, (tag, entries) in enumerate(subs):
        pointers[i] = Entry(tag, LONG, struct.pack("<I", position))
        blocks.append(_directory(entries, position, {}))
        position += len(blocks[-1])
    return b"".join((_directory([*main, *pointers], start, stored), *blocks))


def _directory(entries: Sequence[Entry], start: int, stored: Mapping[int, bytes]) -> bytes:
    """Return a directory at a position of a file: its entries sorted by tag, then their values of more than 4 bytes."""
    rows = dict(stored)
    values = b""
    after = start + 2 + 12 * len({*stored, *(entry.tag for entry in entries)}) + 4
    for tag, kind, data in sorted(entries):
        count = len(data) // UNITS[kind] // (2 if kind in (5, 10) else 1)
        field = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", after + len(values))
        values += b"" if len(data) <= 4 else data + bytes(len(data) % 2)
        rows[tag] = struct.pack("<HHI", tag, kind, count) + field
    return struct.pack("<H", len(rows)) + b"".join(rows[tag] for tag in sorted(rows)) + bytes(4) + values


def _fraction(number: float) -> bytes:
    ratio = Fraction(number).limit_denominator(10_000)
    return struct.pack("<II", ratio.numerator, ratio.denominator)
