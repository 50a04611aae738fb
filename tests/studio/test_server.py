"""HTTP routes, client API, access control and command of the studio, without a browser."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import io
import json
import math
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote, urlencode

import numpy as np
import PIL.Image
import pytest
from small_studio import Studio, open_studio, random_picture
from support import TIMEOUT

import impasto.cli.studio as studio_command
from impasto.cli import main
from impasto.images import load_image
from impasto.methods import METHODS
from impasto.pipeline.records import load_record
from impasto.studio import client_api
from impasto.studio.access import AccessControl
from impasto.studio.examples import EXAMPLES, technique_file
from impasto.studio.page_api import FILES, MEDIA_TYPES
from impasto.studio.server import address_for_others
from impasto.weights import sha256_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
TOKEN = "a long word"
Fields = list[tuple[str, str | bytes]]


def fetch(
    url: str,
    *,
    method: str = "GET",
    data: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 60,
) -> tuple[int, bytes, Any]:
    """Return status, body and headers of a response."""
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def encode_form(fields: Fields) -> tuple[bytes, dict[str, str]]:
    """Return body and headers like those of `curl -F`; bytes are files."""
    parts = b""
    for name, value in fields:
        file = b'; filename="../x.png"' if isinstance(value, bytes) else b""
        data = value if isinstance(value, bytes) else value.encode()
        parts += b'--cut\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), file, data)
    return parts + b"--cut--\r\n", {"content-type": "multipart/form-data; boundary=cut"}


def stylize(studio: Studio, fields: Fields) -> tuple[int, bytes, Any]:
    data, headers = encode_form([("backbone", "tiny"), ("size", "48"), ("steps", "2"), *fields])
    return fetch(f"{studio.url}stylize", method="POST", data=data, headers=headers)


def send_json(studio: Studio, path: str, body: Any) -> tuple[int, bytes, Any]:
    headers = {"content-type": "application/json"}
    return fetch(studio.url + path, method="POST", data=json.dumps(body).encode(), headers=headers)


def test_a_request_stylizes_samples_and_files(studio: Studio, tmp_path: Path) -> None:
    fields: Fields = [
        ("content", random_picture(seed=1)),
        ("style", "mosaic"),
        ("style", random_picture(seed=2)),
        ("style_mix", "[0.7, 0.3]"),
    ]
    status, body, headers = stylize(studio, [*fields, ("strength", "70")])
    assert status == 200
    (tmp_path / "out.png").write_bytes(body)
    record = load_record(tmp_path / "out.png")
    assert load_image(tmp_path / "out.png").shape == (1, 3, 36, 48)
    assert (record["settings"]["strength"], record["settings"]["style_mix"]) == (70, [0.7, 0.3])
    assert headers["x-impasto-key"] in {entry.key for entry in studio.service.history.entries()}


def test_a_request_can_have_masks(studio: Studio) -> None:
    levels = np.zeros((30, 40, 3), np.uint8)
    levels[:, 20:] = 255
    file = io.BytesIO()
    PIL.Image.fromarray(levels).save(file, "PNG")
    fields: Fields = [
        ("content", random_picture(seed=1)),
        ("style", "mosaic"),
        ("style", "inkwash"),
        ("mask", file.getvalue()),
    ]
    status, _, headers = stylize(studio, fields)
    assert status == 200
    record = studio.service.history.entry(headers["x-impasto-key"]).record()
    assert {name.split("/")[-1] for name in record["terms"] if name.startswith("style/")} == {"region1", "region2"}


def test_a_request_that_does_not_wait_returns_a_key_to_watch_and_stop_the_job(studio: Studio) -> None:
    fields: Fields = [("content", "woodcut"), ("style", "mosaic"), ("wait", "0"), ("steps", "1000000")]
    data, headers = encode_form([("backbone", "tiny"), ("size", "48"), *fields])
    status, body, _ = fetch(f"{studio.url}stylize", method="POST", data=data, headers=headers)
    key = json.loads(body)["key"]
    assert status == 202
    assert fetch(f"{studio.url}jobs/{key}", method="DELETE")[0] == 200
    assert studio.service.queue.wait(key, TIMEOUT).status in ("stopped", "cancelled")
    assert json.loads(fetch(f"{studio.url}jobs/{key}")[1])["key"] == key


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([("content", "/etc/hostname"), ("style", "mosaic")], "'hostname' is neither a sample nor an upload"),
        ([("content", "woodcut")], "style: choose at least one"),
        ([("style", "mosaic")], "content: choose a content image"),
        ([("content", b"<svg/>"), ("style", "mosaic")], "'x.png': it is not an image"),
        ([("content", "woodcut"), ("style", "mosaic"), ("start", "/etc/hostname")], "start: choose one of"),
        ([("content", "woodcut"), ("style", "mosaic"), ("mask", "/etc/hostname")], "nor an upload"),
        ([("content", "woodcut"), ("style", "mosaic"), ("method", "magic")], "unknown method 'magic'"),
        ([("content", "woodcut"), ("style", "mosaic"), ("strength", "much")], "strength: input should be"),
        ([("content", "woodcut"), ("style", "mosaic"), ("seed", "[" * 100_000)], "seed: input should be"),
        ([("content", "woodcut"), ("style", "mosaic"), ("bits", "12")], "bits must be 8 or 16"),
    ],
)
def test_an_invalid_request_gets_an_error_of_one_line(studio: Studio, fields: Fields, message: str) -> None:
    status, body, _ = stylize(studio, fields)
    error = json.loads(body)["error"]
    assert status == 400
    assert re.search(message, error)
    assert "\n" not in error


def test_a_request_can_be_json(studio: Studio) -> None:
    settings = {"backbone": "tiny", "size": 48, "steps": 2, "seed": 11}
    body = {"content": "woodcut", "style": ["mosaic"], "settings": settings, "wait": 0}
    status, answer, _ = send_json(studio, "stylize", body)
    key = json.loads(answer)["key"]
    assert status == 202
    assert studio.service.queue.wait(key, TIMEOUT).status == "done"
    assert studio.service.history.entry(key).record()["seed"] == 11
    listed = json.loads(fetch(f"{studio.url}jobs?keys={key}")[1])["jobs"]
    assert [(job["key"], job["status"], job["title"]) for job in listed] == [
        (key, "done", "Woodcut in the style of Mosaic")
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([1], "the body is not a JSON object"),
        ({"style": ["mosaic"]}, "content: choose a content image"),
        ({"content": ["woodcut"], "style": ["mosaic"]}, "content: give text"),
        ({"content": "woodcut", "style": {"a": 1}}, "style: give a list of names"),
        ({"content": "woodcut", "style": ["mosaic"], "settings": {"size": 65536}}, "give at most"),
        ({"content": "woodcut", "style": ["mosaic"], "settings": {"polish": 5}}, "allow the download of"),
        ({"content": "woodcut", "style": ["mosaic"] * 17}, "give at most 16"),
        ({"content": "woodcut", "style": ["mosaic"], "parent": "none"}, "'none' is not the key of a result"),
    ],
)
def test_invalid_json_gets_an_error_of_one_line(studio: Studio, body: Any, message: str) -> None:
    status, answer, _ = send_json(studio, "stylize", body)
    assert (status, message in json.loads(answer)["error"]) == (400, True)


def test_nested_json_and_too_many_fields_get_an_error_and_not_a_crash(studio: Studio) -> None:
    headers = {"content-type": "application/json"}
    for body in (b"[" * 100_000, b'{"a":' * 5000):
        assert fetch(f"{studio.url}stylize", method="POST", data=body, headers=headers)[0] == 400
    status, body, _ = stylize(studio, [("seed", "1")] * 200)
    assert (status, list(json.loads(body))) == (400, ["error"])


def test_no_record_that_leaves_the_studio_has_a_path_of_this_machine(studio: Studio, tmp_path: Path) -> None:
    name = json.loads(fetch(f"{studio.url}uploads?name=lion.png", method="POST", data=random_picture(seed=21))[1])[
        "name"
    ]
    _, body, headers = stylize(studio, [("content", name), ("style", "mosaic")])
    key = headers["x-impasto-key"]
    more: dict[str, Any] = {"content": name, "style": ["mosaic"], "settings": {"backbone": "tiny", "steps": 2}}
    child = json.loads(send_json(studio, "stylize", {**more, "parent": key, "wait": 0})[1])["key"]
    assert studio.service.queue.wait(child, TIMEOUT).status == "done"
    (tmp_path / "out.png").write_bytes(body)
    assert [each["path"] for each in load_record(tmp_path / "out.png")["inputs"]] == ["lion.png", "mosaic"]
    folder = str(studio.service.folder.parent).encode()
    for path in (f"pictures/{key}.json", f"pictures/{child}.json", f"pictures/{child}.png", f"jobs/{child}/preview"):
        status, data, _ = fetch(studio.url + path)
        assert (status, folder in data) == (200, False)
    assert (studio.service.history.entry(key).record()["inputs"][0]["path"]).startswith(str(studio.service.folder))


def test_the_settings_in_a_downloaded_picture_can_be_used_again(studio: Studio) -> None:
    content = random_picture(seed=22)
    _, picture, _ = stylize(studio, [("content", content), ("style", "mosaic"), ("strength", "80")])
    given = json.loads(fetch(f"{studio.url}settings", method="POST", data=picture)[1])
    assert (given["styles"], given["method"], given["missing"]) == (["mosaic"], "gatys", [])
    assert given["settings"] == {"backbone": "tiny", "size": 48, "steps": 2, "strength": 80}
    assert studio.service.uploads.path(given["content"]).read_bytes() == content
    studio.service.uploads.remove(given["content"], set())
    assert json.loads(fetch(f"{studio.url}settings", method="POST", data=picture)[1])["missing"] == ["x.png"]
    status, body, _ = fetch(f"{studio.url}settings", method="POST", data=content)
    assert (status, b"has no settings inside" in body) == (400, True)


def test_an_instant_preview_shows_the_content_image_in_the_style(studio: Studio) -> None:
    shown = [fetch(f"{studio.url}instant?content=woodcut&style={style}&size=192") for style in ("mosaic", "inkwash")]
    pictures = [PIL.Image.open(io.BytesIO(body)) for _, body, _ in shown]
    assert [(status, headers["content-type"]) for status, _, headers in shown] == [(200, "image/jpeg")] * 2
    assert {max(picture.size) for picture in pictures} == {192}
    assert np.abs(np.asarray(pictures[0], float) - np.asarray(pictures[1], float)).mean() > 10
    for wrong in ("style=mosaic&size=4000", "size=192", "size=192" + 17 * "&style=mosaic"):
        assert fetch(f"{studio.url}instant?content=woodcut&{wrong}")[0] == 400
    assert fetch(f"{studio.url}instant?content=/etc/hostname&style=mosaic&size=192")[0] == 400


def test_results_are_starred_deleted_restored_and_downloaded_as_an_archive(studio: Studio, earlier_key: str) -> None:
    def entry() -> dict[str, Any]:
        entries = json.loads(fetch(f"{studio.url}gallery")[1])["entries"]
        return next((each for each in entries if each["key"] == earlier_key), {})

    for action, starred in (("star", True), ("unstar", False)):
        assert fetch(f"{studio.url}gallery/{earlier_key}/{action}", method="POST")[0] == 200
        assert entry()["starred"] is starred
    assert fetch(f"{studio.url}gallery/{earlier_key}", method="DELETE")[0] == 200
    assert entry() == {}
    assert fetch(f"{studio.url}gallery/{earlier_key}/restore", method="POST")[0] == 200
    assert entry()["title"] == "Woodcut in the style of Mosaic"
    archive = zipfile.ZipFile(io.BytesIO(fetch(f"{studio.url}gallery.zip?keys={earlier_key}")[1]))
    assert [archive.read(name)[:4] for name in archive.namelist()] == [b"\x89PNG"]
    details = json.loads(fetch(f"{studio.url}gallery/{earlier_key}")[1])
    assert details["choices"]["settings"] == {"backbone": "tiny", "size": 64, "steps": 3}
    assert details["command"].startswith("impasto stylize woodcut mosaic -o out.png --method gatys")


def test_a_comparison_gives_steps_only_to_the_methods_that_have_them(studio: Studio) -> None:
    body = {"content": "woodcut", "style": ["mosaic"], "methods": ["gatys", "micro"], "strength": [30, 70]}
    status, answer, _ = send_json(studio, "compare", {**body, "settings": {"steps": 2, "size": 48, "backbone": "tiny"}})
    keys = [job["key"] for job in json.loads(answer)["jobs"]]
    states = [studio.service.queue.wait(key, TIMEOUT) for key in keys]
    assert (status, [state.status for state in states]) == (202, ["done"] * 4)
    assert [dict(state.request.settings) for state in states[1:3]] == [
        {"steps": 2, "size": 48, "backbone": "tiny", "strength": 70},
        {"size": 48, "strength": 30, "weights": "micro"},  # not the network of mosaic
    ]
    status, answer, _ = send_json(studio, "compare", {**body, "strength": [*range(40)], "settings": {}})
    assert (status, "choose at most 40 combinations" in json.loads(answer)["error"]) == (400, True)


def test_an_aborted_upload_is_no_error_of_the_server(studio: Studio, capfd: pytest.CaptureFixture[str]) -> None:
    address = ("127.0.0.1", int(studio.url.rstrip("/").rpartition(":")[2]))
    for path in ("uploads?name=a.png", "stylize"):
        with socket.create_connection(address) as connection:
            head = f"POST /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            connection.sendall(head.encode() + b"Content-Length: 999\r\n\r\n{")
    assert fetch(f"{studio.url}jobs")[0] == 200  # after the end of both connections
    time.sleep(0.2)
    assert capfd.readouterr().err == ""


def test_a_misspelled_field_is_an_error(studio: Studio) -> None:
    body = {"content": "woodcut", "style": ["mosaic"], "setings": {"size": 48}}
    status, answer, _ = send_json(studio, "stylize", body)
    assert (status, json.loads(answer)["error"].partition(";")[0]) == (400, "unknown field 'setings'")


def test_regions_are_stored_as_a_label_map(studio: Studio) -> None:
    drawing = PIL.Image.new("RGBA", (40, 30))
    drawing.paste((138, 28, 28, 255), (0, 0, 20, 30))
    file = io.BytesIO()
    drawing.save(file, "PNG")
    stored = json.loads(fetch(f"{studio.url}regions?fill=1", method="POST", data=file.getvalue())[1])
    assert stored["used"] == [0, 1]
    assert stored["name"] not in studio.service.uploads.library()
    for wrong in (b"<svg/>", random_picture()[:200], b""):
        assert fetch(f"{studio.url}regions", method="POST", data=wrong)[0] == 400


def test_the_page_is_small_and_has_its_own_icon(studio: Studio) -> None:
    files = {file.name: file.stat().st_size for file in FILES.iterdir() if file.suffix in MEDIA_TYPES}
    for name in files:
        status, body, headers = fetch(f"{studio.url}page/{name}")
        assert (status, len(body)) == (200, files[name])
        assert headers["content-type"].split(";")[0] == MEDIA_TYPES[Path(name).suffix]
    assert sum(size for name, size in files.items() if not name.endswith(".jpg")) < 150_000
    pictures = {*(each.file for each in EXAMPLES), *map(technique_file, METHODS)}
    assert pictures == {name for name in files if name.endswith(".jpg")}
    assert b"gradio" not in fetch(studio.url)[1]
    assert b'href="page/icon.svg"' in fetch(studio.url)[1]
    assert fetch(f"{studio.url}page/..%2fserver.py")[0] in (400, 404)


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", None), ("studio.lan", "studio.lan")]
)
def test_the_printed_address_can_be_opened_on_another_machine(host: str, expected: str | None) -> None:
    address = address_for_others(host)
    assert address != "0.0.0.0"
    assert expected in (address, None)


def test_the_command_opens_the_page_in_a_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr(studio_command, "_serve", lambda server, listener: 0)
    monkeypatch.setattr(studio_command, "_has_screen", lambda: True)
    monkeypatch.setattr(studio_command.webbrowser, "open", opened.append)
    words = ["studio", "--port", "0", "--folder", str(tmp_path / "studio")]
    assert main([*words, "--no-browser"]) == 0
    assert opened == []
    assert main(words) == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", opened[0])


def test_the_command_shows_a_qr_code_in_a_terminal_if_other_machines_can_connect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(studio_command, "_serve", lambda server, listener: 0)
    shown = {}
    for host, is_terminal in (("0.0.0.0", True), ("0.0.0.0", False), ("127.0.0.1", True)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda is_terminal=is_terminal: is_terminal)
        assert main(["studio", "--host", host, "--port", "0", "--no-browser", "--folder", str(tmp_path)]) == 0
        out, errors = capsys.readouterr()
        assert len(out.splitlines()) == 1  # programs read the address there
        shown[host, is_terminal] = "▀" in errors
    assert shown == {("0.0.0.0", True): True, ("0.0.0.0", False): False, ("127.0.0.1", True): False}


def test_a_studio_of_this_machine_only_has_no_address_for_others(tmp_path: Path) -> None:
    with open_studio(tmp_path / "studio") as studio:
        assert json.loads(fetch(f"{studio.url}catalog")[1])["address"] is None
        assert fetch(f"{studio.url}address.svg")[0] == 400


def test_a_stereo_picture_of_a_camera_is_stylized(studio: Studio) -> None:
    second = PIL.Image.open(io.BytesIO(random_picture(seed=8)))
    picture = random_picture("MPO", save_all=True, append_images=[second])
    assert fetch(f"{studio.url}uploads?name=IMG_0001.jpg", method="POST", data=picture)[0] == 200
    status, body, _ = stylize(studio, [("content", picture), ("style", picture)])
    assert (status, body[:4]) == (200, b"\x89PNG")


def test_ten_clients_get_their_own_results(studio: Studio) -> None:
    content, style = (studio.service.uploads.add(random_picture(seed=seed), "image") for seed in (6, 7))
    seeds: dict[int, int] = {}

    def client(number: int) -> None:
        for seed in range(3 * number, 3 * number + 3):
            own: Fields = [("content", content), ("style", style), ("start", "noise"), ("seed", str(seed))]
            _, _, headers = stylize(studio, own)
            seeds[seed] = studio.service.history.entry(headers["x-impasto-key"]).record()["seed"]

    clients = [threading.Thread(target=client, args=(number,)) for number in range(10)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert seeds == {seed: seed for seed in range(30)}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="reads the memory of the process from /proc")
def test_two_hundred_requests_at_once_are_all_answered_with_flat_memory(studio: Studio) -> None:
    fields = {"content": "woodcut", "style": "mosaic", "method": "micro", "size": 32}

    def ask(seed: int) -> int:
        body = urlencode({**fields, "seed": seed}).encode()
        return fetch(f"{studio.url}stylize", method="POST", data=body, timeout=TIMEOUT)[0]

    def run() -> float:
        with ThreadPoolExecutor(200) as clients:
            assert [*clients.map(ask, range(200))] == [200] * 200
        gc.collect()
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # return freed memory to the system
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 2**20

    first, second, third = (run() for _ in range(3))
    assert max(second, third) - first < 25  # MiB


@pytest.fixture(scope="module")
def client(studio: Studio) -> Any:
    """A client of gradio, whose server starts with its first request."""
    from gradio_client import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fetch(f"{studio.url}config")
        return Client(studio.url, verbose=False)


def test_the_server_of_the_client_leaves_no_event_loop_open(studio: Studio, client: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        thread = threading.Thread(target=client_api._make_app, args=(studio.service,))
        thread.start()
        thread.join()
        gc.collect()
    assert [str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning)] == []


def test_gradio_is_not_imported_while_the_page_is_in_use() -> None:
    async def answer(*_: Any) -> None:
        """Answer nothing."""

    api = client_api.ClientApi(cast("Any", SimpleNamespace(queue=SimpleNamespace(states=list))))
    watched = api.watch(answer)
    api._last_request = -math.inf
    asyncio.run(watched({"type": "http", "path": "/jobs"}, cast("Any", None), answer))
    assert api._busy_for() == 0
    asyncio.run(watched({"type": "http", "path": "/instant"}, cast("Any", None), answer))
    assert 0 < api._busy_for() <= client_api.PREPARE_DELAY


def test_the_client_api_uploads_and_stylizes(studio: Studio, client: Any, tmp_path: Path) -> None:
    from gradio_client import handle_file

    (tmp_path / "mine.png").write_bytes(random_picture(seed=3))
    names = list(client.view_api(return_format="dict")["named_endpoints"])
    assert names == ["/upload", "/stylize", "/wait", "/stop"]
    name = client.predict(handle_file(str(tmp_path / "mine.png")), api_name="/upload")
    settings = {"backbone": "tiny", "size": 48, "steps": 2, "seed": 5}
    key = client.predict(name, ["mosaic"], "gatys", settings, api_name="/stylize")
    state = client.predict(key, 60, api_name="/wait")
    assert (state["status"], state["step"], state["picture"]) == ("done", 2, f"/pictures/{key}.png")
    assert studio.service.history.entry(key).record()["seed"] == 5
    with pytest.raises(Exception, match="no setting 'strokes'"):
        client.predict(name, ["mosaic"], "gatys", {"strokes": 2}, api_name="/stylize")


def test_the_client_api_names_a_value_of_the_wrong_type(client: Any) -> None:
    with pytest.raises(Exception, match=r"style: give a list of names, not '?5"):
        client.predict("woodcut", 5, "gatys", {}, api_name="/stylize")
    with pytest.raises(Exception, match=r"settings: give an object with names and values, not '?\[1\]"):
        client.predict("woodcut", "mosaic", "gatys", [1], api_name="/stylize")
    with pytest.raises(Exception, match="17 style images are given; give at most 16"):
        client.predict("woodcut", ["mosaic"] * 17, "gatys", {}, api_name="/stylize")


def test_the_client_api_cannot_read_files_of_the_server(studio: Studio, client: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(random_picture(seed=4))
    named = {"path": str(tmp_path / "secret.png"), "meta": {"_type": "gradio.FileData"}}
    json_type = {"content-type": "application/json"}
    call = f"{studio.url}gradio_api/call/upload"
    status, body, _ = fetch(call, method="POST", data=json.dumps({"data": [named]}).encode(), headers=json_type)
    answer = fetch(f"{call}/{json.loads(body)['event_id']}")[1] if status == 200 else body
    assert b"event: complete" not in answer
    assert not list(studio.service.uploads.folder.glob(f"{sha256_of(tmp_path / 'secret.png')}*"))


@pytest.mark.parametrize(
    "path",
    [
        *("pictures/..%2f..%2fsecret.png", "pictures/20260101-000000-000000000000.png", "sources/..%2fx.png"),
        *("jobs/none", "jobs/..%2f..%2fx/preview", "experiments/none/report.html", "sources/%00"),
    ],
)
def test_no_address_leads_to_a_file_outside_the_studio(studio: Studio, path: str) -> None:
    assert fetch(studio.url + path)[0] in (400, 404)


def test_no_route_sends_the_bytes_of_an_upload(studio: Studio) -> None:
    payload = b"<script>alert(1)</script>"
    polyglot = random_picture(seed=5) + payload
    body = fetch(f"{studio.url}uploads?name=polyglot.png", method="POST", data=polyglot)[1]
    name = json.loads(body)["name"]
    file = studio.service.uploads.path(name)
    assert file.read_bytes() == polyglot
    status, body, headers = fetch(f"{studio.url}sources/{name}")
    assert (status, headers["content-type"], body[:3], payload in body) == (200, "image/jpeg", b"\xff\xd8\xff", False)
    status, body, _ = stylize(studio, [("content", name), ("style", name)])
    assert (status, body[:4], payload in body) == (200, b"\x89PNG", False)
    folder = quote(str(file))
    for path in (f"uploads/{name}", f"pictures/{name}", f"experiments/x/{name}", f"gradio_api/file={folder}"):
        assert fetch(studio.url + path)[0] in (400, 403, 404, 405)


def test_the_page_loads_nothing_from_other_hosts_and_has_no_generated_documentation(studio: Studio) -> None:
    status, _, headers = fetch(studio.url)
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' data: blob:;")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert fetch(f"{studio.url}docs")[0] == 404


def test_requests_of_other_hosts_and_origins_are_rejected(studio: Studio) -> None:
    assert fetch(studio.url, headers={"Host": "evil.example:7860"})[0] == 403
    data, headers = encode_form([("content", "woodcut"), ("style", "mosaic")])
    status, body, _ = fetch(
        f"{studio.url}stylize", method="POST", data=data, headers={**headers, "Origin": "https://evil.example"}
    )
    assert (status, b"rejects requests of the origin" in body) == (403, True)


def test_a_request_over_the_size_limit_is_rejected(studio: Studio) -> None:
    status, body, _ = fetch(f"{studio.url}uploads", method="POST", data=b"", headers={"Content-Length": "99999999999"})
    assert (status, b"over the limit" in body) == (413, True)
    status, body, _ = fetch(f"{studio.url}uploads?name=big.png", method="POST", data=bytes(2**20 + 1))
    assert (status, b"'big.png': the file has 1.0 MiB, over the limit of 1" in body) == (400, True)


def test_a_token_is_required_and_remembered_in_a_cookie() -> None:
    import asyncio

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})

    def request(query: bytes = b"", **headers: str) -> tuple[int, dict[bytes, bytes]]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in {"host": "studio.lan", **headers}.items()]
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": raw}
        asyncio.run(AccessControl(page, TOKEN, 100)(scope, None, send))  # type: ignore[arg-type]
        return sent[0]["status"], dict(sent[0]["headers"])

    assert request()[0] == 401
    assert request(b"token=a+wrong+word")[0] == 401
    assert request(cookie="impasto_token=x")[0] == 401
    status, headers = request(b"token=a+long+word")
    assert (status, headers[b"location"]) == (303, b"/")
    assert b"HttpOnly; SameSite=Strict" in headers[b"set-cookie"]
    assert request(authorization=f"Bearer {TOKEN}")[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_requires_a_token_from_other_machines_and_ends_with_a_signal(number: int, tmp_path: Path) -> None:
    words = ["studio", "--host", "0.0.0.0", "--port", "0", "--folder", str(tmp_path / "studio")]
    command = [sys.executable, "-m", "impasto", *words]
    studio = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert studio.stdout is not None
        assert studio.stderr is not None
        address = studio.stdout.readline().strip()
        url, _, token = address.partition("?token=")
        assert "0.0.0.0" not in url
        url = re.sub(r"//[^:/]+", "//127.0.0.1", url)
        assert len(token) >= 32
        assert studio.stderr.readline() == "impasto: the studio is running; Ctrl-C stops it\n"
        assert fetch(url, headers={"Authorization": f"Bearer {token}"})[0] == 200
        assert fetch(url)[0] == 401
        studio.send_signal(number)
        assert studio.wait(TIMEOUT) == 128 + number
        assert studio.stderr.read() == ""
    finally:
        studio.kill()
        studio.communicate()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "99999"], "--port: expected a whole number from 0 to 65535, not '99999'"),
        (["--workers", "0"], "--workers: expected a whole number from 1 to 64, not '0'"),
        (["--host", "not a host"], "cannot listen at not a host, port 7860"),
        (["--color"], "unknown flag --color"),
    ],
)
def test_an_invalid_command_gets_an_error_of_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["studio", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_port_in_use_is_an_error(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    port = studio.url.rstrip("/").rpartition(":")[2]
    assert main(["studio", "--port", port]) == 2
    assert f"cannot listen at 127.0.0.1, port {port}: Address already in use" in capsys.readouterr().err
