"""The studio's line of jobs: none lost, none mixed up; stopped, steered, continued; kept across restarts."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import impasto
from impasto.images import load_image
from impasto.pipeline.replay import load_record, replay
from impasto.studio import queue as line_module
from impasto.studio.history import History
from impasto.studio.jobs import JobState
from impasto.studio.queue import Line
from impasto.studio.requests import Order

TINY: dict[str, Any] = {"backbone": "tiny", "size": 48}
LONG = 1_000_000


def order(steps: int = 3, **settings: Any) -> Order:
    return Order(content="woodcut", styles=("mosaic",), settings={**TINY, "steps": steps, **settings})


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


@pytest.fixture
def line(history: History) -> Iterator[Line]:
    line = Line(history)
    yield line
    line.close()


def until_painting(line: Line, key: str, step: int = 2) -> JobState:
    """Waits for a step of a job that would go on for hours."""
    ends = time.monotonic() + 30
    while (view := line.view(key)).step < step:
        assert view.is_live, view.error
        assert time.monotonic() < ends
        time.sleep(0.01)
    return view


def test_fifty_jobs_of_ten_clients_are_neither_lost_nor_mixed_up(line: Line, history: History) -> None:
    keys: dict[str, int] = {}

    def client(number: int) -> None:
        for i in range(5):
            seed = 5 * number + i
            keys[line.submit(order(2, start="noise", seed=seed))] = seed

    clients = [threading.Thread(target=client, args=(number,)) for number in range(10)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    views = {key: line.wait(key, 120) for key in keys}
    assert sorted(keys.values()) == list(range(50))
    assert {view.status for view in views.values()} == {"done"}
    assert {entry.key: entry.record()["seed"] for entry in history.entries()} == keys
    key, seed = next(iter(keys.items()))
    alone = impasto.stylize("woodcut", "mosaic", **TINY, steps=2, start="noise", seed=seed)
    kept = load_image(history.entry(key).picture)
    assert (kept - alone.image).abs().max() <= 0.51 / 255


def test_a_picture_improves_while_one_watches(line: Line) -> None:
    key = line.submit(order(LONG))
    first = until_painting(line, key)
    assert first.status == "painting"
    before = line.preview(key)
    while (later := line.view(key)).version <= first.version:
        assert later.is_live
        time.sleep(0.01)
    assert later.curve[-1].loss < first.curve[0].loss
    assert line.preview(key) != before
    assert later.left is not None
    line.stop(key)


def test_stop_keeps_the_best_picture(line: Line, history: History) -> None:
    key = line.submit(order(LONG))
    until_painting(line, key)
    line.stop(key)
    assert line.wait(key, 30).status == "stopped"
    record = history.entry(key).record()
    losses = [sum(point["losses"].values()) for point in record["curve"]]
    assert record["stopped"] == "cancelled"
    assert record["best"] == losses.index(min(losses)) + 1


def test_who_waits_sees_the_place_and_can_leave(line: Line, history: History) -> None:
    first = line.submit(order(LONG))
    until_painting(line, first)
    second, third = line.submit(order()), line.submit(order())
    assert [line.view(key).place for key in (first, second, third)] == [0, 1, 2]
    line.stop(second)
    assert line.view(second).status == "cancelled"
    assert line.view(third).place == 1
    line.stop(first)
    assert line.wait(third, 30).status == "done"
    assert {entry.key for entry in history.entries()} == {first, third}


def test_steering_stops_and_goes_on_from_there_before_all_who_wait(line: Line, history: History) -> None:
    first = line.submit(order(LONG))
    until_painting(line, first)
    other = line.submit(order(LONG))
    steered = line.submit(order(LONG, strength=90.0), after=first)
    assert line.wait(first, 30).status == "stopped"
    until_painting(line, steered)
    assert line.view(other).place == 1
    line.stop(other)
    line.stop(steered)
    assert line.wait(steered, 30).status == "stopped"
    record = history.entry(steered).record()
    assert record["settings"]["start"] == str(history.entry(first).picture)
    assert record["settings"]["strength"] == 90
    assert [(each["key"], each["stopped"]) for each in record["segments"]] == [(first, "cancelled")]


def test_continuing_goes_on_from_the_picture_and_tells_of_all_before_it(line: Line, history: History) -> None:
    keys = [line.submit(order(20))]
    for _ in range(2):
        line.wait(keys[-1], 30)
        keys.append(line.submit(order(20), after=keys[-1]))
    line.wait(keys[-1], 30)
    records = [history.entry(key).record() for key in keys]
    assert [each["key"] for each in records[2]["segments"]] == keys[:2]
    first_losses = [sum(record["curve"][0]["losses"].values()) for record in records]
    ends = [record["losses"]["total"] for record in records]
    assert first_losses[1] == pytest.approx(ends[0], rel=0.01)
    assert ends[0] > ends[1] > ends[2]


def test_a_continued_picture_can_be_replayed(line: Line, history: History) -> None:
    first = line.submit(order(5))
    second = line.submit(order(5), after=first)
    line.wait(second, 30)
    picture = history.entry(second).picture
    assert torch.equal((replay(picture).image * 255).round(), (load_image(picture) * 255).round())


def test_a_crash_is_a_message_and_the_next_one_is_painted(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = line_module.stylize

    def crash(*args: Any, **settings: Any) -> Any:
        if settings["seed"] == 13:
            raise RuntimeError("a bolt\nfrom the blue")
        return real(*args, **settings)

    monkeypatch.setattr(line_module, "stylize", crash)
    broken, sound = line.submit(order(seed=13)), line.submit(order(seed=14))
    assert line.wait(broken, 30).error == "the painting failed: RuntimeError: a bolt from the blue"
    assert line.wait(sound, 30).status == "done"
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Order(content="", styles=("mosaic",)), "content: choose a photograph"),
        (Order(content="woodcut", styles=()), "style: choose at least one picture"),
        (Order(content="woodcut", styles=("mosaic",), method="magic"), "unknown method 'magic'"),
        (order(strokes=2), "no setting 'strokes'"),
        (order(strength=101), "strength: input should be less than or equal to 100"),
    ],
)
def test_an_order_that_cannot_be_painted_is_refused_at_once(line: Line, wrong: Order, said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        line.submit(wrong)
    assert said in str(caught.value)


def test_the_history_is_there_after_a_restart_and_can_be_thinned(line: Line, history: History) -> None:
    key, other = line.submit(order(seed=1)), line.submit(order(seed=2))
    line.wait(other, 30)
    line.close()
    again = History(history.folder)
    assert [entry.key for entry in again.entries()] == sorted([key, other], reverse=True)
    entry = again.entry(key)
    assert entry.title == "woodcut after mosaic, gatys"
    assert load_record(entry.picture)["seed"] == 1
    assert load_image(entry.thumbnail).shape[-1] == 48
    again.delete(key)
    assert [entry.key for entry in again.entries()] == [other]
    assert not entry.picture.exists()


@pytest.mark.parametrize("key", ["../../etc", "", "x" * 5000, "20261121-000000-../../../abc", "\0"])
def test_a_key_is_never_a_path(history: History, key: str) -> None:
    for ask in (history.entry, history.delete, history.has):
        with pytest.raises(ValueError, match="is no painting's key"):
            ask(key)


def test_memory_stays_flat(line: Line) -> None:
    def resident() -> float:
        gc.collect()
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # what was freed goes back to the system
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * 4096 / 2**20

    def paint(count: int) -> float:
        keys = [line.submit(order(1)) for _ in range(count)]
        for key in keys:
            line.wait(key, 60)
        return resident()

    warm = paint(45)
    assert min(paint(45) for _ in range(3)) - warm < 10


def test_what_paintings_took_is_given_back(line: Line) -> None:
    def paint(count: int) -> None:
        for key in [line.submit(order(1)) for _ in range(count)]:
            line.wait(key, 60)

    def taken() -> int:
        """Bytes of all tensors but packed kernels, and of all else that Python holds."""
        gc.collect()
        tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor and each.layout is torch.strided]
        storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
        return sum(storages.values()) + tracemalloc.get_traced_memory()[0]

    paint(3)
    tracemalloc.start()
    try:
        before = taken()
        paint(20)
        assert taken() - before < 20 * 15_000  # its picture alone would be 27,000 a job
    finally:
        tracemalloc.stop()
