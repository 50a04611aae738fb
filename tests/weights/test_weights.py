"""Weights: where they are looked for, how they come, and what happens when they are damaged."""

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
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from impasto import weights
from impasto.weights import MANIFEST, WeightFile, Weights

DATA = bytes(range(256)) * 4096  # 1 MiB
"""What the server sends, unless a test says otherwise."""


@dataclass
class Parcel:
    """What a loopback server sends at one address, and the fault it has."""

    data: bytes = DATA
    status: int = 200
    cut: int | None = None
    """Hang up after this many bytes, at the first request only."""
    ranges: bool = True
    """Whether it honors Range."""
    hold: threading.Event | None = None
    """Send the first half, then wait for this."""


@dataclass
class Shelf:
    """A real HTTP server on loopback: its parcels by file name, and what it was asked and sent."""

    address: str = ""
    parcels: dict[str, Parcel] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """File name and Range header of each request."""
    sent: list[int] = field(default_factory=list)
    """Bytes of each answer's body."""

    def put(self, name: str, parcel: Parcel) -> str:
        self.parcels[name] = parcel
        return f"{self.address}/{name}"


def _handler(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name, wanted = self.path.lstrip("/"), self.headers.get("Range")
            shelf.requests.append((name, wanted))
            parcel = shelf.parcels[name]
            if parcel.status != 200:
                self.send_error(parcel.status)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and parcel.ranges else 0
            if start and start >= len(parcel.data):
                self.send_error(416)
                return
            body = parcel.data[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(parcel.data) - 1}/{len(parcel.data)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self._send(parcel, body)

        def _send(self, parcel: Parcel, body: bytes) -> None:
            cut, parcel.cut = parcel.cut, None
            if cut is not None:
                body, self.close_connection = body[:cut], True
            half = len(body) // 2 if parcel.hold else 0
            shelf.sent.append(len(body))
            try:
                self.wfile.write(body[:half])
                if parcel.hold:
                    self.wfile.flush()
                    parcel.hold.wait(30)
                self.wfile.write(body[half:])
            except OSError:
                self.close_connection = True  # the client was killed

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(shelf)) as server:
        shelf.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield shelf
        for parcel in shelf.parcels.values():
            if parcel.hold:
                parcel.hold.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and no settings from outside (except for tests of the real weights)."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("IMPASTO_OFFLINE", raising=False)
    if "shared" not in request.keywords:
        monkeypatch.delenv("IMPASTO_WEIGHTS", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put an entry called `demo` into the manifest."""

    def put(*files: WeightFile) -> None:
        entry = Weights("demo", "a test", files, "CC0", "nobody", "anything")
        monkeypatch.setitem(MANIFEST, "demo", entry)

    return put


def described(data: bytes, *urls: str, filename: str = "demo.bin", prefix: int = 64) -> WeightFile:
    digest = hashlib.sha256(data).hexdigest()
    if prefix < 64:
        return WeightFile(filename, len(data), urls, hash_prefix=digest[:prefix])
    return WeightFile(filename, len(data), urls, sha256=digest)


def complaint(action: Callable[[], object]) -> str:
    """The message of the ValueError that `action` ends in; it must be one line."""
    with pytest.raises(ValueError, match=r".") as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names_in(folder: Path) -> list[str]:
    """Files in the cache, but for the lock that stays."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


# --- download ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [8, 64])
def test_download_puts_the_whole_file_into_the_cache_once(shelf, enter, cache, capsys, prefix) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel()), prefix=prefix))

    path = weights.fetch("demo")
    again = weights.fetch("demo")

    assert path == again == cache / "demo.bin"
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o044, "others may read the cache, as the umask says"
    assert names_in(cache) == ["demo.bin"]
    assert shelf.requests == [("demo.bin", None)]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "demo.bin" in printed.err


def test_download_without_progress_is_silent(shelf, enter, capfd) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))

    weights.fetch("demo", progress=False)

    assert capfd.readouterr() == ("", "")


