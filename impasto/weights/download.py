"""One file from the net into the cache: resumed when cut, hash checked, whole or not at all."""

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
"""Seconds to wait for a connection, and for the next bytes of a running download."""
CHUNK = 2**18
"""Bytes that are read at a time."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in lower-case hex. `OSError` if it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(file: WeightFile, folder: Path, *, progress: bool = True) -> Path:
    """Bring `file` into `folder` under its own name, and return its path.

    The addresses are tried in turn. A file that is already there is kept if its hash is right.
    Of two processes at once the second waits for the first. `progress` shows a bar on stderr.
    `ValueError`, one line: no address answers, wrong hash, a folder that cannot be written to.
    """
    import requests
    from rich.console import Console

    console = Console(stderr=True, quiet=not progress)
    target = folder / file.filename
    problems = []
    try:
        with _alone(target, console):
            if target.is_file() and file.accepts(sha256_of(target)):
                return target
            target.unlink(missing_ok=True)
            for url in file.urls:
                try:
                    return _retrieve(file, folder, url, console)
                except (requests.RequestException, ValueError) as error:
                    problems.append(f"{url}: {_reason(error)}")
            kept = _size(_part(target)) / MIB
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f"cannot write to the cache {folder}: {reason}; set IMPASTO_CACHE to another folder"
        ) from error
    again = f"; {kept:.1f} MiB are kept, so trying again goes on from there" if kept else ""
    raise ValueError(f"could not download {file.filename}: {'; '.join(problems) or 'no address'}{again}")


@contextmanager
def _alone(target: Path, console: Console) -> Iterator[None]:
    """Hold the lock of one cached file; the system lets it go even if the process is killed."""
    from filelock import FileLock, Timeout  # torch brings it

    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print(f"{target.name} is being downloaded by another process: waiting", highlight=False)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _retrieve(file: WeightFile, folder: Path, url: str, console: Console) -> Path:
    """Pooch holds the cache and moves the finished file to its name; `_Resuming` does the transfer."""
    import pooch

    # Pooch would write to stderr whatever the caller wants, and our bar tells as much.
    pooch.get_logger().setLevel("WARNING")
    cache = pooch.create(folder, base_url="", registry={file.filename: file.sha256}, urls={file.filename: url})
    console.print(
        f"{file.filename} ({file.size / MIB:.1f} MiB) from {url} to {folder}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return Path(cache.fetch(file.filename, downloader=_Resuming(file, folder, console)))


class _Resuming:
    """A downloader for pooch that goes on from a `.part` file and accepts a hash known only by its start.

    Pooch's own downloader begins again each time, and its hash check needs all 64 digits.
    """

    def __init__(self, file: WeightFile, folder: Path, console: Console) -> None:
        self.file = file
        self.part = _part(folder / file.filename)
        self.console = console

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        resumed = _size(self.part) > 0
        self._receive(url)
        if resumed and not self._is_whole():  # the first piece was of another file: begin again, once
            self.part.unlink()
            self._receive(url)
        if not self._is_whole():
            digest = sha256_of(self.part)
            self.part.unlink()
            raise ValueError(f"wrong file: its sha256 is {digest}, expected {self.file.expected}")
        os.replace(self.part, output_file)

    def _is_whole(self) -> bool:
        return self.file.accepts(sha256_of(self.part))

    def _receive(self, url: str) -> None:
        """Append to the part file what is missing of it. `requests.RequestException` when the net fails."""
        import requests

        have = _size(self.part)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
            if have and reply.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing is missing: the hash will tell whether that is so
            reply.raise_for_status()
            if reply.status_code != requests.codes.partial_content:
                have = 0  # this server only sends whole files
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
    """Where the beginning of a file waits for its rest."""
    return target.with_name(f"{target.name}.part")


def _size(path: Path) -> int:
    """Bytes in a file; 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def _reason(error: Exception) -> str:
    """What went wrong, in a few words; `requests` tells it in paragraphs."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    for kind, words in (
        (requests.exceptions.ChunkedEncodingError, "the connection was cut"),
        (requests.exceptions.SSLError, "no trusted certificate"),
        (requests.Timeout, "no answer in time"),
        (requests.ConnectionError, "no connection"),
    ):
        if isinstance(error, kind):
            return words
    return " ".join(str(error).split())
