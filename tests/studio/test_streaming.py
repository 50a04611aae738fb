"""Streams of updates to the page: one stream at a time writes to a panel, the one that started last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from impasto.studio.history import History
from impasto.studio.page import streaming
from impasto.studio.page.streaming import PanelStreams
from impasto.studio.queue import JobQueue
from impasto.studio.requests import StylizeRequest


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    queue = JobQueue(History(tmp_path / "history"))
    yield queue
    queue.close()


@pytest.fixture
def streams(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> PanelStreams:
    monkeypatch.setattr(streaming, "POLL_INTERVAL", 0.01)
    return PanelStreams(queue)


def start_in_thread(streams: PanelStreams, session: str, panel: str) -> tuple[threading.Thread, Iterator[None]]:
    """Start a stream in a thread that ends with its first tick."""
    ticks = streams.ticks(session, panel)
    thread = threading.Thread(target=next, args=(ticks,))
    thread.start()
    return thread, ticks


def test_a_stream_starts_once_the_previous_stream_of_its_panel_has_ended(streams: PanelStreams) -> None:
    first = streams.ticks("page", "paint")
    next(first)
    next(first)
    thread, second = start_in_thread(streams, "page", "paint")
    thread.join(0.2)
    assert thread.is_alive()  # the last update of the first stream may not have been sent yet
    assert list(first) == []
    thread.join(30)
    assert not thread.is_alive()
    next(second)


def test_streams_of_other_panels_and_pages_are_independent(streams: PanelStreams) -> None:
    all_ticks = [streams.ticks(session, panel) for session in ("one", "two") for panel in ("paint", "compare")]
    for ticks in all_ticks:
        next(ticks)
    streams.close("two")
    assert [len(list(zip(range(3), ticks, strict=False))) for ticks in all_ticks] == [3, 3, 0, 0]


def test_an_abandoned_stream_does_not_block_its_panel(streams: PanelStreams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "HANDOVER_TIMEOUT", 0.05)
    abandoned = streams.ticks("page", "paint")
    next(abandoned)
    thread, _ = start_in_thread(streams, "page", "paint")
    thread.join(30)
    assert not thread.is_alive()


def test_a_job_is_followed_to_its_end_unless_another_job_takes_the_panel(
    queue: JobQueue, streams: PanelStreams
) -> None:
    settings = {"backbone": "tiny", "size": 48}

    def request(steps: int) -> StylizeRequest:
        return StylizeRequest(content="woodcut", styles=("mosaic",), settings={**settings, "steps": steps})

    endless = queue.submit(request(1_000_000))
    first = streams.follow("page", endless)
    while next(first).status != "running":
        pass
    key = queue.submit(request(3), parent=endless)
    jobs = []
    second = threading.Thread(target=lambda: jobs.extend(streams.follow("page", key)))
    second.start()
    assert all(job.key == endless for job in first)
    second.join(60)
    assert {job.key for job in jobs} == {key}
    assert jobs[-1].status == "done"
