"""Who writes to a stage of the studio's page: one event at a time, and the last one begun."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from impasto.studio.history import History
from impasto.studio.page import streaming as following
from impasto.studio.page.streaming import Followers
from impasto.studio.queue import Line
from impasto.studio.requests import Order


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(History(tmp_path / "history"))
    yield line
    line.close()


@pytest.fixture
def followers(line: Line, monkeypatch: pytest.MonkeyPatch) -> Followers:
    monkeypatch.setattr(following, "LOOK", 0.01)
    return Followers(line)


def begun(followers: Followers, session: str, stage: str) -> tuple[threading.Thread, Iterator[None]]:
    """An event that has asked for a stage, in a thread of its own until it has it."""
    looks = followers.looks(session, stage)
    thread = threading.Thread(target=next, args=(looks,))
    thread.start()
    return thread, looks


def test_a_stage_is_taken_once_the_one_before_has_said_its_last(followers: Followers) -> None:
    first = followers.looks("page", "paint")
    next(first)
    next(first)
    thread, second = begun(followers, "page", "paint")
    thread.join(0.2)
    assert thread.is_alive()  # what the first one yielded may still be on its way
    assert list(first) == []
    thread.join(30)
    assert not thread.is_alive()
    next(second)


def test_stages_and_pages_do_not_disturb_each_other(followers: Followers) -> None:
    every = [followers.looks(session, stage) for session in ("one", "two") for stage in ("paint", "compare")]
    for looks in every:
        next(looks)
    followers.leave("two")
    assert [len(list(zip(range(3), looks, strict=False))) for looks in every] == [3, 3, 0, 0]


def test_one_that_never_looks_again_does_not_hold_a_stage(
    followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PATIENCE", 0.05)
    forgotten = followers.looks("page", "paint")
    next(forgotten)
    thread, _ = begun(followers, "page", "paint")
    thread.join(30)
    assert not thread.is_alive()


def test_a_job_is_followed_to_its_end_unless_another_one_is(line: Line, followers: Followers) -> None:
    settings = {"backbone": "tiny", "size": 48}
    endless = line.submit(Order(content="woodcut", styles=("mosaic",), settings={**settings, "steps": 1_000_000}))
    first = followers.follow("page", endless)
    while next(first).status != "painting":
        pass
    key = line.submit(Order(content="woodcut", styles=("mosaic",), settings={**settings, "steps": 3}), after=endless)
    views = []
    second = threading.Thread(target=lambda: views.extend(followers.follow("page", key)))
    second.start()
    assert all(view.key == endless for view in first)
    second.join(60)
    assert {view.key for view in views} == {key}
    assert views[-1].status == "done"
