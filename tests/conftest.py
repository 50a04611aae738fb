"""Fixtures of all tests: a cache of the session, no downloads, and networks with random weights."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from support import RANDOM_SIZE, LoadRandom, random_state, write_weights

from impasto.backbones import Backbone, load_backbone
from impasto.weights import MANIFEST

if sys.__stdin__ is None:  # it is closed, and what replaces it in pytest has no encoding then
    sys.__stdin__ = open(os.devnull, encoding="utf-8")  # noqa: SIM115
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell script that starts `make test &` ignores it
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make test` ignores it, and commands respect that


def pytest_collection_finish() -> None:
    """Exempt the modules and tests, a million objects, from all later collections of garbage: a quarter of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache of all tests, so that mean activations and blurred samples are computed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(session_cache: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the cache, forbid downloads, and hide local weights except for tests of the real weights."""
    monkeypatch.setenv("IMPASTO_CACHE", str(session_cache))
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    if "shared" not in request.keywords:
        monkeypatch.delenv("IMPASTO_WEIGHTS", raising=False)


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """Return the folder with the original VGG-19, or skip the test."""
    for folder in os.environ.get("IMPASTO_WEIGHTS", "").split(os.pathsep):
        if folder and (Path(folder) / "vgg19-caffe.safetensors").is_file():
            return Path(folder)
    pytest.skip("IMPASTO_WEIGHTS names no folder with vgg19-caffe.safetensors")


@pytest.fixture(scope="session")
def shared_images() -> Path:
    """Return the folder of test images with content/ and style/, or skip the test."""
    folder = Path(os.environ.get("IMPASTO_TEST_IMAGES", "absent"))
    if not (folder / "content").is_dir():
        pytest.skip("IMPASTO_TEST_IMAGES names no folder with content/ and style/")
    return folder


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Return a function from the name of a network to the folder of its random weights, written at its first call."""
    folder = tmp_path_factory.mktemp("weights")

    def folder_with(name: str) -> Path:
        if not (folder / MANIFEST[name].files[0].filename).exists():
            write_weights(name, folder, random_state(name))
        return folder

    yield folder_with
    shutil.rmtree(folder)  # 300 MB


@pytest.fixture(scope="session")
def load_random(random_weights: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> LoadRandom:
    """Return a function that loads any registered backbone once per session, with random weights in place of a file."""
    cache = tmp_path_factory.mktemp("measured")
    loaded: dict[tuple[str, str, torch.dtype], Backbone] = {}

    def load(name: str, *, pooling: str = "max", dtype: torch.dtype = torch.float32) -> Backbone:
        key = (name, pooling, dtype)
        if key not in loaded:
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("IMPASTO_CACHE", str(cache))
                if name in MANIFEST:
                    environment.setenv("IMPASTO_WEIGHTS", str(random_weights(name)))
                    environment.setattr("impasto.backbones.normalization.SIZE", RANDOM_SIZE)
                loaded[key] = load_backbone(name, pooling=pooling, dtype=dtype)
        return loaded[key]

    return load
