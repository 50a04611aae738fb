"""Find the images in a folder."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif", ".bmp", ".gif"))


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """Return the image files in a folder and its subfolders, sorted by path, without hidden files.

    Raises:
        ValueError: if the folder does not exist or contains no image file.
    """
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r}: it is not a folder; give a folder of images")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    files = sorted((path for path in found if path.is_file()), key=lambda path: path.relative_to(folder).as_posix())
    if not files:
        raise ValueError(f"{str(folder)!r}: it contains no images; give a folder with {', '.join(sorted(SUFFIXES))}")
    return tuple(files)
