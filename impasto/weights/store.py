"""Find pretrained weights by name: in local folders, then in the cache, then by download."""

from __future__ import annotations

import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from impasto.weights.download import download, sha256_of
from impasto.weights.manifest import MANIFEST, MIB, WeightFile, Weights

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Check:
    """Result of `verify`."""

    name: str
    """Name of the weights."""
    state: Literal["ok", "wrong", "missing"]
    """Whether the hash is right or wrong, or the file is missing."""
    path: Path | None
    """File that `load` reads, or None."""
    sha256: str | None
    """Its hash in hexadecimal digits, or None."""
    expected: str
    """Known digits of the right hash."""


def local_folders() -> list[Path]:
    """Return the folders in IMPASTO_WEIGHTS (separated as in PATH), including those that do not exist."""
    names = os.environ.get("IMPASTO_WEIGHTS", "").split(os.pathsep)
    return [Path(name).expanduser() for name in names if name.strip()]


def cache_folder() -> Path:
    """Return IMPASTO_CACHE, or the cache folder of the operating system; it may not exist yet."""
    if chosen := os.environ.get("IMPASTO_CACHE"):
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("impasto"))


def is_offline() -> bool:
    """Return whether IMPASTO_OFFLINE disables downloads."""
    return os.environ.get("IMPASTO_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}


def find(name: str) -> Path | None:
    """Return the local file of some weights, or None; its hash is not checked.

    Raises:
        ValueError: if the name is unknown.
    """
    found = _find(_known(name))
    return found[1] if found else None


def fetch(name: str, *, progress: bool = True) -> Path:
    """Return a local file with the right hash, downloading it into the cache if necessary.

    Unlike `find` and `load`, this checks the hash of an existing file and replaces a corrupt file in the cache.

    Args:
        name: name of the weights.
        progress: whether to report progress on stderr.

    Raises:
        ValueError: if the name is unknown, IMPASTO_OFFLINE disables the download, the download fails, or a file in a
            local folder has the wrong hash.
    """
    weights = _known(name)
    selected = weights.to_fetch
    if found := _find(weights):
        file, path = found
        if file.accepts(_digest(path)):
            return path
        if path.parent in local_folders() or not file.urls or is_offline():
            raise ValueError(
                f"{path} is corrupt or another file: its sha256 is not {file.expected}; remove or replace it"
            )
        selected = file
    if is_offline():
        raise ValueError(f"IMPASTO_OFFLINE is set; {_searched(weights)}; without it, {_how_to_get(weights)}")
    if not selected.urls:
        raise ValueError(f"{_searched(weights)}; it is not published: put it in a folder of IMPASTO_WEIGHTS")
    for folder in local_folders() if progress else ():
        if not folder.is_dir():
            print(f"IMPASTO_WEIGHTS contains {folder}, which is not a folder", file=sys.stderr)
    try:
        return download(selected, cache_folder(), progress=progress)
    except ValueError as error:
        by_hand = "you can also put it in a folder of IMPASTO_WEIGHTS"
        raise ValueError(f"{error}; {_searched(weights)}; {by_hand}") from error


def load(name: str, *, prefix: str = "", progress: bool = True) -> dict[str, Tensor]:
    """Return the tensors of a weight file by name, on the CPU, floating-point ones as float32.

    Never executes code from the file.

    Args:
        name: name of the weights.
        prefix: only tensors whose names start with this are returned.
        progress: whether to report a download on stderr.

    Raises:
        ValueError: as for `fetch`, or if the file is corrupt.
    """
    path = find(name) or fetch(name, progress=progress)
    try:
        tensors = (_read_safetensors if path.suffix == ".safetensors" else _read_pickle)(path, prefix)
    except MemoryError:
        raise
    except Exception as error:  # the readers raise almost any exception for a corrupt file
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"cannot read {path} as weights ({reason}); run `impasto weights verify`") from error
    if not tensors:
        raise ValueError(f"{path} contains no weights named {prefix!r}...; run `impasto weights verify`")
    return tensors


def verify(name: str) -> Check:
    """Check the hash of the file that `load` reads.

    Raises:
        ValueError: if the name is unknown or the file cannot be read.
    """
    weights = _known(name)
    found = _find(weights)
    if not found:
        return Check(name, "missing", None, None, weights.to_fetch.expected)
    file, path = found
    digest = _digest(path)
    return Check(name, "ok" if file.accepts(digest) else "wrong", path, digest, file.expected)


def table() -> list[dict[str, str | float | None]]:
    """Return one row per entry of the manifest; `path` is None without a local file."""
    rows: list[dict[str, str | float | None]] = []
    for weights in MANIFEST.values():
        file, path = _find(weights) or (weights.to_fetch, None)
        rows.append(
            {
                "name": weights.name,
                "summary": weights.summary,
                "file": file.filename,
                "license": weights.license,
                "size_mib": round(file.size / MIB, 1),
                "path": str(path) if path else None,
                "reference": weights.reference,
            }
        )
    return rows


def _known(name: str) -> Weights:
    if name not in MANIFEST:
        raise ValueError(f"unknown weights {name!r}; choose from {', '.join(MANIFEST)}")
    return MANIFEST[name]


def _find(weights: Weights) -> tuple[WeightFile, Path] | None:
    for folder in [*local_folders(), cache_folder()]:
        for file in weights.files:
            path = folder / file.filename
            if os.path.isfile(path):  # unlike Path.is_file, False if permission is denied
                return file, path
    return None


def _searched(weights: Weights) -> str:
    names = " or ".join(file.filename for file in weights.files)
    folders = [f"{folder}{'' if folder.is_dir() else ' (does not exist)'}" for folder in local_folders()]
    return f"searched for {names} in {', '.join([*folders, str(cache_folder())])}"


def _how_to_get(weights: Weights) -> str:
    return f"`impasto weights fetch {weights.name}` downloads it, or put it in a folder of IMPASTO_WEIGHTS"


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error


def _read_safetensors(path: Path, prefix: str) -> dict[str, Tensor]:
    from safetensors import safe_open

    with safe_open(path, framework="pt", device="cpu") as stored:
        keys = [key for key in stored.keys() if key.startswith(prefix)]  # noqa: SIM118
        return {key: _as_float32(stored.get_tensor(key)) for key in keys}


def _read_pickle(path: Path, prefix: str) -> dict[str, Tensor]:
    import torch

    # Files from before torch 1.6 (the VGGs) are not zip archives and cannot be memory-mapped. Of the others, only the
    # tensors with the prefix are read from disk.
    mapped = zipfile.is_zipfile(path)
    stored = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    return {key: _as_float32(tensor) for key, tensor in stored.items() if key.startswith(prefix)}


def _as_float32(tensor: Tensor) -> Tensor:
    """Return a copy, because the file may be memory-mapped and may change; integers keep their type."""
    import torch

    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
