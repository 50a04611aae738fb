"""A file appears whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def write_atomically(path: str | Path, data: bytes) -> None:
    """Put `data` into the file `path`, replacing an older one in a single step.

    The bytes go to a hidden file in the same folder (created if missing), reach the disk, and only then take
    the name; whatever fails or interrupts, the older file stays as it was and the hidden one is removed. A
    symbolic link is followed. Raises `ValueError` where the file cannot be written.
    """
    target = _target(path)
    temporary = _temporary(target)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise ValueError(f"cannot write {str(path)!r}: {reason(error)}; give another place") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(path: str | Path) -> None:
    """Raise `ValueError` if `path` cannot be written; creates its folder and tries it with a hidden file."""
    temporary = _temporary(_target(path))
    try:
        temporary.open("xb").close()
    except OSError as error:
        raise ValueError(f"cannot write {str(path)!r}: {reason(error)}; give another place") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def clean_up_on_error(files: Sequence[Path]) -> Iterator[None]:
    """Where the block fails, removes the files and the empty folders that were not there before it."""
    missing = {place for file in files for place in (file, *file.parents) if not place.exists()}
    try:
        yield
    except BaseException:
        for place in sorted(missing, key=lambda place: len(place.parts), reverse=True):
            with suppress(OSError):
                place.rmdir() if place.is_dir() else place.unlink(missing_ok=True)
        raise


def reason(error: Exception) -> str:
    """What went wrong, in one line and without the file's name."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def _target(path: str | Path) -> Path:
    """The real file behind `path`, its folder created. Raises `ValueError` for a folder or a device."""
    try:
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise ValueError(f"cannot write {str(path)!r}: it is a folder; add the name of a file")
        if target.exists() and not target.is_file():
            raise ValueError(f"cannot write {str(path)!r}: it is not a regular file; give another place")
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot write {str(path)!r}: {reason(error)}; give another place") from error
    return target


def _temporary(target: Path) -> Path:
    # Not derived from the target's name, which may already be as long as the file system allows.
    return target.with_name(f".{secrets.token_hex(8)}.part")