def test_interrupted_download_goes_on_where_it_stopped(shelf, enter, cache) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel(cut=700_000))))

    message = complaint(lambda: weights.fetch("demo"))
    assert "connection was interrupted" in message
    assert "next attempt resumes" in message
    assert names_in(cache) == ["demo.bin.part"], "no half file under the final name"
    have = (cache / "demo.bin.part").stat().st_size
    assert 0 < have <= 700_000

    assert weights.fetch("demo").read_bytes() == DATA
    assert shelf.requests[1] == ("demo.bin", f"bytes={have}-")
    assert shelf.sent[1] == len(DATA) - have
    assert names_in(cache) == ["demo.bin"]


def test_a_second_address_goes_on_where_the_first_was_cut(shelf, enter) -> None:
    first = shelf.put("first.bin", Parcel(cut=700_000))
    enter(described(DATA, first, shelf.put("second.bin", Parcel())))

    assert weights.fetch("demo").read_bytes() == DATA
    assert [name for name, _ in shelf.requests] == ["first.bin", "second.bin"]
    assert shelf.sent[1] < len(DATA)


def test_a_server_that_ignores_range_sends_the_file_from_its_beginning(shelf, enter) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel(cut=700_000, ranges=False))))
    complaint(lambda: weights.fetch("demo"))

    assert weights.fetch("demo").read_bytes() == DATA
    assert shelf.requests[1][1] is not None
    assert shelf.sent[1:] == [len(DATA)]


@pytest.mark.parametrize("stale", [b"another file", b"x" * 2 * len(DATA)])
def test_the_beginning_of_another_file_is_thrown_away(shelf, enter, cache, stale) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))
    cache.mkdir()
    (cache / "demo.bin.part").write_bytes(stale)

    assert weights.fetch("demo").read_bytes() == DATA
    assert shelf.requests == [("demo.bin", f"bytes={len(stale)}-"), ("demo.bin", None)]


def test_a_part_that_lacks_nothing_is_not_sent_again(shelf, enter, cache) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))
    cache.mkdir()
    (cache / "demo.bin.part").write_bytes(DATA)

    assert weights.fetch("demo").read_bytes() == DATA
    assert shelf.sent == []


@pytest.mark.parametrize("prefix", [8, 64])
def test_a_wrong_file_is_refused_and_nothing_of_it_stays(shelf, enter, cache, prefix) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel(data=DATA[:-1] + b"!")), prefix=prefix))

    message = complaint(lambda: weights.fetch("demo"))

    assert "wrong file" in message
    assert hashlib.sha256(DATA).hexdigest()[:prefix] in message
    assert names_in(cache) == []


def test_a_missing_page_is_named_with_its_status(shelf, enter, cache) -> None:
    url = shelf.put("demo.bin", Parcel(status=404))
    enter(described(DATA, url))

    assert f"{url}: HTTP 404" in complaint(lambda: weights.fetch("demo"))
    assert names_in(cache) == []


@pytest.mark.parametrize("fault", [Parcel(status=404), Parcel(status=503), Parcel(data=b"<html>login</html>")])
def test_the_next_address_is_tried_when_one_fails(shelf, enter, fault) -> None:
    enter(described(DATA, shelf.put("broken.bin", fault), shelf.put("demo.bin", Parcel())))

    assert weights.fetch("demo").read_bytes() == DATA
    assert [name for name, _ in shelf.requests] == ["broken.bin", "demo.bin"]


def test_all_addresses_that_failed_are_named(shelf, enter, monkeypatch, tmp_path) -> None:
    gone, closed = shelf.put("gone.bin", Parcel(status=404)), "http://127.0.0.1:9/demo.bin"
    enter(described(DATA, gone, closed))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "typo"))

    message = complaint(lambda: weights.fetch("demo"))

    assert f"{gone}: HTTP 404" in message
    assert f"{closed}: no connection" in message
    assert f"{tmp_path / 'typo'} (does not exist)" in message


