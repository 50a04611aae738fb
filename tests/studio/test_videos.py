"""Clips in the studio: uploads, the queue, and videos that survive a restart."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import PIL.Image
import pytest
from small_clip import moving_square, write_sound, write_video
from small_studio import Studio, error_of, fetch, random_picture
from starlette.requests import ClientDisconnect, Request
from support import TIMEOUT

from impasto.studio.clips import Clips
from impasto.studio.history import History
from impasto.studio.queue import JobQueue
from impasto.studio.requests import StylizeRequest
from impasto.studio.service import StudioService
from impasto.studio.videos import VideoRequest, Videos
from impasto.studio.videos_api import VideosApi
from impasto.video.records import VideoResult

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
SETTINGS = {"size": 64}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 240 ms with sound."""
    return write_video(tmp_path_factory.mktemp("film") / "beach.mp4", moving_square(), sound="aac")


def uploaded(studio: Studio, film: Path) -> str:
    status, body, _ = fetch(f"{studio.url}clips?name=../{film.name}", film.read_bytes())
    assert status == 200, body
    return str(json.loads(body)["name"])


def test_a_clip_is_uploaded_painted_and_downloaded_in_parts(studio: Studio, film: Path, tmp_path: Path) -> None:
    name = uploaded(studio, film)
    assert uploaded(studio, film) == name
    (clip,) = json.loads(fetch(f"{studio.url}clips")[1])["clips"]
    assert (clip["label"], clip["width"], clip["height"], clip["sound"]) == ("beach", 64, 48, True)
    assert clip["seconds"] == pytest.approx(0.24)
    assert fetch(f"{studio.url}clips/{name}/frame")[1].startswith(b"\xff\xd8")
    assert fetch(f"{studio.url}clips/{name}")[0] == 405  # its bytes are never sent
    body = {"clip": name, "style": ["mosaic", "inkwash"], "settings": {**SETTINGS, "style_mix": [0.7, 0.3]}}
    status, answer, _ = fetch(f"{studio.url}videos", body)
    assert status == 202
    key = json.loads(answer)["key"]
    state = studio.service.queue.wait(key, TIMEOUT).to_json()
    assert (state["status"], state["error"], state["step"], state["total"]) == ("done", None, 6, 6)
    assert state["title"] == "beach in the style of Mosaic and Ink wash"
    assert (state["picture"], state["video"]) == (None, f"/videos/{key}.mp4")
    status, data, headers = fetch(f"{studio.url}videos/{key}.mp4")
    assert (status, headers["content-type"]) == (200, "video/mp4")
    (tmp_path / "out.mp4").write_bytes(data)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert (len([*file.decode(video=0)]), len(file.streams.audio)) == (6, 1)
    assert fetch(f"{studio.url}videos/{key}.mp4", Range="bytes=10-19")[:2] == (206, data[10:20])
    record = json.loads(fetch(f"{studio.url}videos/{key}.json")[1])
    assert str(studio.service.folder) not in json.dumps(record)
    assert fetch(f"{studio.url}videos/{key}.jpg")[1].startswith(b"\xff\xd8")
    assert fetch(f"{studio.url}jobs/{key}/preview")[1].startswith(b"\xff\xd8")
    assert key not in {entry.key for entry in studio.service.history.entries()}
    assert fetch(f"{studio.url}videos/{key}", method="DELETE")[0] == 200
    assert "deleted" in error_of(fetch(f"{studio.url}videos/{key}.mp4"))


