"""Tests of the choice between the builds of PyTorch: a driver, an index that answers and the word of the user."""

from __future__ import annotations

import http.server
import importlib.util
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install_torch", ROOT / "tools" / "install_torch.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/whl/cpu/torch/" else 404)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def index() -> Iterator[str]:
    """Return the address of a running package index."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/whl/cpu"
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_index() -> str:
    """Return an address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/whl/cpu"


@pytest.fixture
def no_driver(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("choice", ["auto", "cpu"])
def test_linux_without_a_driver_takes_the_build_for_the_cpu(module: ModuleType, index: str, choice: str) -> None:
    assert module.pip_arguments(choice, index)[-2:] == ["--extra-index-url", index]


@pytest.mark.usefixtures("no_driver")
def test_an_index_that_does_not_answer_is_replaced_and_the_cost_is_named(
    module: ModuleType, closed_index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module.pip_arguments("auto", closed_index)[-1] == "torch"
    assert "about 5 GB" in capsys.readouterr().err


@pytest.mark.usefixtures("no_driver")
def test_the_build_for_the_cpu_is_not_replaced_where_it_was_requested(module: ModuleType, closed_index: str) -> None:
    with pytest.raises(SystemExit, match="does not answer"):
        module.pip_arguments("cpu", closed_index)


def test_a_driver_or_another_platform_takes_the_ordinary_build(
    module: ModuleType, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(sys, "platform", "linux")
    assert module.pip_arguments("auto", index)[-1] == "torch"
    assert module.pip_arguments("cuda", index)[-1] == "torch"
    monkeypatch.setattr(module, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert module.pip_arguments("auto", index)[-1] == "torch"


def test_a_page_that_does_not_exist_is_no_answer(module: ModuleType, index: str) -> None:
    assert module.answers(f"{index}/torch/")
    assert not module.answers(f"{index}/other/")


def test_an_unknown_choice_names_the_right_ones(module: ModuleType) -> None:
    with pytest.raises(SystemExit, match="TORCH=gpu: choose from auto, cpu, cuda"):
        module.main(["gpu"])
