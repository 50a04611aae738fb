"""The studio without its page: plain requests, the typed interface, and the gate."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from small_studio import Studio, open_studio

from impasto.cli import main
from impasto.images import load_image
from impasto.pipeline.replay import load_record
from impasto.studio.access import Gate
from impasto.weights import sha256_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
TOKEN = "a long word"
Fields = list[tuple[str, str | bytes]]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with open_studio(tmp_path_factory.mktemp("place") / "studio") as studio:
        yield studio


def ask(
    url: str, *, method: str = "GET", data: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, Any]:
    """Status, body and headers of an answer."""
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def form(fields: Fields) -> tuple[bytes, dict[str, str]]:
    """A body as `curl -F` makes it; bytes are files."""
    parts = b""
    for name, value in fields:
        file = b'; filename="../x.png"' if isinstance(value, bytes) else b""
        data = value if isinstance(value, bytes) else value.encode()
        parts += b'--cut\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), file, data)
    return parts + b"--cut--\r\n", {"content-type": "multipart/form-data; boundary=cut"}


def stylize(studio: Studio, fields: Fields) -> tuple[int, bytes, Any]:
    data, headers = form([("backbone", "tiny"), ("size", "48"), ("steps", "2"), *fields])
    return ask(f"{studio.url}stylize", method="POST", data=data, headers=headers)


def noise(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    levels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    PIL.Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


def test_a_plain_request_paints_samples_and_files(studio: Studio, tmp_path: Path) -> None:
    fields: Fields = [("content", noise(1)), ("style", "mosaic"), ("style", noise(2)), ("style_mix", "[0.7, 0.3]")]
    status, body, headers = stylize(studio, [*fields, ("strength", "70")])
    assert status == 200
    (tmp_path / "out.png").write_bytes(body)
    record = load_record(tmp_path / "out.png")
    assert load_image(tmp_path / "out.png").shape == (1, 3, 36, 48)
    assert (record["settings"]["strength"], record["settings"]["style_mix"]) == (70, [0.7, 0.3])
    assert headers["x-impasto-key"] in {entry.key for entry in studio.workshop.history.entries()}


def test_a_plain_request_takes_masks(studio: Studio) -> None:
    levels = np.zeros((30, 40, 3), np.uint8)
    levels[:, 20:] = 255
    file = io.BytesIO()
    PIL.Image.fromarray(levels).save(file, "PNG")
    fields: Fields = [("content", noise(1)), ("style", "mosaic"), ("style", "inkwash"), ("mask", file.getvalue())]
    status, _, headers = stylize(studio, fields)
    assert status == 200
    record = studio.workshop.history.entry(headers["x-impasto-key"]).record()
    assert {name.split("/")[-1] for name in record["terms"] if name.startswith("style/")} == {"region1", "region2"}


def test_a_request_that_does_not_wait_can_be_followed_and_stopped(studio: Studio) -> None:
    fields: Fields = [("content", "woodcut"), ("style", "mosaic"), ("wait", "0"), ("steps", "1000000")]
    data, headers = form([("backbone", "tiny"), ("size", "48"), *fields])
    status, body, _ = ask(f"{studio.url}stylize", method="POST", data=data, headers=headers)
    key = json.loads(body)["key"]
    assert status == 202
    assert ask(f"{studio.url}jobs/{key}", method="DELETE")[0] == 200
    assert studio.workshop.line.wait(key, 60).status in ("stopped", "cancelled")
    assert json.loads(ask(f"{studio.url}jobs/{key}")[1])["key"] == key


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([("content", "/etc/hostname"), ("style", "mosaic")], "'hostname' is no sample's name"),
        ([("content", "woodcut")], "style: choose at least one"),
        ([("style", "mosaic")], "content: choose a photograph"),
        ([("content", b"<svg/>"), ("style", "mosaic")], "'x.png': it is not an image"),
        ([("content", "woodcut"), ("style", "mosaic"), ("start", "/etc/hostname")], "start: choose from"),
        ([("content", "woodcut"), ("style", "mosaic"), ("mask", "/etc/hostname")], "no upload"),
        ([("content", "woodcut"), ("style", "mosaic"), ("method", "magic")], "unknown method 'magic'"),
        ([("content", "woodcut"), ("style", "mosaic"), ("strength", "much")], "strength: input should be"),
        ([("content", "woodcut"), ("style", "mosaic"), ("bits", "12")], "bits must be 8 or 16"),
    ],
)
def test_a_wrong_request_is_told_in_one_line(studio: Studio, fields: Fields, said: str) -> None:
    status, body, _ = stylize(studio, fields)
    error = json.loads(body)["error"]
    assert status == 400
    assert said in error
    assert "\n" not in error


def test_ten_clients_get_their_own_pictures(studio: Studio) -> None:
    seeds: dict[int, int] = {}

    def client(number: int) -> None:
        for seed in range(5 * number, 5 * number + 5):
            own: Fields = [("content", "woodcut"), ("style", "mosaic"), ("start", "noise"), ("seed", str(seed))]
            _, _, headers = stylize(studio, own)
            seeds[seed] = studio.workshop.history.entry(headers["x-impasto-key"]).record()["seed"]

    clients = [threading.Thread(target=client, args=(number,)) for number in range(10)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert seeds == {seed: seed for seed in range(50)}


def test_the_typed_interface_paints_the_same(studio: Studio, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    (tmp_path / "mine.png").write_bytes(noise(3))
    client = Client(studio.url, verbose=False)
    names = list(client.view_api(return_format="dict")["named_endpoints"])
    assert names == ["/upload", "/stylize", "/wait", "/stop"]
    name = client.predict(handle_file(str(tmp_path / "mine.png")), api_name="/upload")
    settings = {"backbone": "tiny", "size": 48, "steps": 2, "seed": 5}
    key = client.predict(name, ["mosaic"], "gatys", settings, api_name="/stylize")
    told = client.predict(key, 60, api_name="/wait")
    assert (told["status"], told["step"], told["picture"]) == ("done", 2, f"/pictures/{key}.png")
    assert studio.workshop.history.entry(key).record()["seed"] == 5
    with pytest.raises(Exception, match="no setting 'strokes'"):
        client.predict(name, ["mosaic"], "gatys", {"strokes": 2}, api_name="/stylize")


def test_the_typed_interface_reads_no_file_of_the_server(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(noise(4))
    named = {"path": str(tmp_path / "secret.png"), "meta": {"_type": "gradio.FileData"}}
    json_type = {"content-type": "application/json"}
    call = f"{studio.url}gradio_api/call/upload"
    status, body, _ = ask(call, method="POST", data=json.dumps({"data": [named]}).encode(), headers=json_type)
    said = ask(f"{call}/{json.loads(body)['event_id']}")[1] if status == 200 else body
    assert b"event: complete" not in said
    assert not list(studio.workshop.uploads.folder.glob(f"{sha256_of(tmp_path / 'secret.png')}*"))


@pytest.mark.parametrize(
    "path",
    [
        *("pictures/..%2f..%2fsecret.png", "pictures/20260101-000000-000000000000.png", "sources/..%2fx.png"),
        *("jobs/none", "jobs/..%2f..%2fx/preview", "experiments/none/report.html", "sources/%00"),
    ],
)
def test_no_address_leads_to_another_file(studio: Studio, path: str) -> None:
    assert ask(studio.url + path)[0] in (400, 404)


def test_the_page_may_fetch_nothing_from_elsewhere_and_documents_nothing_from_elsewhere(studio: Studio) -> None:
    status, _, headers = ask(studio.url)
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'self' data: blob:;")
    assert headers["x-content-type-options"] == "nosniff"
    assert ask(f"{studio.url}docs")[0] == 404


def test_pages_elsewhere_cannot_use_this_studio(studio: Studio) -> None:
    assert ask(studio.url, headers={"Host": "evil.example:7860"})[0] == 403
    data, headers = form([("content", "woodcut"), ("style", "mosaic")])
    status, body, _ = ask(
        f"{studio.url}stylize", method="POST", data=data, headers={**headers, "Origin": "https://evil.example"}
    )
    assert (status, b"are not taken" in body) == (403, True)


def test_what_is_too_much_is_not_even_read(studio: Studio) -> None:
    status, body, _ = ask(f"{studio.url}uploads", method="POST", data=b"", headers={"Content-Length": "99999999999"})
    assert (status, b"over the limit" in body) == (413, True)
    status, body, _ = ask(f"{studio.url}uploads?name=big.png", method="POST", data=bytes(2**20 + 1))
    assert (status, b"'big.png': it has 1.0 MiB, over the limit of 1" in body) == (400, True)


def test_a_token_is_asked_for_and_remembered() -> None:
    import asyncio

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})

    def enter(query: bytes = b"", **headers: str) -> tuple[int, dict[bytes, bytes]]:
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message)

        raw = [(name.encode(), value.encode()) for name, value in {"host": "studio.lan", **headers}.items()]
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": raw}
        asyncio.run(Gate(page, TOKEN, 100)(scope, None, send))  # type: ignore[arg-type]
        return said[0]["status"], dict(said[0]["headers"])

    assert enter()[0] == 401
    assert enter(b"token=a+wrong+word")[0] == 401
    assert enter(cookie="impasto_token=x")[0] == 401
    status, headers = enter(b"token=a+long+word")
    assert (status, headers[b"location"]) == (303, b"/")
    assert b"HttpOnly; SameSite=Strict" in headers[b"set-cookie"]
    assert enter(authorization=f"Bearer {TOKEN}")[0] == 200


def test_the_command_asks_other_machines_for_a_token_and_ends_with_ctrl_c(tmp_path: Path) -> None:
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
        assert ask(url.replace("0.0.0.0", "127.0.0.1"), headers={"Authorization": f"Bearer {token}"})[0] == 200
        assert ask(url.replace("0.0.0.0", "127.0.0.1"))[0] == 401
        studio.send_signal(signal.SIGINT)
        assert studio.wait(60) == 130
        assert studio.stderr.read() == ""
    finally:
        studio.kill()
        studio.communicate()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "99999"], "--port: expected a whole number from 0 to 65535, not '99999'"),
        (["--workers", "0"], "--workers: expected a whole number from 1 to 64, not '0'"),
        (["--host", "not a host"], "cannot listen at not a host, port 7860"),
        (["--color"], "unknown flag --color"),
    ],
)
def test_what_is_wrong_with_the_command_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["studio", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_port_that_is_taken_is_told(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    port = studio.url.rstrip("/").rpartition(":")[2]
    assert main(["studio", "--port", port]) == 2
    assert f"cannot listen at 127.0.0.1, port {port}: Address already in use" in capsys.readouterr().err
