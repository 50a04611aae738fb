"""A studio for tests: a real server on a free port of this machine, with a small experiment to browse."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from impasto.experiments.expand import experiment_of
from impasto.experiments.runner import run_experiment
from impasto.experiments.store import Store
from impasto.experiments.yaml_source import Document
from impasto.studio.service import Workshop


@dataclass(frozen=True)
class Studio:
    """An open studio."""

    url: str
    workshop: Workshop


@contextmanager
def open_studio(folder: Path, *, token: str | None = None, max_bytes: int = 2**20) -> Iterator[Studio]:
    """Serves a folder until the block ends."""
    import uvicorn

    from impasto.studio.server import bind, make_app

    workshop = Workshop.open(folder, max_bytes=max_bytes, max_pixels=1_000_000)
    door = bind("127.0.0.1", 0)
    servers: list[uvicorn.Server] = []

    def serve() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gradio's own
            app = make_app(workshop, token=token, experiments=folder.parent)
            asyncio.get_event_loop().close()  # so are the loops that it made and forgot
            asyncio.set_event_loop(None)
            gc.collect()
        servers.append(uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)))
        servers[0].run(sockets=[door])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ends = time.monotonic() + 300
    while not servers or not servers[0].started:
        assert thread.is_alive()
        assert time.monotonic() < ends
        time.sleep(0.05)
    yield Studio(f"http://127.0.0.1:{door.getsockname()[1]}/", workshop)
    workshop.line.close()
    servers[0].should_exit = True
    thread.join(30)


def run_small_experiment(folder: Path) -> None:
    """Two tiny paintings, done and graded."""
    grid = {
        "name": "small",
        "summary": "two paintings",
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
