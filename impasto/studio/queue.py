"""Run jobs in worker threads, in the order in which they were submitted."""

from __future__ import annotations

import re
import sys
import threading
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image

from impasto.pipeline.result import Result, segment_of
from impasto.pipeline.run import OnStep
from impasto.pipeline.stylizer import stylize
from impasto.studio.history import History, new_key
from impasto.studio.jobs import DiscardedError, Job, JobState
from impasto.studio.networks import AdaptedNetworks, AdaptRequest
from impasto.studio.requests import (
    StylizeRequest,
    check_continuation,
    check_request,
    continue_from,
    display_name,
    draft_of,
)
from impasto.studio.videos import VideoRequest, Videos, check_video_request
from impasto.training.adapt import Adapted
from impasto.video.records import VideoResult

MAX_WAITING = 1000
"""Largest number of waiting jobs."""
WARM_UP_DELAY = 1.0
"""Seconds without a job before the warm-up starts, so that the page loads first."""
MAX_ENDED = 500
"""Number of ended jobs that the queue remembers; the history stores their pictures."""


class JobQueue:
    """A first-in, first-out queue of jobs with worker threads; every method is thread-safe.

    Args:
        history: where the results are stored.
        videos: where stylized clips are stored. Default: the folder `videos` beside the history.
        networks: where adapted networks are stored. Default: the folder `networks` beside the history.
        workers: number of jobs that run at a time.
        max_pixels: largest input image in pixels.
    """

    def __init__(
        self,
        history: History,
        videos: Videos | None = None,
        networks: AdaptedNetworks | None = None,
        *,
        workers: int = 1,
        max_pixels: int = 50_000_000,
    ) -> None:
        self._history, self._max_pixels = history, max_pixels
        self._videos = videos or Videos(history.folder.with_name("videos"))
        self._networks = networks or AdaptedNetworks(history.folder.with_name("networks"))
        self._needs_warm_up = False
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._condition = threading.Condition()
        self._closed = False
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for worker in self._workers:
            worker.start()

    def submit(self, request: StylizeRequest, *, parent: str | None = None) -> str:
        """Append a job and return its key, which is also the key of its result in the history.

        Args:
            request: what to stylize.
            parent: key of a job or a result to continue from. A running parent is stopped, its best image is the
                start, and the new job is the next one. A waiting parent is replaced and keeps its place in the queue.

        Raises:
            ValueError: if the request is invalid, the parent is unknown, a video or without an image, or the queue is
                full. The parent is then not stopped.
        """
        check_request(request, self._history.folder, max_pixels=self._max_pixels)
        with self._condition:
            self._check_room()
            live = self._live_parent(parent)
            if live is not None and live in self._waiting:
                parent = live.parent
            if parent is not None:
                check_continuation(request.method)
            job = Job(new_key(), request, parent)
            self._append(job, live)
        return job.key

    def submit_video(self, request: VideoRequest) -> str:
        """Append a job that stylizes a clip and return its key, which is also the key of its video.

        Raises:
            ValueError: if the request is invalid, or the queue is full.
        """
        check_video_request(request, self._videos.folder / "new", max_pixels=self._max_pixels)
        return self._submit_video(new_key(), request)

    def continue_video(self, key: str) -> str:
        """Append a job that stylizes the frames of a video that are missing, under the same key, and return it.

        Raises:
            ValueError: if the video does not exist, it waits or runs already, is finished, or the queue is full.
        """
        request = self._videos.request(key)
        if self._videos.is_finished(key):
            raise ValueError("this video is finished; no frame of it is missing")
        check_video_request(request, self._videos.folder / "new", max_pixels=self._max_pixels)
        return self._submit_video(key, request)

    def _submit_video(self, key: str, request: VideoRequest) -> str:
        with self._condition:
            self._check_room()
            if key in self._jobs and not self._jobs[key].ended.is_set():
                raise ValueError("this video is in the queue already")
            self._videos.begin(key, request)
            self._append(Job(key, request))
        return key

    def submit_network(self, request: AdaptRequest) -> str:
        """Append a job that adapts a network to a style and return its key, which is also the key of the network.

        Raises:
            ValueError: if the request is invalid, the style has a network or will have one, or the queue is full.
        """
        self._networks.check(request)
        with self._condition:
            self._check_room()
            self._networks.check_absent(request)
            live = [job.request for job in self._jobs.values() if not job.ended.is_set()]
            if any(isinstance(each, AdaptRequest) and each.style == request.style for each in live):
                raise ValueError("a fast network for this style is being made already")
            job = Job(new_key(), request)
            self._append(job)
        return job.key

    def discard(self, key: str) -> bool:
        """Stop a job that adapts a network, of which nothing is kept.

        Returns:
            Whether there is such a job that has not stored its network; else nothing changes.
        """
        with self._condition:
            job = self._jobs.get(key)
            if job is None or not isinstance(job.request, AdaptRequest) or job.is_stored or job.ended.is_set():
                return False
            job.is_discarded = True
            self.stop(key)
            return True

    def submit_all(self, requests: Sequence[StylizeRequest]) -> list[str]:
        """Append several jobs, or none of them if one of the requests is invalid, and return their keys.

        Raises:
            ValueError: as for `submit`.
        """
        for request in requests:
            check_request(request, self._history.folder, max_pixels=self._max_pixels)
        return [self.submit(request) for request in requests]

    def warm_up(self) -> None:
        """Run a tiny job once the queue has been idle for a second, so that the first preview appears sooner."""
        with self._condition:
            self._needs_warm_up = True
            self._condition.notify()

    def stop(self, key: str) -> None:
        """Cancel a waiting job, or stop a running job, which keeps its best image, or its network after a step."""
        with self._condition:
            job = self._job(key)
            job.stop_requested = True
            job.is_discarded |= isinstance(job.request, AdaptRequest) and job.status == "waiting"
            if job in self._waiting:
                self._waiting.remove(job)
                job.end("cancelled")

    def state(self, key: str) -> JobState:
        """Return the current state of a job.

        Raises:
            ValueError: for an unknown key.
        """
        with self._condition:
            job = self._job(key)
            return job.state(0 if job.ended.is_set() else self._positions().get(key, 0))

    def preview(self, key: str) -> bytes | None:
        """Return the last preview of a job as a JPEG, or None if it has none.

        Raises:
            ValueError: for an unknown key.
        """
        with self._condition:
            return self._job(key).preview

    def states(self) -> list[JobState]:
        """Return the current states of all jobs that the queue remembers, in the order of their keys."""
        with self._condition:
            positions = self._positions()
            return [job.state(positions.get(key, 0)) for key, job in self._jobs.items()]

    def is_live(self, key: str) -> bool:
        """Return whether a job waits or runs, without a description of its state.

        Raises:
            ValueError: for an unknown key.
        """
        with self._condition:
            return not self._job(key).ended.is_set()

    def inputs(self) -> set[str]:
        """Return the paths of the images of all jobs that wait or run."""
        with self._condition:
            return {file for job in self._jobs.values() if not job.ended.is_set() for file in job.request.inputs}

    def wait(self, key: str, seconds: float | None = None) -> JobState:
        """Wait until a job has ended, at most for the given seconds, and return its state."""
        with self._condition:
            job = self._job(key)
        job.ended.wait(seconds)
        return self.state(key)

    def close(self) -> None:
        """Cancel all waiting jobs, stop the running jobs, discard unfinished networks, and wait for the workers."""
        with self._condition:
            self._closed = True
            for job in [*self._waiting]:
                job.end("cancelled")
            self._waiting.clear()
            for job in self._jobs.values():
                job.stop_requested = True
                job.is_discarded |= isinstance(job.request, AdaptRequest)  # nobody chose to keep it as it is
            self._condition.notify_all()
        for worker in self._workers:
            worker.join(30)

    def _job(self, key: str) -> Job:
        if key not in self._jobs:
            raise ValueError(f"the queue has no job {key[:40]!r}; look for its result in the history")
        return self._jobs[key]

    def _positions(self) -> dict[str, int]:
        """Return the number of jobs before each waiting job."""
        running = sum(not job.ended.is_set() for job in self._jobs.values()) - len(self._waiting)
        return {job.key: running + index for index, job in enumerate(self._waiting)}

    def _live_parent(self, parent: str | None) -> Job | None:
        """Return the parent if it waits or runs, or None; raise `ValueError` if there is nothing to continue from."""
        job = self._jobs.get(parent or "")
        if job is not None and not isinstance(job.request, StylizeRequest):
            kind = "network" if isinstance(job.request, AdaptRequest) else "video"
            raise ValueError(f"{job.key!r} is a {kind}; only a picture can be the start of another one")
        is_live = job is not None and not job.ended.is_set()
        if parent is not None and not is_live and not self._history.has(parent):
            raise ValueError(f"the history has no result {parent[:40]!r} to continue from; it may have been deleted")
        return job if is_live else None

    def _append(self, job: Job, live_parent: Job | None = None) -> None:
        """Add a job and wake a worker: last, next after a running parent, or in the place of a waiting parent."""
        self._jobs[job.key] = job
        if live_parent is None:
            self._waiting.append(job)
        elif live_parent in self._waiting:
            self._waiting[self._waiting.index(live_parent)] = job
            live_parent.end("cancelled")
        else:
            self._waiting.appendleft(job)
            live_parent.stop_requested = True
        self._forget_old_jobs()
        self._condition.notify()

    def _check_room(self) -> None:
        if len(self._waiting) >= MAX_WAITING:
            raise ValueError(f"the queue is full: {MAX_WAITING} jobs are waiting; try again later")

    def _forget_old_jobs(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.ended.is_set()]
        for key in ended[: max(0, len(ended) - MAX_ENDED)]:
            del self._jobs[key]

    def _take(self) -> Job | None:
        """Wait for a job and remove it from the queue; return None to warm up or after `close`."""
        with self._condition:
            self._condition.wait_for(lambda: self._has_work() or self._needs_warm_up)
            if self._needs_warm_up:
                self._condition.wait_for(self._has_work, WARM_UP_DELAY)
                self._needs_warm_up = False
            return self._waiting.popleft() if self._waiting and not self._closed else None

    def _has_work(self) -> bool:
        return self._closed or bool(self._waiting)

    def _work(self) -> None:
        """Run jobs until the queue is closed."""
        while not self._closed:
            job = self._take()
            if job is not None:
                self._run_and_report(job)
            elif not self._closed:
                with suppress(ValueError):  # the first job that needs missing weights reports them
                    stylize("woodcut", "mosaic", size=64, steps=2)
                    stylize("woodcut", "mosaic", "micro", size=64)

    def _run_and_report(self, job: Job) -> None:
        """Run a job after its parent; an exception becomes the error of the job, and the worker continues."""
        with self._condition:
            parent = self._jobs.get(job.parent or "")
        if parent is not None:
            parent.ended.wait()
        try:
            result = self._run(job)
            job.end("stopped" if result.stopped == "cancelled" else "done")
        except DiscardedError:
            job.end("cancelled")
        except ValueError as error:
            self._fail(job, _one_line(error))
        except (MemoryError, RuntimeError) as error:
            _print_traceback()
            self._fail(job, _explain(error))
        except BaseException as error:
            _print_traceback()
            self._fail(job, f"the job failed with {type(error).__name__}: {_one_line(error)[:200]}")

    def _fail(self, job: Job, error: str) -> None:
        with suppress(OSError):
            self._history.discard(job.key)
        job.end("failed", error)

    def _run(self, job: Job) -> Result | VideoResult | Adapted:
        """Stylize or adapt, and store the result."""
        if isinstance(job.request, StylizeRequest):
            return self._run_picture(job, job.request)
        if isinstance(job.request, AdaptRequest):
            return self._run_network(job, job.request)
        try:
            return self._videos.run(job.key, job.request, job.on_frame, lambda: job.stop_requested)
        finally:
            if job.preview is not None:
                self._videos.add_poster(job.key, job.preview)

    def _run_network(self, job: Job, request: AdaptRequest) -> Adapted:
        """Adapt and store a network; one that was discarded after its last step is deleted again."""
        adapted = self._networks.run(job.key, request, job.on_training_step)
        with self._condition:  # a later `discard` finds a stored network
            job.is_stored = not job.is_discarded
        if not job.is_stored:
            self._networks.delete(job.key)
            raise DiscardedError
        return adapted

    def _run_picture(self, job: Job, request: StylizeRequest) -> Result:
        segments: tuple[dict[str, Any], ...] = ()
        if job.parent is not None:
            entry = self._history.entry(job.parent)
            record = entry.record()
            start = self._history.copy_start(job.key, job.parent)
            request = continue_from(request, start, longer_side_of(start))
            segments = (*record.get("segments", ()), {"key": entry.key, **segment_of(record)})
        result = self._draft(job, request) or self._stylize(request, request.settings, job.on_step)
        result = replace(result, segments=segments)
        self._history.add(job.key, result, request.title, bits=request.bits, summary=_summary(job, request))
        return result

    def _draft(self, job: Job, request: StylizeRequest) -> Result | None:
        """Compute and show the draft that a request asks for; return it only if the job was stopped meanwhile."""
        settings = draft_of(request)
        if settings is None:
            return None
        draft = self._stylize(request, settings, job.on_draft_step)
        job.end_draft(draft.image, draft.alpha)
        return draft if job.stop_requested else None

    def _stylize(self, request: StylizeRequest, settings: Mapping[str, Any], on_step: OnStep) -> Result:
        images = (request.content, request.styles, request.method)
        return stylize(*images, on_step=on_step, max_pixels=self._max_pixels, **settings)


