"""How the page is answered, at once or in a stream; and following a job until it ends or another one is looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from impasto.studio.jobs import JobState
from impasto.studio.queue import Line

_EVENT: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
AT_ONCE = _EVENT | {"queue": False}
"""Options of an event with one answer. Gradio's queue would answer in a stream that it closes when nothing is under
way: what is asked in that moment, as by a choice left for a button, would never be heard of again."""
STREAMED = _EVENT | {"concurrency_limit": None}
"""Options of an event with many answers."""
LOOK = 0.15
"""Seconds between two looks."""
PATIENCE = 2.0
"""Seconds in which whoever has a stage leaves it to the next one."""


class Turn:
    """The time in which one event writes to a stage."""

    def __init__(self) -> None:
        self.left, self.over = threading.Event(), threading.Event()


class Followers:
    """Which event writes to which stage of an open page: one begun later takes the stage from the one before."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, str], Turn] = {}

    def looks(self, session: str, stage: str) -> Iterator[None]:
        """Yields every `LOOK` seconds until another event takes the stage; begins when the one before has gone.

        That one has then sent all that it had to say. But gradio sends the last message of a stream again when the
        stream ends: whoever leaves a stage says something empty last.
        """
        turn = Turn()
        with self._lock:
            before = self._turns.get((session, stage))
            self._turns[session, stage] = turn
        if before is not None:
            before.left.set()
            before.over.wait(PATIENCE)
        try:
            while not turn.left.is_set():
                yield
                turn.left.wait(LOOK)
        finally:
            turn.over.set()
            with self._lock:
                if self._turns.get((session, stage)) is turn:
                    del self._turns[session, stage]

    def follow(self, session: str, key: str) -> Iterator[JobState]:
        """Yields a view of a job whenever there is something new to see; the last one is of the end."""
        seen: tuple[object, ...] | None = None
        for _ in self.looks(session, "paint"):
            view = self._line.view(key)
            now = (view.status, view.place, view.version)
            if now != seen:
                yield view
                seen = now
            if not view.is_live:
                return

    def leave(self, session: str) -> None:
        """The page was closed."""
        with self._lock:
            for place in [place for place in self._turns if place[0] == session]:
                self._turns.pop(place).left.set()
