"""A folder on a Ray cluster: the pixels of one process although a worker is killed; Ctrl-C keeps what is finished."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from support import TIMEOUT, noise

import impasto
from impasto import devices, weights
from impasto.backbones import load_backbone
from impasto.backbones.tile_workers import TileWorkers
from impasto.backbones.tiling import LayerStatistic
from impasto.devices import MemoryShare
from impasto.executors import IsStopped, RayCluster
from impasto.executors.base import Start, WorkerPool
from impasto.executors.ray_cluster import ImpastoWorker, _memory_share, _variables
from impasto.features.moments import first_moment
from impasto.methods import configure
from impasto.methods.optimizing import load_network

QUICK = ["--backbone", "tiny", "--size", "32", "--precision", "fp32"]
RAY = ["--runner", "ray", "--workers", "2", "--json"]
NAMES = [f"{i}.png" for i in range(8)]


def workers_of_ray(folder: Path) -> list[int]:
    """Return the workers of the cluster whose current folder is that of the command."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_text(encoding="utf-8")
            if title.startswith("ray::ImpastoWorker") and (process / "cwd").resolve() == folder:
                found.append(int(process.name))
        except (OSError, UnicodeDecodeError):
            continue
    return found


def start(folder: Path, steps: int, output: str) -> subprocess.Popen[str]:
    words = ["stylize", "photos", "style.png", "-o", output, "--steps", str(steps), *QUICK, *RAY]
    return subprocess.Popen(
        [sys.executable, "-m", "impasto", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def pixels(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob("*.png")):
        with PIL.Image.open(path) as picture:
            found[path.name] = picture.tobytes()
    return found


class Elsewhere(RayCluster):
    """A cluster whose workers start where the current folder of the command does not exist."""

    @contextmanager
    def pool(self, start: Start, workers: int) -> Iterator[WorkerPool]:
        folder = Path.cwd()
        with super().pool(start, workers) as pool:
            folder.rename(folder.with_name(f"{folder.name} elsewhere"))
            yield pool


class FindWeights:
    """Yields the path of the weights of a name."""

    def __call__(self, task: str, is_stopped: IsStopped) -> Iterator[Path | None]:
        yield weights.find(task)


def test_workers_of_one_machine_share_its_memory_and_those_of_a_gpu_that_of_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda device: 1000)
    assert _memory_share(4, 0.25, local=True) == MemoryShare(250, 0.25)
    assert _memory_share(4, 0.0, local=True) == MemoryShare(250, 1.0)
    assert _memory_share(4, 2.0, local=False) == MemoryShare(None, 1.0)


@pytest.mark.slow
def test_a_folder_on_ray_survives_a_killed_worker_and_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs the extra `scale`: pip install impasto[scale]")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for seed, name in enumerate(("style.png", *(f"photos/{name}" for name in NAMES))):
        levels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        PIL.Image.fromarray(levels).resize((48, 36), PIL.Image.Resampling.BICUBIC).save(name)
    process = start(tmp_path, 4, "out")
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    os.kill(workers_of_ray(tmp_path)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, err
    objects = [json.loads(line) for line in (*lines, *out.splitlines())]
    assert sorted(Path(each["content"]).name for each in objects) == NAMES
    assert {each["status"] for each in objects} == {"stylized"}
    impasto.stylize_folder("photos", "style.png", "one", backbone="tiny", size=32, precision="fp32", steps=4)
    assert pixels(tmp_path / "out") == pixels(tmp_path / "one")
    assert "Traceback" not in err

    process = start(tmp_path, 200, "stopped")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, err
    assert "of 8 pictures finished; the same command continues" in err.splitlines()[-1]
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "stopped").glob("*.json")]
    assert "cancelled" in {record["stopped"] for record in records}
    assert len(records) == len(pixels(tmp_path / "stopped")) < 8


@pytest.mark.slow
def test_one_picture_divided_on_ray_has_the_pixels_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra `scale`: pip install impasto[scale]")
    words = ["stylize", "woodcut", "mosaic", "--backbone", "tiny", "--size", "90", "--steps", "2", "--tile", "48"]
    words += ["--content-layers", "relu3_1", "--style-layers", "relu1_1", "relu3_1", "--precision", "fp32"]
    for name, flags in (("one.png", []), ("ray.png", RAY)):
        command = [sys.executable, "-m", "impasto", *words, "-o", name, *flags]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=TIMEOUT)
    found = pixels(tmp_path)
    assert found["ray.png"] == found["one.png"]


def test_a_worker_in_another_folder_finds_weights_at_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("weights", "command", "worker"):
        (tmp_path / folder).mkdir()
    file = tmp_path / "weights" / weights.MANIFEST["vgg19-caffe"].to_fetch.filename
    file.touch()
    monkeypatch.chdir(tmp_path / "command")
    monkeypatch.setenv("IMPASTO_WEIGHTS", os.pathsep.join((os.path.join("~", "none"), os.path.join("..", "weights"))))
    worker = ImpastoWorker(pickle.dumps(FindWeights), _variables())
    monkeypatch.chdir(tmp_path / "worker")
    monkeypatch.delenv("IMPASTO_WEIGHTS")
    assert [each.kind for each in worker.begin()] == ["ready"]
    assert [each.content for each in worker.work("vgg19-caffe")] == [[file]]
    assert os.environ["IMPASTO_WEIGHTS"].startswith("~")


@pytest.mark.slow
def test_workers_of_tiles_start_without_the_current_folder_and_those_of_files_require_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="needs the extra `scale`: pip install impasto[scale]")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    backbone, image = load_backbone("tiny"), noise(1, 3, 61, 74)
    mean = [LayerStatistic("relu1_1", first_moment, is_mean=True)]
    load = partial(load_network, configure("gatys", {"precision": "fp32"}), "tiny", "max")
    monkeypatch.chdir(tmp_path / "one")
    with TileWorkers(Elsewhere(), 1) as workers:
        (found,) = backbone.in_tiles(32, workers.compute(load)).statistics(image, mean)
    assert torch.allclose(found, backbone.statistics(image, mean)[0])

    monkeypatch.chdir(tmp_path / "two")
    with pytest.raises(ValueError, match=r"^the machine .* cannot use '.*two': .*; all machines need the same f"):
        list(Elsewhere().run(list, [1], workers=1))
