"""Networks that the studio adapts to a style: the queue, pictures and previews with them, and restarts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from small_clip import moving_square, write_video
from small_studio import Studio, error_of, fetch, random_picture
from support import TIMEOUT

import impasto
from impasto.methods.micro import MicroMethod
from impasto.networks.adapted_styles import adapted_styles, encode_style, styles_metadata
from impasto.networks.micro import Micro
from impasto.networks.weights_io import load_weights, save_weights
from impasto.studio.history import History
from impasto.studio.networks import AdaptedNetworks, AdaptRequest
from impasto.studio.queue import JobQueue
from impasto.studio.service import StudioService
from impasto.training import content_crops
from impasto.training.adapt import Adapted
from impasto.types import Step

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
QUICK = {"steps": 2, "crop": 96, "backbone": "tiny", "device": "cpu", "precision": "fp32"}
SETTINGS = {"size": 64, "device": "cpu", "precision": "fp32"}


@pytest.fixture(autouse=True)
def few_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    for samples in ("CONTENTS", "STYLES"):
        monkeypatch.setattr(content_crops, samples, {})
    monkeypatch.setattr(content_crops, "DRAWN", 1)


@pytest.fixture(autouse=True)
def no_sample_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the bundled networks of sample styles, so that networks can be made for samples."""
    for module in ("networks", "service"):
        monkeypatch.setattr(f"impasto.studio.{module}.sample_networks", dict)


