"""Download one weight file into the cache, with resume, hash check and atomic replacement."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.weights.manifest import MIB, WeightFile

if TYPE_CHECKING:
    import requests
    from rich.console import Console

TIMEOUT = (10.0, 30.0)
"""Timeouts in seconds: for the connection, and for the next bytes of a running download."""
CHUNK = 2**18
"""Bytes per read."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hexadecimal digits.

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(file: WeightFile, folder: Path, *, progress: bool = True) -> Path:
    """Download a file into a folder under its own name, unless it is there with the right hash.

    The URLs are tried in order. A second process that downloads the same file waits for the first one.

    Args:
        file: the file, its URLs and its hash.
        folder: the cache folder; created if missing.
        progress: whether to show a progress bar on stderr.

    Returns:
        Path of the file.

    Raises:
        ValueError: if no URL provides a file with the right hash, or the folder cannot be written to.
    """
    import requests
    from rich.console import Console

    console = Console(stderr=True, quiet=not progress)
    target = folder / file.filename
    problems = []
    try:
        with _lock(target, console):
            if target.is_file() and file.accepts(sha256_of(target)):
                return target
            target.unlink(missing_ok=True)
            for url in file.urls:
                try:
                    return _retrieve(file, folder, url, console)
                except (requests.RequestException, ValueError) as error:
                    problems.append(f"{url}: {_reason(error)}")
            partial = _size(_part(target)) / MIB
    except OSError as error:
        reason = error.strerror or error
        message = f"cannot write to the cache {folder}: {reason}; set IMPASTO_CACHE to another folder"
        raise ValueError(message) from error
    resume = f"; {partial:.1f} MiB are kept, and the next attempt resumes there" if partial else ""
    raise ValueError(f"could not download {file.filename}: {'; '.join(problems) or 'it has no URL'}{resume}")


@contextmanager
def _lock(target: Path, console: Console) -> Iterator[None]:
    """Hold the lock of one cached file; the operating system releases it even if the process is killed."""
    from filelock import FileLock, Timeout

    target.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        file_lock.acquire(timeout=0)
    except Timeout:
        console.print(f"{target.name} is being downloaded by another process: waiting", highlight=False)
        file_lock.acquire()
    try:
        yield
    finally:
        file_lock.release()


def _retrieve(file: WeightFile, folder: Path, url: str, console: Console) -> Path:
    """Fetch one URL with pooch, which manages the cache; `_ResumingDownloader` does the transfer."""
    import pooch

    # Pooch would always log to stderr; the progress bar shows the same information.
    pooch.get_logger().setLevel("WARNING")
    cache = pooch.create(folder, base_url="", registry={file.filename: file.sha256}, urls={file.filename: url})
    console.print(
        f"{file.filename} ({file.size / MIB:.1f} MiB) from {url} to {folder}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return Path(cache.fetch(file.filename, downloader=_ResumingDownloader(file, folder, console)))


class _ResumingDownloader:
    """A downloader for pooch that resumes from a `.part` file and accepts a prefix of the hash.

    Pooch's own downloader starts from the beginning each time, and its hash check needs all 64 digits.
    """

    def __init__(self, file: WeightFile, folder: Path, console: Console) -> None:
        self.file = file
        self.part = _part(folder / file.filename)
        self.console = console

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        resumed = _size(self.part) > 0
        self._receive(url)
        if resumed and not self._is_complete():  # the first part belongs to another file: restart, once
            self.part.unlink()
            self._receive(url)
        if not self._is_complete():
            digest = sha256_of(self.part)
            self.part.unlink()
            raise ValueError(f"wrong file: its sha256 is {digest}, expected {self.file.expected}")
        os.replace(self.part, output_file)

    def _is_complete(self) -> bool:
        return self.file.accepts(sha256_of(self.part))

    def _receive(self, url: str) -> None:
        """Append the missing bytes to the part file. Raises `requests.RequestException` if the connection fails."""
        import requests

        have = _size(self.part)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
            if have and reply.status_code == requests.codes.requested_range_not_satisfiable:
                return  # the file is complete; the caller checks its hash
            reply.raise_for_status()
            if reply.status_code != requests.codes.partial_content:
                have = 0  # this server does not support ranges
            self._write(reply, have)

    def _write(self, reply: requests.Response, have: int) -> None:
        from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        rest = int(reply.headers.get("Content-Length", self.file.size - have))
        columns = (*Progress.get_default_columns()[:2], DownloadColumn(binary_units=True))
        bar = Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=self.console)
        with bar, self.part.open("ab" if have else "wb") as stream:
            task = bar.add_task(self.file.filename, completed=have, total=have + max(rest, 0))
            for chunk in reply.iter_content(CHUNK):
                stream.write(chunk)
                bar.advance(task, len(chunk))


def _part(target: Path) -> Path:
    """Return the path of an incomplete download."""
    return target.with_name(f"{target.name}.part")


def _size(path: Path) -> int:
    """Return the size of a file in bytes, 0 if it does not exist."""
    return path.stat().st_size if path.is_file() else 0


def _reason(error: Exception) -> str:
    """Return a short message for an error of `requests`; its own messages are several lines long."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    for kind, words in (
        (requests.exceptions.ChunkedEncodingError, "the connection was interrupted"),
        (requests.exceptions.SSLError, "no trusted certificate"),
        (requests.Timeout, "timeout"),
        (requests.ConnectionError, "no connection"),
    ):
        if isinstance(error, kind):
            return words
    return " ".join(str(error).split())