def test_a_bad_clip_or_setting_is_refused_before_anything_runs(studio: Studio, film: Path, tmp_path: Path) -> None:
    def refused(name: str, data: bytes) -> str:
        before = {file.name for file in studio.service.clips.folder.glob("*")}
        message = error_of(fetch(f"{studio.url}clips?name={name}", data))
        assert {file.name for file in studio.service.clips.folder.glob("*")} == before
        return message

    assert refused("a.mp4", b"no clip at all") == (
        "'a.mp4': it is not a video file, or corrupt (Invalid data found when processing input); "
        "give a clip such as MP4, MOV, WebM, MKV or GIF"
    )
    assert "is empty" in refused("a.mp4", b"")
    assert "no video, only sound" in refused("a.m4a", write_sound(tmp_path / "a.m4a").read_bytes())
    assert "single picture" in refused("a.mp4", random_picture())
    name = uploaded(studio, film)
    playlist = f"ffconcat version 1.0\nfile '{name}'\n"  # a file of the machine, beside the upload
    assert "it is a playlist" in refused("a.mp4", playlist.encode())
    for change, message in (
        ({"clip": ""}, "clip: choose a clip"),
        ({"clip": "0" * 64}, "add the clip again"),
        ({"clip": "../x"}, "add the clip again"),
        ({"style": []}, "style: choose at least one"),
        ({"style": ["/etc/passwd"]}, "upload the image again"),
        ({"method": "nothing"}, "nothing"),
        ({"settings": {"start": 9}}, "start: 9 s is not before the end of 'beach', which has 0.24 s"),
        ({"settings": {"size": 8}}, "too small"),
        ({"settings": {"size": 60_000}}, "size: the output would have"),
        ({"settings": {"mask": ["/etc/passwd"]}}, "mask"),
        ({"settings": {"wings": 2}}, "wings"),
    ):
        body = {"clip": name, "style": ["mosaic"], "settings": SETTINGS, **change}
        assert message in error_of(fetch(f"{studio.url}videos", body)), change
    assert json.loads(fetch(f"{studio.url}videos")[1]) == {"videos": []}


def test_a_stopped_video_continues_after_a_restart(tmp_path: Path, film: Path) -> None:
    service = StudioService.open(tmp_path / "studio")
    part = service.clips.begin()
    part.write_bytes(film.read_bytes())
    clip = service.clips.add(part, "beach.mp4")
    fields = {"clip": clip, "style": ["mosaic"], "settings": SETTINGS}
    key = service.queue.submit_video(service.video_request_from(fields))
    deadline = time.monotonic() + TIMEOUT
    while service.queue.state(key).is_live and not service.queue.state(key).step:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    service.queue.stop(key)
    assert service.queue.wait(key, TIMEOUT).status in ("stopped", "done")
    service.queue.close()
    (service.videos.folder / key / "video.mp4").unlink(missing_ok=True)  # as if it was stopped, on a slow machine, too
    service = StudioService.open(tmp_path / "studio")
    (entry,) = service.videos.entries()
    assert (entry["key"], entry["finished"], entry["poster"]) == (key, False, True)
    with pytest.raises(ValueError, match="not finished needs this clip"):
        service.clips.remove(clip, service.videos.inputs())
    assert service.queue.continue_video(key) == key
    assert service.queue.wait(key, TIMEOUT).to_json()["step"] == 6
    assert service.videos.entries()[0]["finished"]
    assert service.videos.inputs() == set()
    service.queue.close()