@pytest.fixture
def quick_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the training by steps without a computation, whose network differs from the bundled one."""

    def train(style: Any, file: Path, *, on_step: Any, steps: int = 450, **_: Any) -> Adapted:
        for index in range(1, steps + 1):
            losses = {"content": 0.2, "style": 1 / index}
            if on_step(Step(index, losses, index / 10, total=steps)) is False:
                break
        network = Micro()
        load_weights(network, MicroMethod.bundled)
        for weight in network.to_pixels.parameters():
            torch.nn.init.zeros_(weight)
        image = impasto.images.load_image(style, size=64)
        save_weights(network, file, styles_metadata([encode_style(Path(style).stem, image)]))
        return Adapted(file, ("mosaic",), index, 1.0, losses, "finished" if index == steps else "cancelled")

    monkeypatch.setattr("impasto.studio.networks.adapt", train)


def made(studio: Studio, style: str, **settings: Any) -> str:
    """Make a network and return its key."""
    status, body, _ = fetch(f"{studio.url}networks", {"style": style, "settings": settings or QUICK})
    assert status == 202, body
    key = str(json.loads(body)["key"])
    assert studio.service.queue.wait(key, TIMEOUT).status == "done", studio.service.queue.state(key).error
    return key


def test_a_network_is_made_used_downloaded_and_removed(studio: Studio, tmp_path: Path) -> None:
    key = made(studio, "mosaic")
    state = json.loads(fetch(f"{studio.url}jobs/{key}")[1])
    assert (state["is_network"], state["style"], state["step"], state["total"]) == (True, "mosaic", 2, 2)
    assert {"content", "style", "total"} <= state["losses"].keys()
    assert (state["title"], state["picture"], state["video"]) == ("Fast network for Mosaic", None, None)
    assert json.loads(fetch(f"{studio.url}jobs")[1])["networks"] == [key]  # for pages that did not make it
    (network,) = json.loads(fetch(f"{studio.url}networks")[1])["networks"]
    assert (network["key"], network["style"], network["label"], network["steps"]) == (key, "mosaic", "Mosaic", 2)
    status, data, headers = fetch(f"{studio.url}networks/{key}.safetensors")
    assert (status, 'filename="mosaic.safetensors"' in headers["content-disposition"]) == (200, True)
    file = tmp_path / "mosaic.safetensors"
    file.write_bytes(data)
    assert [style.name for style in adapted_styles(file)] == ["mosaic"]
    body = {"content": "woodcut", "style": "mosaic", "method": "micro", "settings": SETTINGS, "network": key}
    status, png, headers = fetch(f"{studio.url}stylize", body)
    assert status == 200, png
    (tmp_path / "out.png").write_bytes(png)
    expected = impasto.stylize("woodcut", "mosaic", "micro", weights=file, **SETTINGS)
    assert torch.equal(impasto.images.load_image(tmp_path / "out.png"), impasto.images.quantize(expected.image))
    details = json.loads(fetch(f"{studio.url}gallery/{headers['x-impasto-key']}")[1])
    assert (details["choices"]["network"], details["settings"]["weights"]) == (True, "network.safetensors")
    dropped = json.loads(fetch(f"{studio.url}settings", png)[1])
    assert (dropped["network"], dropped["missing"]) == (True, [])
    assert fetch(f"{studio.url}networks/{key}", method="DELETE")[0] == 200
    assert json.loads(fetch(f"{studio.url}networks")[1]) == {"networks": []}
    dropped = json.loads(fetch(f"{studio.url}settings", png)[1])
    assert (dropped["network"], dropped["missing"]) == (False, ["the fast network of this picture"])
    assert "may have been removed" in error_of(fetch(f"{studio.url}stylize", body))
    assert not (studio.service.networks.folder / key).exists()


def test_the_instant_preview_uses_the_network_of_a_style_of_ones_own(studio: Studio, quick_training: None) -> None:
    style = str(
        json.loads(fetch(f"{studio.url}uploads?name=My%20sea.png&kind=style", random_picture(seed=5))[1])["name"]
    )
    key = made(studio, style, steps=1)
    assert "my-sea.safetensors" in fetch(f"{studio.url}networks/{key}.safetensors")[2]["content-disposition"]
    address = f"{studio.url}instant?content=woodcut&style={style}&size=192"
    plain, adapted = fetch(address), fetch(f"{address}&network={key}")
    assert (plain[0], adapted[0]) == (200, 200)
    assert plain[1] != adapted[1]
    message = "network: it is one of micro for My sea; choose this method and style alone"
    assert error_of(fetch(f"{studio.url}instant?content=woodcut&style=mosaic&size=192&network={key}")) == message
    for change in ({"style": ["mosaic"]}, {"style": [style, "mosaic"]}, {"method": "adain"}):
        body = {"content": "woodcut", "style": [style], "method": "micro", "settings": SETTINGS, "network": key}
        assert error_of(fetch(f"{studio.url}stylize", body | change)) == message
    fetch(f"{studio.url}networks/{key}", method="DELETE")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style": ""}, "style: choose a style image"),
        ({"style": ["mosaic"]}, "style: give text"),
        ({"style": "/etc/passwd"}, "upload the image again"),
        ({"settings": {"steps": 0}}, "steps"),
        ({"settings": {"crop": 100}}, "crop: give a multiple of 8, not 100"),
        ({"settings": {"wings": 2}}, "wings"),
        ({"settings": {"backbone": "nothing"}}, "nothing"),
        ({"settings": {"initial_weights": "/etc/passwd"}}, "initial_weights: the studio starts from the bundled"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(studio: Studio, change: dict[str, Any], message: str) -> None:
    before = len(studio.service.queue.states())
    assert message in error_of(fetch(f"{studio.url}networks", {"style": "mosaic", "settings": QUICK} | change))
    assert len(studio.service.queue.states()) == before


def test_a_bundled_network_is_listed_used_and_kept(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    entries = {each["key"]: each for each in json.loads(fetch(f"{studio.url}networks")[1])["networks"]}
    assert entries["mosaic"] == {"key": "mosaic", "style": "mosaic", "label": "Mosaic", "is_bundled": True}
    body = {"content": "woodcut", "style": "mosaic", "method": "micro", "settings": SETTINGS}
    used = {}
    for network in ("mosaic", ""):
        status, png, headers = fetch(f"{studio.url}stylize", body | {"network": network})
        assert status == 200, png
        choices = json.loads(fetch(f"{studio.url}gallery/{headers['x-impasto-key']}")[1])
        used[network] = choices["settings"]["weights"], choices["choices"]["network"]
        assert json.loads(fetch(f"{studio.url}settings", png)[1])["missing"] == []
    assert used == {"mosaic": ("mosaic", True), "": ("micro", False)}
    assert fetch(f"{studio.url}instant?content=woodcut&style=mosaic&size=192&network=mosaic")[0] == 200
    assert "not the key of a network" in error_of(fetch(f"{studio.url}networks/mosaic", method="DELETE"))
    assert "not the key of a network" in error_of(fetch(f"{studio.url}networks/mosaic.safetensors"))
    assert error_of(fetch(f"{studio.url}networks", {"style": "mosaic"})) == "Mosaic has a bundled fast network"


def test_unknown_networks_are_one_line(studio: Studio) -> None:
    for address in ("networks/no.safetensors", f"networks/{'20260101-000000-' + '0' * 16}.safetensors"):
        assert "may have been removed" in error_of(fetch(studio.url + address))
    assert "may have been removed" in error_of(fetch(f"{studio.url}networks/no", method="DELETE"))


class Held:
    """A training that waits in its first step until its listener ends it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, train: Any) -> None:
        import threading

        self.runs = threading.Event()
        monkeypatch.setattr("impasto.studio.networks.adapt", self.adapt)
        self._train = train

    def adapt(self, style: Any, file: Path, *, on_step: Any, **settings: Any) -> Adapted:
        def on_first(step: Step) -> bool:
            goes_on = on_step(step)
            self.runs.set()
            while goes_on:
                goes_on = on_step(step)
            return False

        file.write_bytes(b"part")
        adapted: Adapted = self._train(style, file, on_step=on_first, **settings)
        return adapted