def longer_side_of(picture: Path) -> int:
    """Return the longer side of a picture in pixels, read from its header."""
    with PIL.Image.open(picture) as header:
        return max(header.size)


def _summary(job: Job, request: StylizeRequest) -> dict[str, Any]:
    """Return what lists of results show of a job."""
    settings = request.settings
    return {
        "content": display_name(request.content),
        "styles": [display_name(each) for each in request.styles],
        "parent": job.parent,
        "is_typical": job.parent is None and not {"steps", "quality", "tolerance", "sizes", "backbone"} & set(settings),
    }


def _explain(error: BaseException) -> str:
    """Return the message of a crash; PyTorch reports a failed allocation as a `RuntimeError`."""
    text = _one_line(error)
    if isinstance(error, MemoryError) or re.search(r"not enough memory|out of memory|alloc_cpu|can't allocate", text):
        return "not enough memory for this size; give a smaller size"
    return f"the job failed with {type(error).__name__}: {text[:200]}"


def _print_traceback() -> None:
    print(_escaped(traceback.format_exc()), end="", file=sys.stderr)


def _one_line(error: BaseException) -> str:
    return " ".join(_escaped(str(error)).split())


def _escaped(text: str) -> str:
    """Return a text without surrogates, which stand for bytes of file names and can be neither printed nor sent."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