def test_a_video_is_stopped_while_its_clip_is_read(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service, reads = StudioService.open(tmp_path / "studio"), threading.Event()
    part = service.clips.begin()
    part.write_bytes(film.read_bytes())

    def read_without_end(
        _clip: Any, _styles: Any, output: Path, _method: str, *, is_stopped: Callable[[], bool], **_: Any
    ) -> VideoResult:
        reads.set()
        while not is_stopped():
            time.sleep(0.001)
        return VideoResult(output, 0, 0, 0, 0.0, "cancelled", 0, {})

    monkeypatch.setattr("impasto.studio.videos.stylize_video", read_without_end)
    fields = {"clip": service.clips.add(part, "beach.mp4"), "style": ["mosaic"], "settings": SETTINGS}
    key = service.queue.submit_video(service.video_request_from(fields))
    assert reads.wait(TIMEOUT)
    service.queue.stop(key)
    assert service.queue.wait(key, TIMEOUT).status == "stopped"
    service.queue.close()


def test_the_same_bytes_under_another_suffix_are_a_clip_of_their_own(tmp_path: Path) -> None:
    clips = Clips(tmp_path / "clips", 2**20, 10**6)
    second = PIL.Image.open(io.BytesIO(random_picture(seed=1)))
    stored = []
    for name in ("sea.gif", "lake.mp4"):
        part = clips.begin()
        part.write_bytes(random_picture("GIF", save_all=True, append_images=[second]))
        stored.append(clips.add(part, name))
    clips.remove(stored[0], set())
    assert [each["label"] for each in clips.library()] == ["lake"]
    assert clips.first_frame(stored[1]).is_file()
    clips.remove(stored[1], set())
    assert list(clips.folder.glob("*")) == []


@pytest.mark.parametrize("path", ["clips?name=beach.mp4", "uploads?name=sea.png"])
def test_an_upload_to_a_full_disk_is_one_line_and_leaves_no_file(
    studio: Studio, film: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open_file(file: Path, mode: str = "r", *words: Any, **options: Any) -> Any:
        is_full = file.suffix == ".part"
        return FullDisk(file, mode.replace("b", "")) if is_full else opens(file, mode, *words, **options)

    opens, before = Path.open, {*studio.service.folder.rglob("*")}
    monkeypatch.setattr(Path, "open", open_file)
    data = film.read_bytes() if path.startswith("clips") else random_picture(seed=77)
    status, answer, _ = fetch(f"{studio.url}{path}", data)
    monkeypatch.undo()
    text = "the studio cannot store the file: No space left on device; check the disk of the studio"
    assert (status, json.loads(answer)) == (507, {"error": text})
    assert {file for file in {*studio.service.folder.rglob("*")} - before if file.is_file()} == set()


@pytest.mark.parametrize("interrupted", [asyncio.CancelledError, ClientDisconnect, RuntimeError])
def test_an_interrupted_upload_leaves_no_file(tmp_path: Path, interrupted: type[BaseException]) -> None:
    async def receive() -> Any:
        if messages:
            return messages.pop()
        raise interrupted

    messages = [{"type": "http.request", "body": b"the first bytes", "more_body": True}]
    service: Any = SimpleNamespace(clips=Clips(tmp_path / "clips", 2**20, 10**6))
    request = Request({"type": "http", "method": "POST", "query_string": b"name=a.mp4", "headers": []}, receive)
    with pytest.raises(interrupted):
        asyncio.run(VideosApi(service).upload(request))
    assert (messages, list(service.clips.folder.glob("*"))) == ([], [])


def test_a_video_is_not_the_start_of_a_picture_and_goes_on(tmp_path: Path, film: Path) -> None:
    queue = JobQueue(History(tmp_path / "history"), workers=0)  # the video waits
    key = queue.submit_video(VideoRequest(clip=str(film), label="beach", styles=("mosaic",), settings=SETTINGS))
    picture = StylizeRequest(content="woodcut", styles=("mosaic",), settings={"backbone": "tiny", "size": 48})
    with pytest.raises(ValueError, match=f"^'{key}' is a video; only a picture can be the start of another one$"):
        queue.submit(picture, parent=key)
    assert [(state.key, state.status) for state in queue.states()] == [(key, "waiting")]
    queue.close()
    with pytest.raises(ValueError, match="is a video"):
        queue.submit(picture, parent=key)


def test_the_kept_frames_of_an_unfinished_video_count_once_for_all_passes(tmp_path: Path, film: Path) -> None:
    queue = JobQueue(History(tmp_path / "history"), videos := Videos(tmp_path / "videos"), workers=0)
    settings = {"size": 64, "backbone": "tiny", "passes": 2}
    request = VideoRequest(clip=str(film), label="beach", styles=("mosaic",), method="gatys", settings=settings)
    key = queue.submit_video(request)
    for name in ("000001.png", "000002.png", "pass-2/000002.png"):
        file = videos.folder / key / "video.mp4.work" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert [each["frames"] for each in videos.entries()] == [1]
    assert queue.state(key).to_json()["passes"] == 2
    queue.close()


def test_a_finished_video_is_not_continued(tmp_path: Path, film: Path) -> None:
    queue = JobQueue(History(tmp_path / "history"), videos := Videos(tmp_path / "videos"), workers=0)
    key = queue.submit_video(VideoRequest(clip=str(film), label="beach", styles=("mosaic",), settings=SETTINGS))
    queue.stop(key)
    assert queue.continue_video(key) == key
    queue.stop(key)
    (videos.folder / key / "video.mp4").write_bytes(film.read_bytes())
    with pytest.raises(ValueError, match=r"^this video is finished; no frame of it is missing$"):
        queue.continue_video(key)
    assert [state.is_live for state in queue.states()] == [False]