@pytest.fixture
def held(quick_training: None, monkeypatch: pytest.MonkeyPatch) -> Held:
    from impasto.studio import networks

    return Held(monkeypatch, networks.adapt)


def test_a_training_is_stopped_with_its_network_or_discarded_and_survives_a_restart(tmp_path: Path, held: Held) -> None:
    service = StudioService.open(tmp_path / "studio")
    folder = service.networks.folder
    discarded = service.queue.submit_network(service.adapt_request_from({"style": "mosaic"}))
    assert held.runs.wait(TIMEOUT)
    with pytest.raises(ValueError, match="is being made already"):
        service.queue.submit_network(AdaptRequest(style="mosaic"))
    service.remove_network(discarded)
    assert service.queue.wait(discarded, TIMEOUT).status == "cancelled"
    assert list(folder.iterdir()) == []
    held.runs.clear()
    kept = service.queue.submit_network(AdaptRequest(style="mosaic"))
    assert held.runs.wait(TIMEOUT)
    service.queue.stop(kept)
    assert service.queue.wait(kept, TIMEOUT).status == "stopped"
    service.queue.close()
    (folder / "20260101-000000-0123456789abcdef").mkdir()  # of a studio that was killed
    (folder / "notes").mkdir()
    service = StudioService.open(tmp_path / "studio")
    assert sorted(path.name for path in folder.iterdir()) == sorted([kept, "notes"])
    (entry,) = service.networks.entries()
    assert (entry["key"], entry["stopped"]) == (kept, "cancelled")
    with pytest.raises(ValueError, match="Mosaic has a fast network already; remove it first"):
        service.queue.submit_network(AdaptRequest(style="mosaic"))
    service.queue.close()


def test_a_training_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_style: Any, file: Path, **_: Any) -> Adapted:
        file.write_bytes(b"part")
        raise ValueError("step 7: the loss is not finite; try a lower lr")

    monkeypatch.setattr("impasto.studio.networks.adapt", fail)
    queue = JobQueue(History(tmp_path / "history"))
    key = queue.submit_network(AdaptRequest(style="mosaic"))
    assert queue.wait(key, TIMEOUT).error == "step 7: the loss is not finite; try a lower lr"
    assert list((tmp_path / "networks").iterdir()) == []
    queue.close()


