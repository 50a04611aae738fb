"""Write files atomically: a file is either complete or absent."""

from __future__ import annotations

import errno
import os
import platform
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

WRITE_PERMISSIONS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file in one step, as `replaced_file` does.

    Args:
        path: the file; missing folders are created and a symbolic link is followed.
        data: its content.

    Raises:
        ValueError: if the file cannot be written.
    """
    with replaced_file(path) as file:
        file.write(data)


@contextmanager
def replaced_file(path: str | Path, *, part: str | None = None) -> Iterator[BinaryIO]:
    """Open a file for writing that appears, or replaces an existing one, in one step at the end of the block.

    The data is written to a hidden temporary file in the same folder, flushed to disk and then renamed. If anything
    fails or is interrupted, an existing file stays unchanged and the temporary file is removed. The new file has the
    permissions of the one that it replaces.

    Args:
        path: the file; missing folders are created and a symbolic link is followed.
        part: name of the temporary file, which replaces that of a process that was killed. Default: a new name.

    Raises:
        ValueError: if the file cannot be written.
    """
    target = _target(path)
    temporary = _temporary(target) if part is None else target.with_name(part)
    try:
        with temporary.open("xb" if part is None else "wb") as file:
            yield file
            file.flush()
            _flush_to_disk(file.fileno())
        if target.exists():
            _copy_permissions(target, temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise ValueError(f"cannot write {str(path)!r}: {reason(error)}; give another path") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def output_path(output: str | os.PathLike[str]) -> Path:
    """Return the path of an output; raise `ValueError` if none is given: an empty one would be the current folder."""
    if not os.fsdecode(output):
        raise ValueError("output: it is missing; give the file or the folder that is written")
    return Path(os.fsdecode(output))


def check_writable(path: str | Path) -> None:
    """Check that a file can be written, by creating its folder and a temporary file in it.

    Raises:
        ValueError: if it cannot be written.
    """
    temporary = _temporary(_target(path))
    try:
        temporary.open("xb").close()
    except OSError as error:
        raise ValueError(f"cannot write {str(path)!r}: {reason(error)}; give another path") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_replaceable(path: str | Path) -> None:
    """Raise `ValueError` if the path of a file that is to be written is a folder or a read-only file."""
    if os.path.isdir(path):
        raise ValueError(f"cannot write {str(path)!r}: it is a folder; add a file name")
    # To replace a file needs no permission to write it; whoever made it read-only wants to keep it.
    if os.path.exists(path) and not os.stat(path).st_mode & WRITE_PERMISSIONS:
        raise ValueError(f"cannot write {str(path)!r}: it is read-only; give another path")


def same_file(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Return whether two names are those of one existing file: through links, or where case makes no difference."""
    with suppress(OSError):
        return os.path.samefile(one, other)
    return False


def check_unused(files: Iterable[Path], owner: str) -> None:
    """Check that files, which are going to be written beside others, do not exist yet.

    Args:
        files: the files.
        owner: what writes them, for the message: "a training".

    Raises:
        ValueError: for the first file that exists.
    """
    for file in files:
        if os.path.lexists(file):
            raise ValueError(f"{owner} would replace {str(file)!r}; give another folder, or remove the file")


@contextmanager
def clean_up_on_error(files: Sequence[Path]) -> Iterator[None]:
    """Remove files, and empty folders above them, that the block created if it raises an exception."""
    missing = {path for file in files for path in (file, *file.parents) if not path.exists()}
    try:
        yield
    except BaseException:
        for path in sorted(missing, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        raise


@contextmanager
def shared_marker(folder: Path) -> Iterator[Path]:
    """Create an empty hidden file for the block, by which other machines check that they see the same folder."""
    marker = folder / f".{secrets.token_hex(8)}.part"
    marker.open("xb").close()
    try:
        yield marker
    finally:
        with suppress(OSError):
            marker.unlink()


def check_shared(marker: Path) -> None:
    """Raise `ValueError` if this machine does not see a file that another one has written, as by `shared_marker`."""
    if not marker.exists():
        name = platform.node()
        raise ValueError(
            f"the machine {name!r} sees another {str(marker.parent)!r}; use a folder that all machines share"
        )


def reason(error: Exception) -> str:
    """Return the message of an error on one line, at most 200 characters, without the file name."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def _target(path: str | Path) -> Path:
    """Resolve symbolic links and create the folder. Raises `ValueError` for a folder or a device."""
    try:
        check_replaceable(path)
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise ValueError(f"cannot write {str(path)!r}: it is not a regular file; give another path")
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot write {str(path)!r}: {reason(error)}; give another path") from error
    return target


def _flush_to_disk(descriptor: int) -> None:
    """Flush a file to disk, where its file system supports this; some network file systems do not."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def _copy_permissions(source: Path, target: Path) -> None:
    """Give a file the permissions of another one: a private file must not become readable when it is replaced."""
    try:
        os.chmod(target, stat.S_IMODE(os.stat(source).st_mode))
    except PermissionError:  # some file systems have no permissions
        return


def _temporary(target: Path) -> Path:
    # Not derived from the target's name, which may already be as long as the file system allows.
    return target.with_name(f".{secrets.token_hex(8)}.part")
