"""The queue of the studio: no job is lost or mixed up; jobs stop, continue, and survive a restart."""

from __future__ import annotations

import ctypes
import gc
import re
import shlex
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from small_studio import random_picture
from support import TIMEOUT

import impasto
from impasto.allocator import return_freed_memory
from impasto.cli import main
from impasto.devices import pick_device
from impasto.images import load_image
from impasto.methods import METHODS, configure
from impasto.pipeline.memory import Memory
from impasto.pipeline.records import load_record
from impasto.pipeline.replay import replay
from impasto.samples import resolve
from impasto.studio import jobs, limits
from impasto.studio import queue as queue_module
from impasto.studio.history import History
from impasto.studio.jobs import Job, JobState
from impasto.studio.queue import JobQueue
from impasto.studio.requests import StylizeRequest, check_request, draft_of, request_from_record
from impasto.studio.snippets import python_script, shell_command
from impasto.types import Step

TINY: dict[str, Any] = {"backbone": "tiny", "size": 48}
ENDLESS = 1_000_000

MakeRequest = Callable[..., StylizeRequest]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a content and a style image of the final size: samples take five times as long to decode and resize."""
    folder = tmp_path_factory.mktemp("images")
    for name, seed in (("content.png", 1), ("style.png", 2)):
        (folder / name).write_bytes(random_picture(size=(48, 48), seed=seed))
    return str(folder / "content.png"), str(folder / "style.png")


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


@pytest.fixture
def queue(history: History) -> Iterator[JobQueue]:
    queue = JobQueue(history)
    yield queue
    queue.close()


def sample_request(steps: int = 3, **settings: Any) -> StylizeRequest:
    return StylizeRequest(content="woodcut", styles=("mosaic",), settings={**TINY, "steps": steps, **settings})


@pytest.fixture
def request_of(images: tuple[str, str]) -> MakeRequest:
    """Return a function from settings to a request of the small images."""

    def make(steps: int = 3, **settings: Any) -> StylizeRequest:
        content, style = images
        return StylizeRequest(content=content, styles=(style,), settings={**TINY, "steps": steps, **settings})

    return make


def wait_for_step(queue: JobQueue, key: str, step: int = 2) -> JobState:
    """Wait for a step of a job that would run for hours."""
    deadline = time.monotonic() + TIMEOUT
    while (job := queue.state(key)).step < step:
        assert job.is_live, job.error
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def test_fifty_jobs_of_ten_clients_are_neither_lost_nor_mixed_up(
    queue: JobQueue, history: History, request_of: MakeRequest, images: tuple[str, str]
) -> None:
    keys: dict[str, int] = {}

    def client(number: int) -> None:
        for i in range(5):
            seed = 5 * number + i
            keys[queue.submit(request_of(2, start="noise", seed=seed))] = seed

    clients = [threading.Thread(target=client, args=(number,)) for number in range(10)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    jobs = {key: queue.wait(key, TIMEOUT) for key in keys}
    assert sorted(keys.values()) == list(range(50))
    assert {job.status for job in jobs.values()} == {"done"}
    assert {entry.key: entry.record()["seed"] for entry in history.entries()} == keys
    key, seed = next(iter(keys.items()))
    alone = impasto.stylize(*images, **TINY, steps=2, start="noise", seed=seed)
    stored = load_image(history.entry(key).picture)
    assert (stored - alone.image).abs().max() <= 0.51 / 255


def test_the_preview_changes_and_the_loss_decreases_while_a_job_runs(queue: JobQueue, request_of: MakeRequest) -> None:
    key = queue.submit(request_of(ENDLESS))
    first = wait_for_step(queue, key)
    assert first.status == "running"
    before = queue.preview(key)
    while (later := queue.state(key)).version <= first.version:
        assert later.is_live
        time.sleep(0.01)
    assert later.curve[-1].loss < first.curve[0].loss
    assert queue.preview(key) != before
    assert later.seconds_left is not None
    queue.stop(key)


def test_a_stopped_job_keeps_its_best_image(queue: JobQueue, history: History, request_of: MakeRequest) -> None:
    key = queue.submit(request_of(ENDLESS))
    wait_for_step(queue, key)
    queue.stop(key)
    assert queue.wait(key, TIMEOUT).status == "stopped"
    record = history.entry(key).record()
    losses = [sum(point["losses"].values()) for point in record["curve"]]
    assert record["stopped"] == "cancelled"
    assert record["best"] == losses.index(min(losses)) + 1


def test_a_waiting_job_has_a_queue_position_and_can_be_cancelled(
    queue: JobQueue, history: History, request_of: MakeRequest
) -> None:
    first = queue.submit(request_of(ENDLESS))
    wait_for_step(queue, first)
    second, third = queue.submit(request_of()), queue.submit(request_of())
    assert [queue.state(key).queue_position for key in (first, second, third)] == [0, 1, 2]
    queue.stop(second)
    assert queue.state(second).status == "cancelled"
    assert queue.state(third).queue_position == 1
    queue.stop(first)
    assert queue.wait(third, TIMEOUT).status == "done"
    assert {entry.key for entry in history.entries()} == {first, third}


def test_a_changed_job_starts_from_the_stopped_one_before_all_waiting_jobs(
    queue: JobQueue, history: History, request_of: MakeRequest
) -> None:
    first = queue.submit(request_of(ENDLESS))
    wait_for_step(queue, first)
    other = queue.submit(request_of(ENDLESS))
    changed = queue.submit(request_of(ENDLESS, strength=90.0), parent=first)
    assert queue.wait(first, TIMEOUT).status == "stopped"
    wait_for_step(queue, changed)
    assert queue.state(other).queue_position == 1
    queue.stop(other)
    queue.stop(changed)
    assert queue.wait(changed, TIMEOUT).status == "stopped"
    record = history.entry(changed).record()
    start = Path(record["settings"]["start"])
    assert start == history.entry(changed).picture.with_name("start.png")
    assert start.read_bytes() == history.entry(first).picture.read_bytes()
    assert record["settings"]["strength"] == 90
    assert [(each["key"], each["stopped"]) for each in record["segments"]] == [(first, "cancelled")]


def test_a_continued_job_starts_from_the_picture_and_records_all_jobs_before_it(
    queue: JobQueue, history: History, request_of: MakeRequest
) -> None:
    keys = [queue.submit(request_of(40))]
    for _ in range(2):
        queue.wait(keys[-1], TIMEOUT)
        keys.append(queue.submit(request_of(40), parent=keys[-1]))
    queue.wait(keys[-1], TIMEOUT)
    records = [history.entry(key).record() for key in keys]
    assert [each["key"] for each in records[2]["segments"]] == keys[:2]
    first_losses = [sum(record["curve"][0]["losses"].values()) for record in records]
    last_losses = [record["losses"]["total"] for record in records]
    assert first_losses[1] == pytest.approx(last_losses[0], rel=0.01)
    assert last_losses[0] > last_losses[1] > last_losses[2]


def test_a_continued_picture_can_be_replayed(queue: JobQueue, history: History, request_of: MakeRequest) -> None:
    first = queue.submit(request_of(5))
    second = queue.submit(request_of(5), parent=first)
    queue.wait(second, TIMEOUT)
    picture = history.entry(second).picture
    assert torch.equal((replay(picture).image * 255).round(), (load_image(picture) * 255).round())


def test_a_crash_becomes_an_error_message_and_the_next_job_runs(
    queue: JobQueue, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stylize = queue_module.stylize

    def crash(*args: Any, **settings: Any) -> Any:
        if settings["seed"] == 13:
            raise RuntimeError("two\nlines\udcc3")  # as in the name of a file that is not UTF-8
        return stylize(*args, **settings)

    monkeypatch.setattr(queue_module, "stylize", crash)
    broken, intact = queue.submit(request_of(seed=13)), queue.submit(request_of(seed=14))
    assert queue.wait(broken, TIMEOUT).error == "the job failed with RuntimeError: two lines\\udcc3"
    assert queue.wait(intact, TIMEOUT).status == "done"
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        (StylizeRequest(content="", styles=("mosaic",)), "content: choose a content image"),
        (StylizeRequest(content="woodcut", styles=()), "style: choose at least one style image"),
        (StylizeRequest(content="woodcut", styles=("mosaic",), method="magic"), "unknown method 'magic'"),
        (sample_request(strokes=2), "no setting 'strokes'"),
        (sample_request(strength=101), "strength: input should be less than or equal to 100"),
    ],
)
def test_an_invalid_request_is_rejected_before_it_enters_the_queue(
    queue: JobQueue, invalid: StylizeRequest, message: str
) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        queue.submit(invalid)
    assert message in str(caught.value)


def test_the_history_survives_a_restart_and_entries_can_be_deleted(queue: JobQueue, history: History) -> None:
    key, other = queue.submit(sample_request(seed=1)), queue.submit(sample_request(seed=2))
    queue.wait(other, TIMEOUT)
    queue.close()
    reopened = History(history.folder)
    assert [entry.key for entry in reopened.entries()] == sorted([key, other], reverse=True)
    entry = reopened.entry(key)
    assert entry.title == "Woodcut in the style of Mosaic"
    assert load_record(entry.picture)["seed"] == 1
    assert load_image(entry.thumbnail).shape[-1] == 48
    reopened.delete(key)
    assert [entry.key for entry in reopened.entries()] == [other]
    assert not entry.picture.exists()


def test_a_deleted_result_can_be_restored_until_the_trash_is_emptied(
    queue: JobQueue, history: History, request_of: MakeRequest
) -> None:
    keys = [queue.submit(request_of()) for _ in range(2)]
    queue.wait(keys[-1], TIMEOUT)
    for key in keys:
        history.delete(key)
    assert history.entries() == []
    picture = history.restore(keys[0]).picture
    assert load_record(picture)["steps"] == 3
    history.empty_trash()
    with pytest.raises(ValueError, match="the trash has no result"):
        history.restore(keys[1])
    assert [entry.key for entry in history.entries()] == keys[:1]


def test_a_star_and_the_summary_of_a_result_are_kept(
    queue: JobQueue, history: History, request_of: MakeRequest
) -> None:
    key = queue.submit(request_of())
    queue.wait(key, TIMEOUT)
    history.star(key, True)
    listed = History(history.folder).entry(key).to_json()
    assert (listed["starred"], listed["method"], listed["width"], listed["content"]) == (True, "gatys", 48, "content")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", listed["created"])


def test_a_continued_picture_can_be_replayed_after_its_parent_was_deleted(
    queue: JobQueue, history: History, request_of: MakeRequest
) -> None:
    first = queue.submit(request_of(5))
    second = queue.submit(request_of(5), parent=first)
    queue.wait(second, TIMEOUT)
    history.delete(first)
    history.empty_trash()
    again = queue.submit(request_from_record(history.entry(second).record()))
    assert queue.wait(again, TIMEOUT).error is None
    pixels = [load_image(history.entry(key).picture) for key in (second, again)]
    assert torch.equal(*pixels)


def test_a_deleted_result_cannot_be_continued(queue: JobQueue, history: History, request_of: MakeRequest) -> None:
    key = queue.submit(request_of())
    queue.wait(key, TIMEOUT)
    history.delete(key)
    with pytest.raises(ValueError, match=r"has no result .* to continue from; it may have been deleted"):
        queue.submit(request_of(), parent=key)


def test_a_change_to_a_method_of_one_pass_is_refused_and_stops_nothing(
    queue: JobQueue, request_of: MakeRequest
) -> None:
    key = queue.submit(request_of(ENDLESS))
    wait_for_step(queue, key)
    one_pass = replace(request_of(), method="micro", settings={"size": 48})
    with pytest.raises(ValueError, match="computes its image in one pass, so it cannot continue"):
        queue.submit(one_pass, parent=key)
    assert not queue.state(key).is_stopping
    step = queue.state(key).step
    wait_for_step(queue, key, step + 2)
    queue.stop(key)


def test_a_change_to_a_waiting_job_keeps_its_place_in_the_queue(queue: JobQueue, request_of: MakeRequest) -> None:
    running = queue.submit(request_of(ENDLESS))
    wait_for_step(queue, running)
    second, third = queue.submit(request_of()), queue.submit(request_of())
    changed = queue.submit(request_of(4), parent=third)
    assert [queue.state(key).queue_position for key in (second, changed)] == [1, 2]
    assert queue.state(third).status == "cancelled"
    queue.stop(running)
    assert queue.wait(changed, TIMEOUT).step == 4


def test_a_continued_job_has_the_size_that_it_asks_for(
    queue: JobQueue, history: History, request_of: MakeRequest
) -> None:
    first = queue.submit(request_of())
    queue.wait(first, TIMEOUT)
    larger = queue.submit(request_of(size=96), parent=first)
    same = queue.submit(replace(request_of(), settings={"backbone": "tiny", "steps": 2}), parent=first)
    queue.wait(same, TIMEOUT)
    assert [load_image(history.entry(key).picture).shape[-1] for key in (first, larger, same)] == [48, 96, 48]


def test_the_command_of_a_stopped_job_computes_the_same_picture(
    queue: JobQueue, history: History, request_of: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = queue.submit(request_of(ENDLESS))
    wait_for_step(queue, key, 5)
    queue.stop(key)
    assert queue.wait(key, TIMEOUT).status == "stopped"
    entry = history.entry(key)
    request = request_from_record(entry.record())
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(shell_command(request, entry.picture))[1:]) == 0
    repeated = load_image(tmp_path / "out.png")
    assert torch.equal(repeated, load_image(entry.picture))
    (tmp_path / "out.png").unlink()
    exec(python_script(request, entry.picture))
    assert torch.equal(load_image(tmp_path / "out.png"), repeated)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 65536}, "size: the output would have 65536 x 65536 pixels, .*; give at most \\d+"),
        ({"sizes": [65536]}, "size: the output would have"),
        ({"polish": 3}, "'vgg19-caffe' are not on this machine; allow the download of"),
        ({"backbone": "vgg19"}, "'vgg19' are not on this machine; allow the download of 575 MB"),
    ],
)
def test_a_request_that_costs_too_much_is_refused_before_it_runs(
    queue: JobQueue, request_of: MakeRequest, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        queue.submit(request_of(**settings))


def test_an_output_is_refused_from_the_size_on_that_does_not_fit(
    request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "total_memory", lambda: 2**29)
    with pytest.raises(ValueError, match="2048 pixels, more than this machine has memory for; give at most") as error:
        check_request(request_of(size=2048, tile=0), tmp_path)
    largest = int(str(error.value).rpartition(" ")[2])
    assert 256 < largest < 2048
    check_request(request_of(size=largest - 16, tile=0), tmp_path)


def test_a_refusal_has_the_width_before_the_height(request_of: MakeRequest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the output would have 65536 x 43\d+ pixels"):
        check_request(replace(request_of(size=65536), content="rocket"), tmp_path)


@pytest.mark.parametrize("method", [*METHODS])
def test_an_output_that_is_not_counted_fits(method: str) -> None:
    run = METHODS[method](configure(method, {"size": 128, "precision": "fp32"}))
    assert limits.bytes_per_pixel(run, load_image(resolve("woodcut"), size=128), 1) < limits.QUICK_BYTES_PER_PIXEL


def test_the_memory_of_a_request_is_that_of_the_plan(images: tuple[str, str]) -> None:
    run = METHODS["gatys"](configure("gatys", {**TINY, "size": 256, "steps": 1}))
    picture = load_image(images[0])
    return_freed_memory()
    before = Memory.of(pick_device("auto")).peak(0)
    plan = impasto.plan(*images, **TINY | {"size": 256, "steps": 1})
    assert plan.memory_mib is not None
    assert plan.memory_mib - before == pytest.approx(limits.bytes_per_pixel(run, picture, 1) / 16, rel=0.1)


def test_a_draft_is_shown_before_the_image_and_not_replaced_by_a_coarse_one(
    queue: JobQueue, history: History, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PREVIEW_INTERVAL", 0.0)
    shown: list[tuple[bool, int, bytes | None]] = []
    on_step = Job.on_step

    def record(job: Job, step: Step) -> bool:
        proceed = on_step(job, step)
        shown.append((job.has_draft, step.index, job.preview))
        return proceed

    monkeypatch.setattr(Job, "on_step", record)
    request = replace(request_of(), settings={"backbone": "tiny", "size": 32}, draft_first=True)
    with_draft, alone = queue.submit(request), queue.submit(replace(request, draft_first=False))
    state = queue.wait(with_draft, TIMEOUT)
    queue.wait(alone, TIMEOUT)
    assert (state.status, state.is_drafting, state.step) == ("done", False, state.total)
    drafted = [preview for has_draft, index, preview in shown if has_draft and index < 0.5 * (state.total or 0)]
    assert len(drafted) > 5
    assert set(drafted) == {drafted[0]}
    assert len({preview for has_draft, _, preview in shown if has_draft}) > 3  # then the image itself
    pictures = [load_image(history.entry(key).picture) for key in (with_draft, alone)]
    assert torch.equal(*pictures)


def test_a_job_that_is_stopped_during_its_draft_keeps_the_draft(
    queue: JobQueue, history: History, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_step = Job.on_draft_step

    def stop_early(job: Job, step: Step) -> bool:
        job.stop_requested = step.index == 3
        return on_step(job, step)

    monkeypatch.setattr(Job, "on_draft_step", stop_early)
    key = queue.submit(replace(request_of(), settings=TINY, draft_first=True))
    assert queue.wait(key, TIMEOUT).status == "stopped"
    record = history.entry(key).record()
    assert (record["steps"], record["settings"]["quality"]) == (3, "draft")


@pytest.mark.parametrize("settings", [{"steps": 5}, {"quality": "draft"}, {"tolerance": 0.1}])
def test_a_short_job_has_no_draft(request_of: MakeRequest, settings: dict[str, Any]) -> None:
    assert draft_of(replace(request_of(), settings=settings, draft_first=True)) is None
    assert draft_of(replace(request_of(), settings={}, draft_first=True)) == {"quality": "draft"}
    assert draft_of(replace(request_of(), method="micro", settings={}, draft_first=True)) is None


def test_many_styles_are_refused(queue: JobQueue, request_of: MakeRequest) -> None:
    request = request_of()
    with pytest.raises(ValueError, match="17 style images are given; give at most 16"):
        queue.submit(replace(request, styles=request.styles * 17))


def test_a_failed_allocation_is_explained(
    queue: JobQueue, history: History, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allocate(*args: Any, **settings: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(queue_module, "stylize", allocate)
    key = queue.submit(request_of())
    assert queue.wait(key, TIMEOUT).error == "not enough memory for this size; give a smaller size"
    assert list(history.folder.glob(f"{key}*")) == []


@pytest.mark.parametrize("key", ["../../etc", "", "x" * 5000, "20261121-000000-../../../abc", "\0"])
def test_the_key_of_a_result_is_never_used_as_a_path(history: History, key: str) -> None:
    for method in (history.entry, history.delete, history.has):
        with pytest.raises(ValueError, match="is not the key of a result"):
            method(key)


def test_the_memory_of_the_process_does_not_grow_with_the_number_of_jobs(queue: JobQueue) -> None:
    def anonymous_mib() -> float:
        """Return the memory without the pages of files, which the system takes back and reads again."""
        gc.collect()
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # return freed memory to the system
        resident, of_files = map(int, Path("/proc/self/statm").read_text(encoding="ascii").split()[1:3])
        return (resident - of_files) * 4096 / 2**20

    def run(count: int) -> float:
        for key in [queue.submit(sample_request(1)) for _ in range(count)]:
            queue.wait(key, TIMEOUT)
        return anonymous_mib()

    measured = [run(10), *(run(20) for _ in range(3))]
    assert min(after - before for before, after in pairwise(measured)) < 4  # a leak grows with all of them


def test_the_tensors_of_a_job_are_freed(queue: JobQueue, request_of: MakeRequest) -> None:
    def run(count: int) -> None:
        for key in [queue.submit(request_of(1)) for _ in range(count)]:
            queue.wait(key, TIMEOUT)

    def bytes_in_use() -> int:
        """Bytes of all tensors except packed kernels, and of all other Python objects."""
        gc.collect()
        tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor and each.layout is torch.strided]
        storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
        return sum(storages.values()) + tracemalloc.get_traced_memory()[0]

    run(3)
    tracemalloc.start()
    try:
        before = bytes_in_use()
        run(10)
        assert bytes_in_use() - before < 10 * 15_000  # the image of one job alone has 27,648 bytes
    finally:
        tracemalloc.stop()
