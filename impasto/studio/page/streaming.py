"""Options of the page's events, and streams of updates: one stream at a time writes to a panel of the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from impasto.studio.jobs import JobState
from impasto.studio.queue import JobQueue

_EVENT: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
IMMEDIATE = _EVENT | {"queue": False}
"""Options of an event with one answer. gradio's queue would answer in a stream that it closes when no event is pending;
an event that starts in that moment, as when a click on a button ends an edit, would never get its answer."""
STREAMED = _EVENT | {"concurrency_limit": None}
"""Options of an event with several answers."""
POLL_INTERVAL = 0.15
"""Seconds between two checks of a job."""
HANDOVER_TIMEOUT = 2.0
"""Seconds that a stream waits for the previous stream of its panel to end."""


class _Stream:
    """Two flags of one stream: `replaced` requests its end, `ended` confirms that it has."""

    def __init__(self) -> None:
        self.replaced, self.ended = threading.Event(), threading.Event()


class PanelStreams:
    """The stream that writes to each panel of each open page; a new stream replaces the previous one."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._lock = threading.Lock()
        self._streams: dict[tuple[str, str], _Stream] = {}

    def ticks(self, session: str, panel: str) -> Iterator[None]:
        """Yield every `POLL_INTERVAL` seconds until another stream takes the panel or the page is closed.

        The first tick comes after the previous stream of the panel has ended, so that its last update is not late.
        When a stream ends, gradio sends its last message again; a stream must therefore end with an empty update.

        Args:
            session: identifies the open page.
            panel: name of the part of the page.
        """
        stream = _Stream()
        with self._lock:
            previous = self._streams.get((session, panel))
            self._streams[session, panel] = stream
        if previous is not None:
            previous.replaced.set()
            previous.ended.wait(HANDOVER_TIMEOUT)
        try:
            while not stream.replaced.is_set():
                yield
                stream.replaced.wait(POLL_INTERVAL)
        finally:
            stream.ended.set()
            with self._lock:
                if self._streams.get((session, panel)) is stream:
                    del self._streams[session, panel]

    def follow(self, session: str, key: str) -> Iterator[JobState]:
        """Yield the state of a job on the panel `paint` whenever it changes, until it has ended."""
        shown: tuple[object, ...] | None = None
        for _ in self.ticks(session, "paint"):
            job = self._queue.state(key)
            state = (job.status, job.queue_position, job.version)
            if state != shown:
                yield job
                shown = state
            if not job.is_live:
                return

    def close(self, session: str) -> None:
        """End all streams of a page that was closed."""
        with self._lock:
            for panel in [each for each in self._streams if each[0] == session]:
                self._streams.pop(panel).replaced.set()
