"""Find the images in a folder."""

from __future__ import annotations

import warnings
from pathlib import Path

from impasto.images import plugins
from impasto.images.decoding import is_image

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp"),
        *(".tif", ".tiff", ".avif", ".avifs", ".bmp", ".dib", ".gif"),
        *plugins.SUFFIXES,
    )
)
"""Suffixes of the formats that are read, those of the extra `heic` included: without it, such a file is an error."""
OTHER_SUFFIXES = frozenset(
    (
        *(".jp2", ".j2k", ".psd", ".xcf", ".kra", ".svg", ".eps", ".pdf", ".ico"),
        *(".tga", ".exr", ".hdr", ".pbm", ".pgm", ".ppm", ".pnm", ".qoi", ".dds", ".cr2", ".cr3", ".nef", ".arw"),
        *(".dng", ".orf", ".raf", ".rw2", ".pef", ".srw"),
    )
)
"""Suffixes of other formats of pictures. Raw files are TIFFs, too, with a small preview that must not be read."""
MOST_NAMED = 5
"""Largest number of files that a warning names."""


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """Return the image files in a folder and its subfolders, sorted by path, without hidden files.

    A file with another suffix, or with none, is an image if its content is. Pictures in formats that are not read are
    named in a warning.

    Raises:
        ValueError: if the folder does not exist or contains no image file.
    """
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r}: it is not a folder; give a folder of images")
    files = sorted(
        (path for path in folder.rglob("*") if path.name[0] != "." and path.is_file()),
        key=lambda path: path.relative_to(folder).as_posix(),
    )
    found = [path for path in files if _is_image(path)]
    left_out = [path.relative_to(folder).as_posix() for path in files if path.suffix.lower() in OTHER_SUFFIXES]
    if left_out:
        names = ", ".join(left_out[:MOST_NAMED]) + (", ..." if len(left_out) > MOST_NAMED else "")
        text = f"{str(folder)!r}: {len(left_out)} file(s) in formats that are not read are left out: {names}"
        warnings.warn(f"{text}; convert them to JPEG or PNG", stacklevel=2)
    if not found:
        raise ValueError(
            f"{str(folder)!r}: it contains no images; give a folder of JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF files"
        )
    return tuple(found)


def _is_image(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or (suffix not in OTHER_SUFFIXES and is_image(path))
