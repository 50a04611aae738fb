"""Test what notebooks show, and that results can be computed wherever Python code runs."""

from __future__ import annotations

import asyncio
import base64
import io
import multiprocessing
import pickle
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from support import TIMEOUT

import impasto
from impasto.config import settings_of
from impasto.methods import METHODS
from impasto.pipeline import notebook, stylizer
from impasto.pipeline.result import Result

FAST: dict[str, Any] = {"backbone": "tiny", "size": 48, "steps": 3}


@pytest.fixture(scope="module")
def result() -> Result:
    with pytest.MonkeyPatch.context() as notebook:
        notebook.setattr(stylizer, "in_notebook", lambda: True)
        return impasto.stylize("woodcut", "mosaic", **FAST)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace IPython by a notebook that collects what it shows."""
    lines: list[str] = []
    handle = SimpleNamespace(update=lines.append)

    def display(text: str, display_id: bool = False) -> object:
        assert display_id
        lines.append(text)
        return handle

    shell = SimpleNamespace(kernel=object())
    module = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(HTML=str, display=display))
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(notebook, "INTERVAL", 0.0)
    return lines


def pictures(html: str) -> list[PIL.Image.Image]:
    data = re.findall(r'src="data:image/webp;base64,([^"]+)"', html)
    return [PIL.Image.open(io.BytesIO(base64.b64decode(each))) for each in data]


def test_a_notebook_shows_the_content_image_beside_the_output(result: Result) -> None:
    html = result._repr_html_()
    before, after = pictures(html)
    assert before.size == after.size == (48, 38)
    assert np.asarray(after, int) == pytest.approx(np.asarray(result.to_pil(), int), abs=60)
    assert result.before is not None
    assert impasto.stylize("woodcut", "mosaic", **FAST).before is None  # nobody would see it
    assert np.abs(np.asarray(before, int) - np.asarray(after, int)).mean() > 2
    assert "gatys: 3 steps in" in html
    assert 'alt="before"' in html


def test_what_a_notebook_stores_is_small_and_escaped() -> None:
    image = torch.rand(1, 3, 600, 2000)
    html = notebook.before_and_after(image, image, torch.rand(1, 1, 600, 2000), "<script>")
    assert [each.size for each in pictures(html)] == [(360, 108), (360, 108)]
    assert all(each.mode == "RGBA" for each in pictures(html))
    assert len(html) < 200_000
    assert "<script>" not in html


def test_a_notebook_shows_the_progress_and_removes_it(shown: list[str]) -> None:
    steps: list[int] = []
    impasto.stylize("woodcut", "mosaic", on_step=lambda step: steps.append(step.index), **FAST)
    assert steps == [1, 2, 3]
    assert [re.findall(r"> (\d/3), \d s, loss", line) for line in shown[:-1]] == [["1/3"], ["2/3"], ["3/3"]]
    assert shown[-1] == ""
    stopped = impasto.stylize("woodcut", "mosaic", on_step=lambda step: step.index < 2, **FAST)
    assert stopped.stopped == "cancelled"


def test_a_failing_display_does_not_stop_a_run(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["IPython"], "display", None)
    assert impasto.stylize("woodcut", "mosaic", **FAST).steps == 3


def test_a_script_a_shell_and_a_thread_show_nothing(
    shown: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(asyncio.to_thread(impasto.stylize, "woodcut", "mosaic", **FAST))
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: object())  # the shell of a terminal
    impasto.stylize("woodcut", "mosaic", **FAST)
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    impasto.stylize("woodcut", "mosaic", **FAST)
    monkeypatch.delitem(sys.modules, "IPython")
    impasto.stylize("woodcut", "mosaic", **FAST)
    assert shown == []
    assert capsys.readouterr() == ("", "")


def test_tasks_of_asyncio_give_the_image_of_a_call(result: Result) -> None:
    async def stylize_both() -> list[Result]:
        calls = [asyncio.to_thread(impasto.stylize, "woodcut", "mosaic", **FAST) for _ in range(2)]
        return await asyncio.gather(*calls)

    for other in asyncio.run(stylize_both()):
        assert (other.image == result.image).all()
    assert torch.get_default_dtype() == torch.float32


def test_a_process_gives_the_image_of_a_call_and_returns_the_result(result: Result) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        other = pool.submit(impasto.stylize, "woodcut", "mosaic", **FAST).result(timeout=TIMEOUT)
    assert (other.image == result.image).all()
    assert other.record()["settings"] == result.record()["settings"]


def test_the_deterministic_mode_of_the_caller_changes_nothing(result: Result) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        other = impasto.stylize("woodcut", "mosaic", **FAST)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert (other.image == result.image).all()


@pytest.mark.parametrize("method", list(METHODS))
def test_settings_can_be_pickled(method: str) -> None:
    config = METHODS[method].Config(seed=7)
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert settings_of(copy) == settings_of(config)


def test_a_result_can_be_pickled_and_saved_elsewhere(result: Result) -> None:
    copy = pickle.loads(pickle.dumps(replace(result, alpha=torch.ones(1, 1, 38, 48))))
    assert copy.record() == result.record()
    assert copy.encode(".png") == result.encode(".png")
    assert copy.curve == result.curve