def test_a_network_that_a_waiting_job_needs_is_kept(
    tmp_path: Path, quick_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = StudioService.open(tmp_path / "studio")
    key = service.queue.submit_network(AdaptRequest(style="mosaic", settings={"steps": 1}))
    assert service.queue.wait(key, TIMEOUT).status == "done"
    service.queue.close()
    waiting = JobQueue(service.history, service.videos, service.networks, workers=0)
    service = StudioService(**{**vars(service), "queue": waiting})
    picture = waiting.submit(service.make_request("woodcut", ["mosaic"], "micro", SETTINGS, network=key))
    with pytest.raises(ValueError, match="not finished uses this network; stop or delete it first"):
        service.remove_network(key)
    network = waiting.submit_network(AdaptRequest(style="inkwash"))
    picture_request = service.make_request("woodcut", ["mosaic"], "gatys", {})
    with pytest.raises(ValueError, match="is a network; only a picture can be the start"):
        waiting.submit(picture_request, parent=network)
    waiting.stop(picture)
    service.remove_network(key)
    assert service.networks.entries() == []


def test_a_clip_is_painted_with_the_network_of_its_style(studio: Studio, quick_training: None, tmp_path: Path) -> None:
    key = made(studio, "mosaic", steps=1)
    film = write_video(tmp_path / "beach.mp4", moving_square())
    clip = json.loads(fetch(f"{studio.url}clips?name=beach.mp4", film.read_bytes())[1])["name"]
    body = {"clip": clip, "style": ["mosaic"], "settings": {"size": 64}, "network": key}
    message = "network: it is one of micro for Mosaic; choose this method and style alone"
    assert error_of(fetch(f"{studio.url}videos", {**body, "style": ["inkwash"]})) == message
    status, answer, _ = fetch(f"{studio.url}videos", body)
    assert status == 202, answer
    video = json.loads(answer)["key"]
    assert studio.service.queue.wait(video, TIMEOUT).error is None
    record = json.loads(fetch(f"{studio.url}videos/{video}.json")[1])
    assert "network.safetensors" in json.dumps(record)
    assert str(studio.service.folder) not in json.dumps(record)
    request = studio.service.videos.request(video)
    assert request.settings["weights"] in request.inputs
    for address in (f"videos/{video}", f"clips/{clip}", f"networks/{key}"):
        assert fetch(studio.url + address, method="DELETE")[0] == 200


def test_a_comparison_gives_the_network_to_the_method_that_has_networks(studio: Studio, quick_training: None) -> None:
    key = made(studio, "mosaic", steps=1)
    body = {"content": "woodcut", "style": ["mosaic"], "methods": ["micro", "adain"], "settings": {"size": 64}}
    status, answer, _ = fetch(f"{studio.url}compare", {**body, "network": key, "method": "micro"})
    assert status == 202, answer
    keys = [job["key"] for job in json.loads(answer)["jobs"]]
    for job in keys:
        assert studio.service.queue.wait(job, TIMEOUT).error is None
    records = [json.loads(fetch(f"{studio.url}gallery/{job}")[1])["settings"] for job in keys]
    assert ["weights" in record for record in records] == [True, False]
    fetch(f"{studio.url}networks/{key}", method="DELETE")
    message = "the fast network of this picture was removed; make the style fast again"
    assert error_of(fetch(f"{studio.url}gallery/{keys[0]}/replay", {})) == message


def test_requests_that_a_network_cannot_fulfil_are_refused(studio: Studio, quick_training: None) -> None:
    key = made(studio, "mosaic", steps=1)
    body = {"content": "woodcut", "style": ["mosaic"], "method": "micro", "settings": {"color": "moments"}}
    assert "color: a fast network cannot use moments" in error_of(
        fetch(f"{studio.url}stylize", body | {"network": key})
    )
    thin = fetch(f"{studio.url}uploads?name=thin.png&kind=style", random_picture(size=(2000, 20)))[1]
    message = error_of(fetch(f"{studio.url}networks", {"style": json.loads(thin)["name"]}))
    assert message == "style: 'thin' is 2000x20 pixels; crop it to at most 32 times its short side"
    fetch(f"{studio.url}networks/{key}", method="DELETE")


def test_a_training_that_does_not_fit_into_the_memory_is_refused_with_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.studio.limits.total_memory", lambda: 2**32)
    networks = AdaptedNetworks(tmp_path)
    settings = {"batch": 16, "crop": 512}
    with pytest.raises(ValueError, match="16 crops of 512 pixels need more memory than this machine has") as error:
        networks.check(AdaptRequest(style="mosaic", settings=settings))
    changes = re.findall(r"(batch|crop) (\d+)", str(error.value).rpartition(";")[2])
    assert [name for name, _ in changes] == ["batch", "crop"]
    for name, value in changes:
        networks.check(AdaptRequest(style="mosaic", settings={**settings, name: int(value)}))


def test_a_removed_style_takes_its_network_with_it(tmp_path: Path, quick_training: None) -> None:
    service = StudioService.open(tmp_path / "studio")
    style = service.uploads.add(random_picture(seed=6), "sea.png", kinds=["style"])
    request = service.adapt_request_from({"style": style, "settings": {"steps": 1}})
    key = service.queue.submit_network(request)
    assert service.queue.wait(key, TIMEOUT).status == "done"
    service.remove_upload(style)
    assert list(service.networks.folder.iterdir()) == []
    service.queue.close()


def test_a_closed_studio_keeps_no_unfinished_network(tmp_path: Path, held: Held) -> None:
    service = StudioService.open(tmp_path / "studio")
    key = service.queue.submit_network(AdaptRequest(style="mosaic"))
    assert held.runs.wait(TIMEOUT)
    service.queue.close()
    assert service.queue.wait(key, TIMEOUT).status == "cancelled"
    assert service.networks.entries() == []


@pytest.mark.parametrize("action", ["stop", "discard"])
def test_a_training_without_a_step_and_a_discarded_one_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    service = StudioService.open(tmp_path / "studio")
    keys: list[str] = []

    def train(_style: Any, file: Path, *, on_step: Any, **_: Any) -> Adapted:
        """Stop before the first step, or discard after the last one."""
        if action == "stop":
            service.queue.stop(keys[0])
        stopped = on_step(Step(1, {"style": 1.0}, 0.1, total=2)) is False
        file.write_bytes(b"network")
        if action == "discard":
            service.remove_network(keys[0])
        return Adapted(file, ("mosaic",), 1, 1.0, {"style": 1.0}, "cancelled" if stopped else "finished")

    monkeypatch.setattr("impasto.studio.networks.adapt", train)
    with service.queue._condition:  # the worker reports its first step after the key is known
        keys.append(service.queue.submit_network(AdaptRequest(style="mosaic")))
    assert service.queue.wait(keys[0], TIMEOUT).status == "cancelled"
    assert service.networks.entries() == []
    with pytest.raises(ValueError, match="may have been removed"):
        service.remove_network(keys[0])
    service.queue.close()


def test_a_folder_that_cannot_be_written_and_a_damaged_entry_are_reported(tmp_path: Path, quick_training: None) -> None:
    (tmp_path / "networks").write_text("a file", encoding="utf-8")
    queue = JobQueue(History(tmp_path / "history"))
    key = queue.submit_network(AdaptRequest(style="mosaic"))
    error = queue.wait(key, TIMEOUT).error or ""
    assert "the network cannot be stored" in error
    assert str(tmp_path) not in error
    queue.close()
    networks = AdaptedNetworks(tmp_path / "others")
    folder = networks.folder / "20260101-000000-0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "network.safetensors").write_bytes(b"")
    for text in ("{}", "[]", "nothing"):
        (folder / "entry.json").write_text(text, encoding="utf-8")
        assert networks.entries() == []
