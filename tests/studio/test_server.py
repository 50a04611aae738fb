"""HTTP routes, client API, access control and command of the studio, without a browser."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import PIL.Image
import pytest
from small_studio import Studio, random_picture

from impasto.cli import main
from impasto.images import load_image
from impasto.pipeline.records import load_record
from impasto.studio.access import AccessControl
from impasto.weights import sha256_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
TOKEN = "a long word"
Fields = list[tuple[str, str | bytes]]


def fetch(
    url: str, *, method: str = "GET", data: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, Any]:
    """Return status, body and headers of a response."""
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
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
    assert studio.service.queue.wait(key, 60).status in ("stopped", "cancelled")
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


def test_the_client_api_uploads_and_stylizes(studio: Studio, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    (tmp_path / "mine.png").write_bytes(random_picture(seed=3))
    client = Client(studio.url, verbose=False)
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


def test_the_client_api_cannot_read_files_of_the_server(studio: Studio, tmp_path: Path) -> None:
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
    assert headers["content-security-policy"].startswith("default-src 'self' data: blob:;")
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
        assert len(token) >= 32
        assert studio.stderr.readline() == "impasto: the studio is running; Ctrl-C stops it\n"
        assert fetch(url.replace("0.0.0.0", "127.0.0.1"), headers={"Authorization": f"Bearer {token}"})[0] == 200
        assert fetch(url.replace("0.0.0.0", "127.0.0.1"))[0] == 401
        studio.send_signal(number)
        assert studio.wait(60) == 128 + number
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
