"""A studio for tests: a real server on a free port of this machine, and a small experiment to browse."""

from __future__ import annotations

import io
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms
from support import TIMEOUT

from impasto.experiments.expand import experiment_of
from impasto.experiments.runner import run_experiment
from impasto.experiments.store import Store
from impasto.experiments.yaml_source import Document
from impasto.studio import client_api
from impasto.studio.service import StudioService


@dataclass(frozen=True)
class Studio:
    """A running studio."""

    url: str
    service: StudioService


@contextmanager
def open_studio(
    folder: Path, *, token: str | None = None, max_bytes: int = 2**20, address: str | None = None, port: int = 0
) -> Iterator[Studio]:
    """Serve a folder until the block ends."""
    import uvicorn

    from impasto.studio.server import bind, make_app

    service = StudioService.open(folder, max_bytes=max_bytes, max_pixels=1_000_000)
    listener = bind("127.0.0.1", port)
    servers: list[uvicorn.Server] = []

    def serve() -> None:
        app = make_app(service, token=token, experiments=folder.parent, address=address)
        servers.append(uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)))
        with pytest.MonkeyPatch.context() as patch:  # an import of gradio that nobody needs would outlast the studio
            patch.setattr(client_api, "PREPARE_DELAY", 3600.0)
            servers[0].run(sockets=[listener])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    deadline = time.monotonic() + TIMEOUT
    while not servers or not servers[0].started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield Studio(f"http://127.0.0.1:{listener.getsockname()[1]}/", service)
    service.queue.close()
    servers[0].should_exit = True
    thread.join(TIMEOUT)


def fetch(url: str, data: Any = None, method: str | None = None, **headers: str) -> tuple[int, bytes, Any]:
    """Return status, body and headers of a response; bytes are sent as they are, anything else as JSON."""
    if data is not None and not isinstance(data, bytes):
        data, headers = json.dumps(data).encode(), {**headers, "content-type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def error_of(answer: tuple[int, bytes, Any]) -> str:
    """Return the message of an answer with status 400."""
    assert answer[0] == 400, answer[1][:200]
    return str(json.loads(answer[1])["error"])


def random_picture(
    image_format: str = "PNG", size: tuple[int, int] = (40, 30), seed: int = 0, mode: str = "RGB", **options: object
) -> bytes:
    """A picture of random pixels as the bytes of a file; `size` is width and height, `mode` is Pillow's."""
    levels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    picture = PIL.Image.fromarray(levels)
    if mode == "LAB":
        srgb, lab = (ImageCms.createProfile(space) for space in ("sRGB", "LAB"))
        picture = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    elif mode == "I;16":
        picture = PIL.Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    file = io.BytesIO()
    picture.save(file, image_format, **options)
    return file.getvalue()


def run_small_experiment(folder: Path) -> None:
    """Run an experiment of two tiny runs, with one metric."""
    grid = {
        "name": "small",
        "summary": "two runs",
        "product": {"methods": ["gatys", "gpdm"]},
        "pairs": [["woodcut", "mosaic"]],
        "settings": {"size": 48, "steps": 4},
        "evaluation_network": "tiny",
        "metrics": ["content"],
    }
    experiment = experiment_of(Document(grid, folder))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("IMPASTO_CACHE", str(folder / "cache"))
        store = Store(folder, create=True)
        store.register(experiment)
        store.close()
        run_experiment(folder, experiment)
