"""Test weights: search order, download, and corrupt files."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support import TIMEOUT, without_root

from impasto import weights
from impasto.weights import MANIFEST, WeightFile, Weights

DATA = bytes(range(256)) * 4096  # 1 MiB
"""Default content of the files on the server."""


@dataclass
class ServedFile:
    """A file on the loopback server and its fault."""

    data: bytes = DATA
    status: int = 200
    cut: int | None = None
    """Close the connection after this many bytes, at the first request only."""
    ranges: bool = True
    """Whether the Range header is supported."""
    hold: threading.Event | None = None
    """Event to wait for after sending the first half."""


@dataclass
class FileServer:
    """An HTTP server on loopback: its files by name, the requests, and the bytes sent."""

    address: str = ""
    files: dict[str, ServedFile] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """File name and Range header of each request."""
    sent: list[int] = field(default_factory=list)
    """Bytes in the body of each response."""

    def put(self, name: str, served: ServedFile) -> str:
        self.files[name] = served
        return f"{self.address}/{name}"


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name, byte_range = self.path.lstrip("/"), self.headers.get("Range")
            server.requests.append((name, byte_range))
            served = server.files[name]
            if served.status != 200:
                self.send_error(served.status)
                return
            start = int(byte_range.removeprefix("bytes=").removesuffix("-")) if byte_range and served.ranges else 0
            if start and start >= len(served.data):
                self.send_error(416)
                return
            body = served.data[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(served.data) - 1}/{len(served.data)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self._send(served, body)

        def _send(self, served: ServedFile, body: bytes) -> None:
            cut, served.cut = served.cut, None
            if cut is not None:
                body, self.close_connection = body[:cut], True
            half = len(body) // 2 if served.hold else 0
            server.sent.append(len(body))
            try:
                self.wfile.write(body[:half])
                if served.hold:
                    self.wfile.flush()
                    served.hold.wait(TIMEOUT)
                self.wfile.write(body[half:])
            except OSError:
                self.close_connection = True  # the client was killed

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as http:
        server.address = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        for served in server.files.values():
            if served.hold:
                served.hold.set()
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache and no environment variables (except for tests of the real weights)."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("IMPASTO_OFFLINE", raising=False)
    if "shared" not in request.keywords:
        monkeypatch.delenv("IMPASTO_WEIGHTS", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that adds an entry `demo` to the manifest."""

    def put(*files: WeightFile) -> None:
        entry = Weights("demo", "a test", files, "CC0", "nobody", "anything")
        monkeypatch.setitem(MANIFEST, "demo", entry)

    return put


def weight_file(data: bytes, *urls: str, filename: str = "demo.bin", prefix: int = 64) -> WeightFile:
    digest = hashlib.sha256(data).hexdigest()
    if prefix < 64:
        return WeightFile(filename, len(data), urls, hash_prefix=digest[:prefix])
    return WeightFile(filename, len(data), urls, sha256=digest)


