"""The line: orders wait here, and one worker after the other paints them."""

from __future__ import annotations

import sys
import threading
import traceback
from collections import deque
from contextlib import suppress
from dataclasses import replace

from impasto.pipeline.result import Result, segment_of
from impasto.pipeline.stylizer import stylize
from impasto.studio.history import History, new_key
from impasto.studio.jobs import Job, JobState
from impasto.studio.requests import Order, check_order, continued

LONGEST = 1000
"""Jobs that may wait."""
IDLE = 1.0
"""Seconds in which the page itself can be opened before the line warms up."""
REMEMBERED = 500
"""Jobs that have ended and can still be asked about; their pictures stay in the history."""


class Line:
    """Jobs in the order in which they are painted; safe to use from any thread."""

    def __init__(self, history: History, *, workers: int = 1, max_pixels: int = 50_000_000) -> None:
        self._history, self._max_pixels = history, max_pixels
        self._is_cold = False
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for worker in self._workers:
            worker.start()

    def submit(self, order: Order, *, after: str | None = None) -> str:
        """Puts an order in the line; returns its key, under which the picture will lie in the history.

        Args:
            after: key of a painting to go on from. Where that is still on its way, it is stopped and its best picture
                taken, and the order does not wait behind others: so one steers.

        Raises:
            ValueError: in one line, for an order that cannot be painted, and where too many wait.
        """
        check_order(order, self._history.folder)
        job = Job(new_key(), order, after)
        with self._change:
            if len(self._waiting) >= LONGEST:
                raise ValueError(f"{LONGEST} paintings wait already; try again later")
            if after is not None and after not in self._jobs and not self._history.has(after):
                raise ValueError(f"there is no painting {after!r} to go on from")
            is_steering = after in self._jobs and not self._jobs[after].ended.is_set()
            self._jobs[job.key] = job
            self._waiting.appendleft(job) if is_steering else self._waiting.append(job)
            self._forget()
            self._change.notify()
        if after is not None and is_steering:
            self.stop(after)
        return job.key

    def warm_up(self) -> None:
        """Paints something small once nobody has asked for anything in a while: so the first preview comes sooner."""
        with self._change:
            self._is_cold = True
            self._change.notify()

    def stop(self, key: str) -> None:
        """Ends a job: what waits is cancelled, what is being painted keeps its best picture."""
        with self._change:
            job = self._job(key)
            job.asked_to_stop = True
            if job in self._waiting:
                self._waiting.remove(job)
                job.end("cancelled")

    def view(self, key: str) -> JobState:
        """A job as it is now. Raises `ValueError` for an unknown key."""
        with self._change:
            job = self._job(key)
            ahead = sum(not each.ended.is_set() and each not in self._waiting for each in self._jobs.values())
            place = ahead + self._waiting.index(job) if job in self._waiting else 0
            return job.view(place)

    def preview(self, key: str) -> bytes | None:
        """The last preview of a job as a JPEG, if there is one."""
        with self._change:
            return self._job(key).preview

    def wait(self, key: str, seconds: float | None = None) -> JobState:
        """Waits until a job has ended, or so many seconds."""
        with self._change:
            job = self._job(key)
        job.ended.wait(seconds)
        return self.view(key)

    def close(self) -> None:
        """Cancels what waits, stops what is painted, and waits for that."""
        with self._change:
            self._closed = True
            for job in [*self._waiting]:
                job.end("cancelled")
            self._waiting.clear()
            for job in self._jobs.values():
                job.asked_to_stop = True
            self._change.notify_all()
        for worker in self._workers:
            worker.join(30)

    def _job(self, key: str) -> Job:
        if key not in self._jobs:
            raise ValueError(f"there is no job {key[:40]!r}; it may have ended long ago: see the history")
        return self._jobs[key]

    def _forget(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.ended.is_set()]
        for key in ended[: max(0, len(ended) - REMEMBERED)]:
            del self._jobs[key]

    def _next(self) -> Job | None:
        """Waits for a job and takes it from the line; None once the line is closed, or where it is time to warm up."""
        with self._change:
            self._change.wait_for(lambda: self._is_asked() or self._is_cold)
            if self._is_cold:
                self._change.wait_for(self._is_asked, IDLE)
                self._is_cold = False
            return self._waiting.popleft() if self._waiting and not self._closed else None

    def _is_asked(self) -> bool:
        return self._closed or bool(self._waiting)

    def _work(self) -> None:
        while not self._closed:
            job = self._next()
            if job is None:
                if not self._closed:
                    with suppress(ValueError):  # a network that is missing is told when it is asked for
                        stylize("woodcut", "mosaic", size=64, steps=2)
                continue
            with self._change:
                before = self._jobs.get(job.after or "")
            if before is not None:
                before.ended.wait()
            try:
                result = self._paint(job)
                job.end("stopped" if result.stopped == "cancelled" else "done")
            except ValueError as error:
                job.end("failed", " ".join(str(error).split()))
            except BaseException as error:  # a job that crashes is a message, and the next one is painted
                traceback.print_exc(file=sys.stderr)
                job.end("failed", f"the painting failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}")

    def _paint(self, job: Job) -> Result:
        order, segments = job.order, ()
        if job.after is not None and self._history.has(job.after):
            entry = self._history.entry(job.after)
            record = entry.record()
            order = continued(order, entry.picture, longer_side_of(entry.picture))
            segments = (*record.get("segments", ()), {"key": entry.key, **segment_of(record)})
        result = stylize(
            order.content,
            order.styles,
            order.method,
            on_step=job.on_step,
            max_pixels=self._max_pixels,
            **order.settings,
        )
        result = replace(result, segments=segments)
        self._history.add(job.key, result, order.title, bits=order.bits)
        return result


def longer_side_of(picture: object) -> int:
    """In pixels, from the header of a picture that the studio wrote."""
    import PIL.Image

    with PIL.Image.open(str(picture)) as header:
        return max(header.size)
