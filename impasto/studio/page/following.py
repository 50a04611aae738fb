"""Following a job: its views one after the other, until it ends or the visitor looks at another one."""

from __future__ import annotations

import time
from collections.abc import Iterator

from impasto.studio.jobs import View
from impasto.studio.line import Line

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