def test_a_missing_local_folder_is_told_before_downloading(shelf, enter, monkeypatch, tmp_path, capsys) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "typo"))

    weights.fetch("demo")

    assert f"{tmp_path / 'typo'}, which is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_cache_that_cannot_be_written_is_named(shelf, enter, monkeypatch, tmp_path, inside) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file" / inside))

    message = complaint(lambda: weights.fetch("demo"))

    assert f"cannot write to the cache {tmp_path / 'file' / inside}" in message
    assert "IMPASTO_CACHE" in message
    assert shelf.requests == []


@contextmanager
def without_root() -> Iterator[None]:
    """Root may write anywhere: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_cache_is_named(shelf, enter, cache) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))
    weights.fetch("demo")  # imports all that it needs, which nobody may not be allowed to read
    shutil.rmtree(cache)
    cache.mkdir(mode=0o555)

    with without_root():
        message = complaint(lambda: weights.fetch("demo"))

    assert f"cannot write to the cache {cache}" in message


def test_a_damaged_cached_file_is_fetched_again(shelf, enter, cache) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel()), prefix=8))
    cache.mkdir()
    (cache / "demo.bin").write_bytes(b"damaged")
    assert weights.verify("demo").state == "wrong"

    assert weights.fetch("demo").read_bytes() == DATA
    assert weights.verify("demo").state == "ok"


def test_of_several_published_files_the_damaged_one_is_fetched_again(shelf, enter, cache) -> None:
    best = described(b"best", shelf.put("best.bin", Parcel(data=b"best")), filename="best.bin")
    enter(best, described(DATA, shelf.put("demo.bin", Parcel())))
    cache.mkdir()
    (cache / "demo.bin").write_bytes(b"damaged")

    assert weights.fetch("demo") == cache / "demo.bin"
    assert names_in(cache) == ["demo.bin"]


# --- real processes ---------------------------------------------------------------------------------------

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


def test_of_two_processes_one_downloads_and_both_end_well(shelf, cache) -> None:
    release = threading.Event()
    url = shelf.put("demo.bin", Parcel(hold=release))
    with another_process(url) as first:
        wait_for(lambda: len(shelf.sent) == 1)
        with another_process(url) as second:
            assert second.stderr is not None
            assert "waiting" in second.stderr.readline()
            release.set()
            outputs = [process.communicate(timeout=30) for process in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert {out.strip() for out, _ in outputs} == {hashlib.sha256(DATA).hexdigest()}
    assert len(shelf.requests) == 1
    assert names_in(cache) == ["demo.bin"]


def test_a_killed_download_is_resumed(shelf, enter, cache) -> None:
    parcel = Parcel(hold=threading.Event())
    url = shelf.put("demo.bin", parcel)
    part = cache / "demo.bin.part"
    with another_process(url) as process:
        wait_for(lambda: part.is_file() and part.stat().st_size > 0)
        process.kill()
    have = part.stat().st_size
    parcel.hold = None
    enter(described(DATA, url))

    assert weights.fetch("demo").read_bytes() == DATA
    assert shelf.requests[1] == ("demo.bin", f"bytes={have}-")


def test_listing_weights_needs_neither_torch_nor_the_net() -> None:
    code = "import json, sys; from impasto import weights; print(json.dumps(weights.table())); "
    code += "assert not {'torch', 'requests'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert [row["name"] for row in json.loads(done.stdout)] == list(MANIFEST)


# --- looking for it ---------------------------------------------------------------------------------------


def test_own_folders_come_first_in_their_order_then_the_cache(shelf, enter, cache, monkeypatch, tmp_path) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))
    folders = [tmp_path / "one", tmp_path / "two", cache]
    monkeypatch.setenv("IMPASTO_WEIGHTS", os.pathsep.join(["", *map(str, folders[:2]), str(tmp_path / "none")]))
    assert weights.find("demo") is None

    for folder in reversed(folders):
        folder.mkdir()
        (folder / "demo.bin").write_bytes(DATA)
        assert weights.find("demo") == folder / "demo.bin"
        assert weights.fetch("demo") == folder / "demo.bin"
    assert shelf.requests == []


def test_an_alternative_file_is_found_after_the_best_and_is_the_one_downloaded(shelf, enter, cache) -> None:
    best = described(b"best", filename="best.safetensors")
    enter(best, described(DATA, shelf.put("demo.bin", Parcel()), prefix=8))

    assert weights.fetch("demo") == weights.find("demo") == cache / "demo.bin"
    (cache / "best.safetensors").write_bytes(b"best")
    assert weights.fetch("demo") == weights.find("demo") == cache / "best.safetensors"


def test_an_empty_setting_does_not_mean_the_working_folder(enter, monkeypatch, tmp_path) -> None:
    enter(described(DATA))
    (tmp_path / "demo.bin").write_bytes(DATA)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_WEIGHTS", os.pathsep)

    assert weights.find("demo") is None


@pytest.mark.parametrize("value", ["1", "true", "TRUE"])
def test_offline_never_downloads_and_says_where_it_looked(shelf, enter, cache, monkeypatch, tmp_path, value) -> None:
    enter(described(b"best", filename="best.safetensors"), described(DATA, shelf.put("demo.bin", Parcel())))
    monkeypatch.setenv("IMPASTO_OFFLINE", value)
    monkeypatch.setenv("IMPASTO_WEIGHTS", os.pathsep.join([str(tmp_path), str(tmp_path / "typo")]))

    for action in (weights.fetch, weights.load):
        message = complaint(lambda action=action: action("demo"))
        assert "IMPASTO_OFFLINE" in message
        assert "best.safetensors or demo.bin" in message
        assert f"{tmp_path}, {tmp_path / 'typo'} (does not exist), {cache}" in message
        assert "impasto weights fetch demo" in message
    assert shelf.requests == []
    assert not cache.exists()


def test_offline_uses_what_is_at_hand_and_names_what_is_damaged(shelf, enter, cache, monkeypatch) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    cache.mkdir()
    (cache / "demo.bin").write_bytes(DATA)
    assert weights.fetch("demo") == cache / "demo.bin"

    (cache / "demo.bin").write_bytes(b"damaged")
    assert f"{cache / 'demo.bin'} is corrupt" in complaint(lambda: weights.fetch("demo"))
    assert shelf.requests == []


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_offline_can_be_switched_off(shelf, enter, monkeypatch, value) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))
    monkeypatch.setenv("IMPASTO_OFFLINE", value)

    assert weights.fetch("demo").read_bytes() == DATA


def test_a_wrong_file_in_ones_own_folder_is_named_and_left_alone(shelf, enter, monkeypatch, tmp_path) -> None:
    enter(described(DATA, shelf.put("demo.bin", Parcel())))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    (tmp_path / "demo.bin").write_bytes(b"mine")

    assert f"{tmp_path / 'demo.bin'} is corrupt" in complaint(lambda: weights.fetch("demo"))
    assert (tmp_path / "demo.bin").read_bytes() == b"mine"
    assert shelf.requests == []


def test_weights_that_are_not_published_say_so(enter) -> None:
    enter(described(DATA))
    assert "not published" in complaint(lambda: weights.fetch("demo"))


@pytest.mark.parametrize("ask", [weights.find, weights.fetch, weights.load, weights.verify])
def test_an_unknown_name_is_answered_with_the_known_ones(ask) -> None:
    message = complaint(lambda: ask("vgg99"))
    assert "'vgg99'" in message
    assert all(name in message for name in MANIFEST)


# --- verify and table -------------------------------------------------------------------------------------


def test_verify_tells_missing_ok_and_wrong(enter, monkeypatch, tmp_path) -> None:
    file = described(DATA, prefix=8)
    enter(file)
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    path, digest = tmp_path / "demo.bin", hashlib.sha256(DATA).hexdigest()

    assert weights.verify("demo") == weights.Check("demo", "missing", None, None, digest[:8])
    path.write_bytes(DATA)
    assert weights.verify("demo") == weights.Check("demo", "ok", path, digest, digest[:8])
    path.write_bytes(DATA + b"!")
    assert weights.verify("demo").state == "wrong"


def test_table_tells_the_file_at_hand_and_else_the_one_a_download_brings(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    row = next(row for row in weights.table() if row["name"] == "vgg19-caffe")
    assert (row["file"], row["path"], row["size_mib"]) == ("vgg19-d01eb7cb.pth", None, 548.1)

    (tmp_path / "vgg19-caffe.safetensors").touch()
    row = next(row for row in weights.table() if row["name"] == "vgg19-caffe")
    assert row["path"] == str(tmp_path / "vgg19-caffe.safetensors")
    assert (row["file"], row["size_mib"], row["license"]) == ("vgg19-caffe.safetensors", 38.2, "CC BY 4.0")


def test_every_entry_is_filed_under_its_name_and_its_hash_fits_its_file_name() -> None:
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
    assert "give sha256" in complaint(lambda: WeightFile("demo.bin", 1))


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
def stored(request: pytest.FixtureRequest, enter, monkeypatch, tmp_path) -> Path:
    """A local file in each of the three formats: safetensors, a zip of torch, and torch's before 1.6."""
    path = tmp_path / request.param
    write_stored(path)
    enter(described(path.read_bytes(), filename=path.name))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    return path


