"""How the page is answered, at once or in a stream; and following a job until it ends or another one is looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from impasto.studio.jobs import View
from impasto.studio.line import Line

_EVENT: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
AT_ONCE = _EVENT | {"queue": False}
"""Options of an event with one answer. Gradio's queue would answer in a stream that it closes when nothing is under
way: what is asked in that moment, as by a choice left for a button, would never be heard of again."""
STREAMED = _EVENT | {"concurrency_limit": None}
"""Options of an event with many answers."""
LOOK = 0.15
"""Seconds between two looks."""


class Followers:
    """Which job each open page shows: a page that began another one no longer follows the first."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._watched: dict[str, str] = {}

    def follow(self, session: str, key: str) -> Iterator[View]:
        """Yields a view whenever there is something new to see; the last one is of the end."""
        self._watched[session] = key
        seen: tuple[object, ...] | None = None
        while self._watched.get(session) == key:
            view = self._line.view(key)
            now = (view.status, view.place, view.version)
            if now != seen:
                yield view
                seen = now
            if not view.is_live:
                return
            time.sleep(LOOK)

    def leave(self, session: str) -> None:
        """The page was closed."""
        self._watched.pop(session, None)