def error_message(action: Callable[[], object]) -> str:
    """Return the message of the `ValueError` that the action raises, which must be one line."""
    with pytest.raises(ValueError, match=r".") as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names_in(folder: Path) -> list[str]:
    """Return the files in the cache without the lock files."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.01)


# --- download ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [8, 64])
def test_a_file_is_downloaded_into_the_cache_once(server, register, cache, capsys, prefix) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile()), prefix=prefix))

    path = weights.fetch("demo")
    again = weights.fetch("demo")

    assert path == again == cache / "demo.bin"
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o044, "other users may read the cache, according to the umask"
    assert names_in(cache) == ["demo.bin"]
    assert server.requests == [("demo.bin", None)]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "demo.bin" in printed.err


def test_download_without_progress_is_silent(server, register, capfd) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))

    weights.fetch("demo", progress=False)

    assert capfd.readouterr() == ("", "")


def test_an_interrupted_download_is_resumed(server, register, cache) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile(cut=700_000))))

    message = error_message(lambda: weights.fetch("demo"))
    assert "connection was interrupted" in message
    assert "next attempt resumes" in message
    assert names_in(cache) == ["demo.bin.part"], "no incomplete file has the final name"
    have = (cache / "demo.bin.part").stat().st_size
    assert 0 < have <= 700_000

    assert weights.fetch("demo").read_bytes() == DATA
    assert server.requests[1] == ("demo.bin", f"bytes={have}-")
    assert server.sent[1] == len(DATA) - have
    assert names_in(cache) == ["demo.bin"]


def test_the_second_url_resumes_the_interrupted_download_of_the_first(server, register) -> None:
    first = server.put("first.bin", ServedFile(cut=700_000))
    register(weight_file(DATA, first, server.put("second.bin", ServedFile())))

    assert weights.fetch("demo").read_bytes() == DATA
    assert [name for name, _ in server.requests] == ["first.bin", "second.bin"]
    assert server.sent[1] < len(DATA)


def test_a_server_without_ranges_sends_the_complete_file_again(server, register) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile(cut=700_000, ranges=False))))
    error_message(lambda: weights.fetch("demo"))

    assert weights.fetch("demo").read_bytes() == DATA
    assert server.requests[1][1] is not None
    assert server.sent[1:] == [len(DATA)]


@pytest.mark.parametrize("stale", [b"another file", b"x" * 2 * len(DATA)])
def test_a_part_of_another_file_is_discarded(server, register, cache, stale) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))
    cache.mkdir()
    (cache / "demo.bin.part").write_bytes(stale)

    assert weights.fetch("demo").read_bytes() == DATA
    assert server.requests == [("demo.bin", f"bytes={len(stale)}-"), ("demo.bin", None)]


def test_a_complete_part_is_not_sent_again(server, register, cache) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))
    cache.mkdir()
    (cache / "demo.bin.part").write_bytes(DATA)

    assert weights.fetch("demo").read_bytes() == DATA
    assert server.sent == []


@pytest.mark.parametrize("prefix", [8, 64])
def test_a_file_with_a_wrong_hash_is_refused_and_removed(server, register, cache, prefix) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile(data=DATA[:-1] + b"!")), prefix=prefix))

    message = error_message(lambda: weights.fetch("demo"))

    assert "wrong file" in message
    assert hashlib.sha256(DATA).hexdigest()[:prefix] in message
    assert names_in(cache) == []


def test_an_http_error_is_reported_with_its_status(server, register, cache) -> None:
    url = server.put("demo.bin", ServedFile(status=404))
    register(weight_file(DATA, url))

    assert f"{url}: HTTP 404" in error_message(lambda: weights.fetch("demo"))
    assert names_in(cache) == []


@pytest.mark.parametrize(
    "fault", [ServedFile(status=404), ServedFile(status=503), ServedFile(data=b"<html>login</html>")]
)
def test_the_next_url_is_tried_if_one_fails(server, register, fault) -> None:
    register(weight_file(DATA, server.put("broken.bin", fault), server.put("demo.bin", ServedFile())))

    assert weights.fetch("demo").read_bytes() == DATA
    assert [name for name, _ in server.requests] == ["broken.bin", "demo.bin"]


def test_all_failed_urls_are_reported(server, register, monkeypatch, tmp_path) -> None:
    gone, closed = server.put("gone.bin", ServedFile(status=404)), "http://127.0.0.1:9/demo.bin"
    register(weight_file(DATA, gone, closed))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "typo"))

    message = error_message(lambda: weights.fetch("demo"))

    assert f"{gone}: HTTP 404" in message
    assert f"{closed}: no connection" in message
    assert f"{tmp_path / 'typo'} (does not exist)" in message


def test_a_missing_local_folder_is_reported(server, register, monkeypatch, tmp_path, capsys) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "typo"))

    weights.fetch("demo")

    assert f"{tmp_path / 'typo'}, which is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_cache_that_cannot_be_created_is_reported(server, register, monkeypatch, tmp_path, inside) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file" / inside))

    message = error_message(lambda: weights.fetch("demo"))

    assert f"cannot write to the cache {tmp_path / 'file' / inside}" in message
    assert "IMPASTO_CACHE" in message
    assert server.requests == []


def test_a_read_only_cache_is_reported(server, register, cache) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))
    weights.fetch("demo")  # imports all modules, which the user nobody may not be allowed to read
    shutil.rmtree(cache)
    cache.mkdir(mode=0o555)

    with without_root():
        message = error_message(lambda: weights.fetch("demo"))

    assert f"cannot write to the cache {cache}" in message


def test_a_corrupt_file_in_the_cache_is_downloaded_again(server, register, cache) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile()), prefix=8))
    cache.mkdir()
    (cache / "demo.bin").write_bytes(b"corrupt")
    assert weights.verify("demo").state == "wrong"

    assert weights.fetch("demo").read_bytes() == DATA
    assert weights.verify("demo").state == "ok"


def test_of_several_published_files_the_corrupt_one_is_downloaded_again(server, register, cache) -> None:
    best = weight_file(b"best", server.put("best.bin", ServedFile(data=b"best")), filename="best.bin")
    register(best, weight_file(DATA, server.put("demo.bin", ServedFile())))
    cache.mkdir()
    (cache / "demo.bin").write_bytes(b"corrupt")

    assert weights.fetch("demo") == cache / "demo.bin"
    assert names_in(cache) == ["demo.bin"]


# --- several processes ---------------------------------------------------------------------------------------

FETCH = """
import sys
from impasto import weights
url, digest, size = sys.argv[1:]
file = weights.WeightFile("demo.bin", int(size), (url,), sha256=digest)
weights.MANIFEST["demo"] = weights.Weights("demo", "", (file,), "", "", "")
print(weights.sha256_of(weights.fetch("demo")))
"""


def another_process(url: str) -> subprocess.Popen[str]:
    digest = hashlib.sha256(DATA).hexdigest()
    command = [sys.executable, "-W", "error", "-c", FETCH, url, digest, str(len(DATA))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_processes_one_downloads_and_both_succeed(server, cache) -> None:
    release = threading.Event()
    url = server.put("demo.bin", ServedFile(hold=release))
    with another_process(url) as first:
        wait_for(lambda: len(server.sent) == 1)
        with another_process(url) as second:
            assert second.stderr is not None
            assert "waiting" in second.stderr.readline()
            release.set()
            outputs = [process.communicate(timeout=TIMEOUT) for process in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert {out.strip() for out, _ in outputs} == {hashlib.sha256(DATA).hexdigest()}
    assert len(server.requests) == 1
    assert names_in(cache) == ["demo.bin"]


def test_a_killed_download_is_resumed(server, register, cache) -> None:
    served = ServedFile(hold=threading.Event())
    url = server.put("demo.bin", served)
    part = cache / "demo.bin.part"
    with another_process(url) as process:
        wait_for(lambda: part.is_file() and part.stat().st_size > 0)
        process.kill()
    have = part.stat().st_size
    served.hold = None
    register(weight_file(DATA, url))

    assert weights.fetch("demo").read_bytes() == DATA
    assert server.requests[1] == ("demo.bin", f"bytes={have}-")


def test_the_table_needs_neither_torch_nor_the_network() -> None:
    code = "import json, sys; from impasto import weights; print(json.dumps(weights.table())); "
    code += "assert not {'torch', 'requests'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert [row["name"] for row in json.loads(done.stdout)] == list(MANIFEST)


# --- search order ---------------------------------------------------------------------------------------


def test_local_folders_are_searched_in_order_before_the_cache(server, register, cache, monkeypatch, tmp_path) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))
    folders = [tmp_path / "one", tmp_path / "two", cache]
    monkeypatch.setenv("IMPASTO_WEIGHTS", os.pathsep.join(["", *map(str, folders[:2]), str(tmp_path / "none")]))
    assert weights.find("demo") is None

    for folder in reversed(folders):
        folder.mkdir()
        (folder / "demo.bin").write_bytes(DATA)
        assert weights.find("demo") == folder / "demo.bin"
        assert weights.fetch("demo") == folder / "demo.bin"
    assert server.requests == []


def test_the_best_file_is_preferred_and_the_published_one_downloaded(server, register, cache) -> None:
    best = weight_file(b"best", filename="best.safetensors")
    register(best, weight_file(DATA, server.put("demo.bin", ServedFile()), prefix=8))

    assert weights.fetch("demo") == weights.find("demo") == cache / "demo.bin"
    (cache / "best.safetensors").write_bytes(b"best")
    assert weights.fetch("demo") == weights.find("demo") == cache / "best.safetensors"


def test_an_empty_folder_name_does_not_mean_the_current_folder(register, monkeypatch, tmp_path) -> None:
    register(weight_file(DATA))
    (tmp_path / "demo.bin").write_bytes(DATA)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_WEIGHTS", os.pathsep)

    assert weights.find("demo") is None


@pytest.mark.parametrize("value", ["1", "true", "TRUE"])
def test_offline_never_downloads_and_lists_all_folders(server, register, cache, monkeypatch, tmp_path, value) -> None:
    register(weight_file(b"best", filename="best.safetensors"), weight_file(DATA, server.put("demo.bin", ServedFile())))
    monkeypatch.setenv("IMPASTO_OFFLINE", value)
    monkeypatch.setenv("IMPASTO_WEIGHTS", os.pathsep.join([str(tmp_path), str(tmp_path / "typo")]))

    for action in (weights.fetch, weights.load):
        message = error_message(lambda action=action: action("demo"))
        assert "IMPASTO_OFFLINE" in message
        assert "best.safetensors or demo.bin" in message
        assert f"{tmp_path}, {tmp_path / 'typo'} (does not exist), {cache}" in message
        assert "impasto weights fetch demo" in message
    assert server.requests == []
    assert not cache.exists()


def test_offline_uses_local_files_and_reports_corrupt_ones(server, register, cache, monkeypatch) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    cache.mkdir()
    (cache / "demo.bin").write_bytes(DATA)
    assert weights.fetch("demo") == cache / "demo.bin"

    (cache / "demo.bin").write_bytes(b"corrupt")
    assert f"{cache / 'demo.bin'} is corrupt" in error_message(lambda: weights.fetch("demo"))
    assert server.requests == []


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_offline_can_be_disabled(server, register, monkeypatch, value) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))
    monkeypatch.setenv("IMPASTO_OFFLINE", value)

    assert weights.fetch("demo").read_bytes() == DATA


def test_a_wrong_file_in_a_local_folder_is_reported_and_kept(server, register, monkeypatch, tmp_path) -> None:
    register(weight_file(DATA, server.put("demo.bin", ServedFile())))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    (tmp_path / "demo.bin").write_bytes(b"mine")

    assert f"{tmp_path / 'demo.bin'} is corrupt" in error_message(lambda: weights.fetch("demo"))
    assert (tmp_path / "demo.bin").read_bytes() == b"mine"
    assert server.requests == []


def test_unpublished_weights_are_reported_as_such(register) -> None:
    register(weight_file(DATA))
    assert "not published" in error_message(lambda: weights.fetch("demo"))


@pytest.mark.parametrize("function", [weights.find, weights.fetch, weights.load, weights.verify])
def test_an_unknown_name_is_refused_with_the_known_ones(function) -> None:
    message = error_message(lambda: function("vgg99"))
    assert "'vgg99'" in message
    assert all(name in message for name in MANIFEST)


# --- verify and table -------------------------------------------------------------------------------------


def test_verify_distinguishes_missing_ok_and_wrong(register, monkeypatch, tmp_path) -> None:
    file = weight_file(DATA, prefix=8)
    register(file)
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    path, digest = tmp_path / "demo.bin", hashlib.sha256(DATA).hexdigest()

    assert weights.verify("demo") == weights.Check("demo", "missing", None, None, digest[:8])
    path.write_bytes(DATA)
    assert weights.verify("demo") == weights.Check("demo", "ok", path, digest, digest[:8])
    path.write_bytes(DATA + b"!")
    assert weights.verify("demo").state == "wrong"


def test_the_table_lists_the_local_file_or_else_the_one_to_download(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    row = next(row for row in weights.table() if row["name"] == "vgg19-caffe")
    assert (row["file"], row["path"], row["size_mib"]) == ("vgg19-d01eb7cb.pth", None, 548.1)

    (tmp_path / "vgg19-caffe.safetensors").touch()
    row = next(row for row in weights.table() if row["name"] == "vgg19-caffe")
    assert row["path"] == str(tmp_path / "vgg19-caffe.safetensors")
    assert (row["file"], row["size_mib"], row["license"]) == ("vgg19-caffe.safetensors", 38.2, "CC BY 4.0")


def test_every_entry_is_consistent_with_its_name_and_the_names_of_its_files() -> None:
    for name, entry in MANIFEST.items():
        assert entry.name == name
        assert entry.to_fetch.urls
        assert all((entry.summary, entry.license, entry.reference, entry.input_convention))
        for file in entry.files:
            assert file.size > 0
            assert all(url.startswith("https://") and url.endswith("/" + file.filename) for url in file.urls)
            if file.hash_prefix:
                assert file.filename.endswith(f"-{file.hash_prefix}.pth")


def test_a_file_without_any_hash_is_refused() -> None:
    assert "give sha256" in error_message(lambda: WeightFile("demo.bin", 1))


# --- reading ----------------------------------------------------------------------------------------------


STORED = {
    "features.0.weight": torch.arange(6.0).reshape(2, 3),
    "features.0.steps": torch.tensor(7),
    "classifier.0.weight": torch.ones(4, dtype=torch.float16),
}


def write_stored(path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file(STORED, path)
    else:
        torch.save(STORED, path, _use_new_zipfile_serialization="old" not in path.name)


@pytest.fixture(params=["demo.safetensors", "demo.pth", "demo-old.pth"])
def stored(request: pytest.FixtureRequest, register, monkeypatch, tmp_path) -> Path:
    """Return a local file in each of three formats: safetensors, zip of torch, and torch before 1.6."""
    path = tmp_path / request.param
    write_stored(path)
    register(weight_file(path.read_bytes(), filename=path.name))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    return path


def test_load_returns_float32_and_keeps_integers(stored) -> None:
    tensors = weights.load("demo")

    assert tensors.keys() == STORED.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == (torch.int64 if name.endswith("steps") else torch.float32)
        assert torch.equal(tensor, STORED[name].to(tensor.dtype))


def test_load_returns_only_names_with_the_prefix(stored) -> None:
    assert weights.load("demo", prefix="features.").keys() == {"features.0.weight", "features.0.steps"}
    assert "'encoder.'" in error_message(lambda: weights.load("demo", prefix="encoder."))


def test_loaded_tensors_do_not_change_with_the_file(stored) -> None:
    tensors = weights.load("demo")
    with stored.open("r+b") as file:
        file.write(bytes(stored.stat().st_size))

    assert torch.equal(tensors["features.0.weight"], STORED["features.0.weight"])


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: bytes(99)])
def test_a_corrupt_file_is_reported_in_one_line_with_a_solution(stored, damage) -> None:
    stored.write_bytes(damage(stored.read_bytes()))

    message = error_message(lambda: weights.load("demo"))

    assert str(stored) in message
    assert "impasto weights verify" in message
    assert weights.verify("demo").state == "wrong"


def test_a_file_without_named_tensors_is_refused(register, monkeypatch, tmp_path) -> None:
    torch.save([1, 2, 3], tmp_path / "demo.pth")
    register(weight_file((tmp_path / "demo.pth").read_bytes(), filename="demo.pth"))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))

    assert "cannot read" in error_message(lambda: weights.load("demo"))


class Trap:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_weight_file_is_never_executed(register, monkeypatch, tmp_path, zipped) -> None:
    path, created = tmp_path / "demo.pth", tmp_path / "created"
    torch.save({"features.0.weight": Trap(created)}, path, _use_new_zipfile_serialization=zipped)
    register(weight_file(path.read_bytes(), filename="demo.pth"))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))

    assert "cannot read" in error_message(lambda: weights.load("demo"))
    assert not created.exists()
    pickle.loads(pickle.dumps(Trap(created)))
    assert created.exists(), "the trap works"


# --- real weights ---------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_vgg19_is_complete_and_has_sixteen_convolutions(monkeypatch) -> None:
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    if weights.find("vgg19-caffe") is None:
        pytest.skip("no vgg19-caffe in IMPASTO_WEIGHTS")
    assert weights.verify("vgg19-caffe").state == "ok"

    tensors = weights.load("vgg19-caffe", prefix="features.")

    indices = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    channels = [3, 64, 64, 128, 128, *[256] * 4, *[512] * 8]
    for index, before, after in zip(indices, channels[:-1], channels[1:], strict=True):
        assert tensors.pop(f"features.{index}.weight").shape == (after, before, 3, 3)
        bias = tensors.pop(f"features.{index}.bias")
        assert (bias.shape, bias.dtype) == ((after,), torch.float32)
        assert bias.isfinite().all()
    assert not tensors