def test_load_gives_float32_and_leaves_counters_alone(stored) -> None:
    tensors = weights.load("demo")

    assert tensors.keys() == STORED.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == (torch.int64 if name.endswith("steps") else torch.float32)
        assert torch.equal(tensor, STORED[name].to(tensor.dtype))


def test_load_reads_only_names_with_the_prefix(stored) -> None:
    assert weights.load("demo", prefix="features.").keys() == {"features.0.weight", "features.0.steps"}
    assert "'encoder.'" in complaint(lambda: weights.load("demo", prefix="encoder."))


def test_loaded_tensors_outlive_a_change_of_the_file(stored) -> None:
    tensors = weights.load("demo")
    with stored.open("r+b") as file:
        file.write(bytes(stored.stat().st_size))

    assert torch.equal(tensors["features.0.weight"], STORED["features.0.weight"])


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: bytes(99)])
def test_a_damaged_file_is_one_line_that_tells_what_to_do(stored, damage) -> None:
    stored.write_bytes(damage(stored.read_bytes()))

    message = complaint(lambda: weights.load("demo"))

    assert str(stored) in message
    assert "impasto weights verify" in message
    assert weights.verify("demo").state == "wrong"


def test_a_file_that_holds_no_named_tensors_is_refused(enter, monkeypatch, tmp_path) -> None:
    torch.save([1, 2, 3], tmp_path / "demo.pth")
    enter(described((tmp_path / "demo.pth").read_bytes(), filename="demo.pth"))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))

    assert "cannot read" in complaint(lambda: weights.load("demo"))


class Trap:
    """Makes a folder when it is unpickled by something careless."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_weights_file_is_never_run(enter, monkeypatch, tmp_path, zipped) -> None:
    path, sprung = tmp_path / "demo.pth", tmp_path / "sprung"
    torch.save({"features.0.weight": Trap(sprung)}, path, _use_new_zipfile_serialization=zipped)
    enter(described(path.read_bytes(), filename="demo.pth"))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))

    assert "cannot read" in complaint(lambda: weights.load("demo"))
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists(), "the trap works"


# --- the real thing ---------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_vgg19_is_whole_and_has_sixteen_convolutions(monkeypatch) -> None:
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
