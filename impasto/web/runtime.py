"""Find the files of onnxruntime-web, which runs ONNX models in a browser: in a folder, in the cache or by download."""

from __future__ import annotations

import gzip
import importlib.util
import tarfile
from pathlib import Path

from impasto.files import reason
from impasto.weights import cache_folder
from impasto.weights.download import download
from impasto.weights.manifest import WeightFile
from impasto.weights.store import is_offline

VERSION = "1.30.0"
PACKAGE = WeightFile(
    f"onnxruntime-web-{VERSION}.tgz",
    33106585,
    (f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz",),
    # Of the file with the SHA-512 that npm publishes: q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02V
    # b7QmRMDs1SigqR4CXAfKYQ== in base 64.
    sha256="d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
)
"""The package of npm, whose folder `dist` contains the runtime."""
BUILDS = {"wasm": "ort-wasm-simd-threaded.wasm", "jspi": "ort-wasm-simd-threaded.jspi.wasm"}
"""Builds of the runtime and their WebAssembly files: `wasm` computes on the processor, `jspi` on a GPU by WebGPU."""
LICENSES = ("LICENSE", "ThirdPartyNotices.txt")
"""License files; the package of npm has none, but that of Python has."""
FOLDERS = ("", "dist", "package/dist", "node_modules/onnxruntime-web/dist")
"""Places of the files below the folder that a user gives."""


def runtime_files(folder: Path | None) -> dict[str, bytes]:
    """Return the files of the runtime that a page needs, by name.

    The WebAssembly files are compressed, because few servers do that: 3.7 MB in place of 14.2 MB for `wasm`. The suffix
    of the modules is `.js`, because not all servers know `.mjs`.

    Args:
        folder: where onnxruntime-web is; None: the package of npm from the cache, or else downloaded into it.

    Raises:
        ValueError: in one line, if a file is missing or the package can neither be found nor downloaded.
    """
    names = [name for build, binary in BUILDS.items() for name in (f"ort.{build}.bundle.min.mjs", binary)]
    files = _from_package(names) if folder is None else {name: _find(folder, name).read_bytes() for name in names}
    packed = {name: gzip.compress(data, mtime=0) for name, data in files.items() if name.endswith(".wasm")}
    modules = {name: data for name, data in files.items() if name.endswith(".mjs")}
    return (
        {f"{name}.gz": data for name, data in packed.items()}
        | {f"{name.removesuffix('.mjs')}.js": data for name, data in modules.items()}
        | {f"{name.removesuffix('.txt')}.txt": _license(name) for name in LICENSES}
    )


def _find(folder: Path, name: str) -> Path:
    for place in FOLDERS:
        if (folder / place / name).is_file():
            return folder / place / name
    raise ValueError(
        f"runtime: {str(folder)!r} does not contain {name}; give the unpacked folder of "
        f"`npm pack onnxruntime-web@{VERSION}`"
    )


def _from_package(names: list[str]) -> dict[str, bytes]:
    """Return files of the package in the cache, which is downloaded if it is missing or corrupt."""
    path = cache_folder() / PACKAGE.filename
    by_hand = f"give --runtime FOLDER with the files of `npm pack onnxruntime-web@{VERSION}`"
    if is_offline() and not path.is_file():
        raise ValueError(f"IMPASTO_OFFLINE is set, and {PACKAGE.filename} is not in {path.parent}; {by_hand}")
    try:
        path = download(PACKAGE, cache_folder()) if not is_offline() else path
        with tarfile.open(path) as archive:
            return {name: _member(archive, f"package/dist/{name}") for name in names}
    except (ValueError, OSError, KeyError, tarfile.TarError) as error:
        raise ValueError(f"{reason(error)}; {by_hand}") from error


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    assert stream is not None, f"{name} is not a file"
    return stream.read()


def _license(name: str) -> bytes:
    """Return a license file of onnxruntime, from the Python package of the extra `export`."""
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (Path(folder) / name).is_file():
            return (Path(folder) / name).read_bytes()
    raise ValueError("No module named 'onnxruntime'; install the extra: pip install 'impasto[export]'")
