"""Tests of the prediction of time and memory, and of the refusal of runs that do not fit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
from support import TIMEOUT, noise, write_pictures

import impasto
from impasto import devices
from impasto.allocator import return_freed_memory
from impasto.backbones.base import ChainBackbone
from impasto.backbones.chain import Convolution
from impasto.cli import main
from impasto.cli.dry_run import _gain_memory
from impasto.devices import MemoryShare, torch_defaults
from impasto.executors import Executor, LocalProcesses, RayCluster, Runners, processes, ray_cluster
from impasto.images import read_size, save_image
from impasto.methods import METHODS, configure
from impasto.methods.matching import Matching
from impasto.pipeline import memory
from impasto.pipeline.plan import Plan, StagePlan
from impasto.pipeline.stylizer import Stylizer
from impasto.pipeline.trial import GAPS, PEAK_STEPS, StageCost, count_trial
from impasto.regions.subject import single_region
from impasto.studio.history import History
from impasto.studio.queue import JobQueue
from impasto.studio.requests import StylizeRequest

TINY: dict[str, Any] = {"backbone": "tiny", "size": 48, "steps": 3}
WORDS = ["--backbone", "tiny", "--size", "48", "--steps", "3"]


def settings_of(method: str, **settings: Any) -> dict[str, Any]:
    """Return the settings that a method has."""
    return {name: value for name, value in settings.items() if name in METHODS[method].Config.__dataclass_fields__}


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 160 MiB be free, and count the memory of small runs too."""
    monkeypatch.setattr(memory, "free_memory", lambda device: 160 * memory.MIB)
    monkeypatch.setattr(memory, "LARGEST_COST", 2**30)


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_has_a_plan_with_the_stages_of_its_run(method: str) -> None:
    settings = settings_of(method, backbone="tiny", size=48, steps=4, coarsest=40, rematch_steps=1, positions=16)
    plan = impasto.plan("woodcut", "mosaic", method, **settings)
    result = impasto.stylize("woodcut", "mosaic", method, **settings)
    assert plan.steps == result.steps
    assert plan.size == tuple(result.image.shape[-2:])
    assert [each.size for each in plan.stages] == list(dict.fromkeys(step.size for step in result.curve)) or (
        method == "nnst"  # its last stage has the size of the one before
    )
    assert plan.seconds is not None
    assert 0 < plan.seconds < 60
    assert plan.memory_mib is not None
    assert plan.memory_mib > plan.picture_mib > 0
    assert plan.problem is None


@pytest.mark.parametrize("method", ["micro", "adain", "unrolled", "wct", "johnson"])
def test_an_image_of_one_pass_is_not_counted_where_memory_is_free(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 8 * 1024 * memory.MIB)
    run = METHODS[method](configure(method, {"size": 64, "precision": "fp32"}))
    subject = single_region(noise(1, 3, 64, 48), [noise(1, 3, 64, 48, seed=1)])
    counted = count_trial(run, subject, PEAK_STEPS)
    assert counted is not None
    assert counted.peak < memory._largest_cost(run, subject)
    monkeypatch.delattr(memory, "count_trial")
    preview = METHODS[method](configure(method, {"size": 768, "precision": "fp32"}))
    memory.check_memory(method, preview, single_region(noise(1, 3, 96, 64), [noise(1, 3, 64, 64)]))


def test_the_last_step_of_a_stage_is_planned_without_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    method = METHODS["gatys"](configure("gatys", {"size": 256, "loss_scales": 1, "steps": 9, "precision": "fp32"}))
    counted = count_trial(method, single_region(noise(1, 3, 48, 64), [noise(1, 3, 48, 64)]), PEAK_STEPS)
    assert counted is not None
    (stage,) = counted.stages
    assert 0 < stage.last < 0.6 * stage.step < 0.6 * stage.before
    monkeypatch.setattr("impasto.pipeline.plan.stage_costs", lambda steps, clock: [StageCost(3.0, 2.0, 0.5)])
    for steps, seconds in ((1, 3.0), (2, 3.5), (5, 3 + 3 * 2 + 0.5)):
        plan = impasto.plan("woodcut", "mosaic", backbone="tiny", size=32, steps=steps)
        assert plan.seconds == pytest.approx(seconds)


def test_a_run_that_stops_when_converged_has_a_time_per_step_only() -> None:
    plan = impasto.plan("woodcut", "mosaic", backbone="tiny", size=48, tolerance=0.1)
    assert plan.steps is None
    assert plan.seconds is None
    assert plan.to_json()["seconds_per_step"] > 0


def test_a_large_run_is_predicted_from_a_small_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.pipeline.plan.SMALLEST_TRIAL", 32)
    monkeypatch.setattr("impasto.pipeline.plan.LONGEST_TRIAL", 0.0)
    small, large = (impasto.plan("woodcut", "mosaic", backbone="tiny", size=size, steps=8) for size in (32, 2048))
    assert small.seconds is not None
    assert large.seconds is not None
    assert large.seconds > 300 * small.stages[-1].seconds_per_step
    assert large.memory_mib is not None
    assert large.memory_mib > 1000
    fixed = impasto.plan("woodcut", "mosaic", backbone="tiny", size=512, sizes=[256, 512], steps=8)
    assert [max(each.size) for each in fixed.stages] == [256, 512]


def test_a_plan_neither_changes_the_result_of_a_run_nor_the_random_state() -> None:
    stylizer = impasto.Stylizer("mosaic", **TINY)
    before = stylizer.stylize("woodcut")
    stylizer.plan("woodcut")
    assert (stylizer.stylize("woodcut").image == before.image).all()


@pytest.mark.usefixtures("short_of_memory")
def test_a_run_that_does_not_fit_is_refused_with_the_size_that_fits() -> None:
    settings = {"backbone": "tiny", "steps": 3, "precision": "fp32", "loss_scales": 1}
    with pytest.raises(ValueError, match=r"^1024x811 pixels with gatys need .* of memory, and .* are available; ") as e:
        impasto.stylize("woodcut", "mosaic", size=1024, **settings)
    (largest,) = re.findall(r"give --size (\d+) or less", str(e.value))
    assert 64 <= int(largest) < 1024
    stylizer = impasto.Stylizer("mosaic", size=int(largest), **settings)
    assert stylizer.plan("woodcut").problem is None
    assert impasto.Stylizer("mosaic", size=int(largest) + 64, **settings).plan("woodcut").problem is not None


def test_gaps_are_counted_beside_blocks_of_networks_and_not_beside_those_of_a_large_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = single_region(noise(1, 3, 48, 64), [noise(1, 3, 48, 64)])
    ratios = []
    for size in (200, 4000):
        settings = {"backbone": "tiny", "size": size, "steps": 3, "tile": 256, "loss_scales": 1}
        method, peaks = METHODS["gatys"](configure("gatys", settings)), []
        count_trial(method, subject, PEAK_STEPS)  # measures what is cached
        for gaps in (1.0, 2.0):
            monkeypatch.setitem(GAPS, "cpu", gaps)
            with torch_defaults():
                counted = count_trial(method, subject, PEAK_STEPS)
            assert counted is not None
            peaks.append(counted.peak)
        ratios.append(peaks[1] / peaks[0])
    assert ratios[0] == pytest.approx(2, rel=0.01)
    assert ratios[1] < 1.1


def test_networks_that_were_read_before_are_not_counted() -> None:
    method = METHODS["gatys"](configure("gatys", {"size": 32, "steps": 2, "loss_scales": 1, "precision": "fp32"}))
    assert isinstance(method, Matching)
    subject = single_region(noise(1, 3, 48, 64), [noise(1, 3, 48, 64)])
    peaks = []
    for _ in range(2):
        counted = count_trial(method, subject, PEAK_STEPS)
        assert counted is not None
        peaks.append(counted.peak)
        (network,) = method.networks
    assert isinstance(network, ChainBackbone)
    convolutions = [layer for layer in network.chain.layers if isinstance(layer, Convolution)]
    assert peaks[0] - peaks[1] >= sum(each.weight.nbytes for each in convolutions)


PREDICTION = """
import impasto
from impasto.allocator import keep_freed_memory
from impasto.devices import reset_peak_memory
keep_freed_memory(of_any_size=True)
settings = {"backbone": "vgg19-caffe", "size": 384, "sizes": [384], "steps": 2, "tile": 256, "loss_scales": 1}
plan = impasto.plan("woodcut", "mosaic", **settings)
reset_peak_memory()
print(plan.memory_mib / impasto.stylize("woodcut", "mosaic", **settings).peak_memory_mib)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of the memory is measured from the run on only on Linux")
def test_the_prediction_for_a_large_network_in_tiles_is_the_peak_of_the_run(
    random_weights: Callable[[str], Path],
) -> None:
    environment = {**os.environ, "IMPASTO_WEIGHTS": str(random_weights("vgg19-caffe")), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PREDICTION]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=TIMEOUT)
    assert 0.85 < float(done.stdout) < 1.15


def test_a_refusal_names_fewer_pairs_of_l_bfgs_where_they_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"backbone": "tiny", "size": 512, "steps": 40, "tile": 0, "loss_scales": 1}
    subject = single_region(noise(1, 3, 48, 64), [noise(1, 3, 48, 64)])
    monkeypatch.setitem(GAPS, "cpu", 1.0)
    peaks = {}
    for history in (10, 3):
        stylizer = impasto.Stylizer("mosaic", **settings, history=history)
        with torch_defaults():
            counted = count_trial(stylizer.instance, subject, PEAK_STEPS)
        assert counted is not None
        peaks[history] = counted.peak
    assert peaks[10] - peaks[3] == pytest.approx(7 * 2 * 3 * 512 * 384 * 4, rel=0.1)
    free = (peaks[3] + peaks[10]) // 2 + memory.CODE_MIB * memory.MIB
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    monkeypatch.setattr(memory, "LARGEST_COST", 2**30)
    with pytest.raises(ValueError, match=r"give --size \d+ or less, or --history 3, or --method micro"):
        impasto.stylize(noise(1, 3, 48, 64), noise(1, 3, 48, 64), **settings)


@pytest.mark.usefixtures("short_of_memory")
def test_the_command_line_refuses_in_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    large = ["woodcut", "mosaic", "--backbone", "tiny", "--size", "1024", "--loss-scales", "1"]
    assert main(["stylize", *large, "-o", "out.png"]) == 2
    first = capsys.readouterr().err
    assert first.count("\n") == 1
    assert first.startswith("impasto: 1024x811 pixels with gatys need ")
    assert main(["stylize", *large, "--dry-run"]) == 2
    printed = capsys.readouterr()
    assert "gatys with tiny" in printed.out
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("short_of_memory")
def test_folders_and_the_studio_refuse_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = write_pictures(tmp_path / "photos", 1)
    large: dict[str, Any] = {"backbone": "tiny", "size": 1024, "loss_scales": 1}
    done = impasto.stylize_folder(photos, "mosaic", tmp_path / "out", **large)
    assert [result.status for result in done] == ["failed"]
    assert done[0].error is not None
    assert "of memory, and" in done[0].error
    words = [str(photos), "mosaic", "-o", str(tmp_path / "new")]
    assert main(["stylize", *words, "--backbone", "tiny", "--size", "1024", "--loss-scales", "1"]) == 2
    assert "of memory, and" in capsys.readouterr().err
    queue = JobQueue(History(tmp_path / "studio"))
    key = queue.submit(StylizeRequest(content="woodcut", styles=("mosaic",), settings=large))
    state = queue.wait(key, TIMEOUT)
    queue.close()
    assert state.status == "failed"
    assert "of memory, and" in (state.error or "")


def test_dry_run_prints_the_plan_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["stylize", "woodcut", "mosaic", *WORDS, "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"gatys with tiny, \w+ on cpu\n +48x38 +3 steps +\S+ m?s\n +memory +\d", text)
    assert main(["stylize", "woodcut", "mosaic", *WORDS, "--dry-run", "--json", "-o", "out.png"]) == 0
    values = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert values["size"] == [38, 48]
    assert values["steps"] == 3
    assert values["problem"] is None
    assert list(tmp_path.iterdir()) == []


def test_dry_run_of_a_folder_counts_what_is_left_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = write_pictures(tmp_path / "photos", 3)
    words = ["stylize", str(photos), "mosaic", *WORDS, "-o", str(tmp_path / "out")]
    one = impasto.plan_folder(photos, "mosaic", tmp_path / "out", **TINY)
    assert (one.pictures, one.skipped) == (3, 0)
    assert one.largest is not None
    assert one.seconds is not None
    assert one.largest.seconds is not None
    assert one.seconds == pytest.approx(3 * one.largest.seconds, rel=0.1)
    assert not (tmp_path / "out").exists()
    assert main(words) == 0
    capsys.readouterr()
    (tmp_path / "out" / next(iter(photos.iterdir())).with_suffix(".png").name).unlink()
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("3 pictures, 2 of them already stylized\n1 to stylize: ")
    assert main(words) == 0
    capsys.readouterr()
    assert main([*words, "--dry-run", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    nothing = {"workers": 0, "seconds": 0.0, "peak_memory_mib": None, "largest": None, "errors": []}
    assert values == {"pictures": 3, "skipped": 3, **nothing}


def test_dry_run_of_a_folder_names_corrupt_pictures_and_plans_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, width in (("a", 40), ("b", 60), ("c", 80)):
        save_image(noise(3, 40, width), photos / f"{name}.png")
    (photos / "c.png").write_bytes((photos / "c.png").read_bytes()[:-500])  # the largest one, with a correct header
    (photos / "d.png").write_bytes(b"no picture")
    words = ["stylize", str(photos), "mosaic", "-o", str(tmp_path / "out"), "--backbone", "tiny", "--size", "0"]
    words += ["--steps", "3", "--dry-run"]
    assert main([*words, "--json"]) == 2
    values = json.loads(capsys.readouterr().out)
    assert (values["pictures"], values["skipped"], values["largest"]["size"]) == (4, 0, [40, 60])
    assert [error.partition(": ")[0] for error in values["errors"]] == [repr(str(photos / f"{n}.png")) for n in "cd"]
    assert main(words) == 2
    text = capsys.readouterr().out
    assert text.startswith("4 pictures, 0 of them already stylized\n2 cannot be stylized:\n")
    assert f"  {values['errors'][0]}\n  {values['errors'][1]}\n2 to stylize: " in text
    plan = impasto.plan_folder(photos, "mosaic", tmp_path / "out", backbone="tiny", size=0, steps=3)
    assert plan.largest is not None
    assert plan.largest.seconds is not None
    assert plan.seconds == pytest.approx(plan.largest.seconds * (1 + 40 / 60))
    for name in "ab":
        (photos / f"{name}.png").unlink()
    plan = impasto.plan_folder(photos, "mosaic", tmp_path / "out", backbone="tiny", size=0)
    assert (plan.pictures, plan.largest, plan.errors) == (2, None, tuple(values["errors"]))


def test_a_wrong_setting_is_no_error_of_a_picture(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 2)
    with pytest.raises(ValueError, match=r"^tile: "):
        impasto.plan_folder(photos, "mosaic", tmp_path / "out", **TINY, tile=8)


@pytest.mark.parametrize(
    ("runner", "cores", "waves"),
    [
        *(("processes", 8, 2), ("processes", 1, 3), ("ray", 8, 2), ("ray", 1, 3)),
        (RayCluster("10.0.0.1:6379"), 1, 2),  # of other machines; the prediction does not connect to them
    ],
)
def test_workers_shorten_a_folder_as_far_as_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: Runners | Executor, cores: int, waves: int
) -> None:
    for module in (processes, ray_cluster):
        monkeypatch.setattr(module, "available_cores", lambda: cores)
    one = Plan("gatys", {}, "cpu", "fp32", (StagePlan((36, 48), 3, 1.0, 0.0),), 100.0, 1.0, None, None)
    monkeypatch.setattr(Stylizer, "plan", lambda stylizer, content, *, output: one)
    photos = write_pictures(tmp_path / "photos", 3)
    plan = impasto.plan_folder(photos, "mosaic", tmp_path / "out", workers=2, runner=runner, **TINY)
    assert (plan.workers, plan.seconds) == (2, 3.0 * waves)
    assert plan.memory_mib is not None
    assert plan.memory_mib > 200


def test_a_plan_has_the_threads_and_the_memory_of_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads: list[int] = []
    original = Stylizer.plan

    def plan(*arguments: Any, **options: Any) -> Plan:
        threads.append(torch.get_num_threads())
        return original(*arguments, **options)

    monkeypatch.setattr(Stylizer, "plan", plan)
    monkeypatch.setattr(torch, "get_num_threads", lambda: [4, *set_to][-1])
    set_to: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    field = devices._field  # other processes take and free memory between the two plans
    monkeypatch.setattr(devices, "_field", lambda file, name: 2**33 if name == "MemAvailable" else field(file, name))
    monkeypatch.setattr(devices, "_control_groups", lambda: [])
    photos = write_pictures(tmp_path / "photos", 3)
    words = ["stylize", str(photos), "mosaic", *WORDS, "-o", str(tmp_path / "out"), "--dry-run"]
    found = {}
    for workers in (1, 2):
        assert main([*words, "--workers", str(workers), "--json"]) == 0
        found[workers] = json.loads(capsys.readouterr().out)
    assert threads == [4, 2]
    assert set_to == [2, 4]
    one, two = (found[workers]["largest"] for workers in (1, 2))
    assert two["available_mib"] == pytest.approx(one["available_mib"] / 2, rel=0.1)
    assert found[1]["peak_memory_mib"] == one["peak_memory_mib"]
    assert found[2]["peak_memory_mib"] > 2 * two["peak_memory_mib"]  # and this process
    assert main([*words, "--workers", "2"]) == 0
    assert re.search(r"\n3 to stylize by 2 workers: \S+ m?s, \S+ [MG]iB of memory; the", capsys.readouterr().out)


@pytest.mark.parametrize(("pictures", "workers"), [(3, 2), (1, 2), (1, 200)])
def test_a_picture_that_is_too_large_for_a_worker_names_the_workers(
    pictures: int, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    return_freed_memory()
    in_use = devices.memory_in_use_mib(devices.CPU) + memory.CODE_MIB
    monkeypatch.setattr(
        MemoryShare, "of", lambda workers: MemoryShare(int(in_use + 20 / workers) * memory.MIB, 1 / workers)
    )
    photos = write_pictures(tmp_path / "photos", pictures)
    words = ["stylize", str(photos), "mosaic", "-o", str(tmp_path / "out"), "--backbone", "tiny", "--size", "192"]
    words += ["--loss-scales", "1", "--steps", "2", "--dry-run", "--workers", str(workers)]
    assert main(words) == 2
    advice = r"; (give|free some memory).*, or give fewer --workers, which share the memory\n$"
    assert re.search(advice, capsys.readouterr().err)
    assert devices.free_memory(devices.CPU) > 2**30  # type: ignore[operator]  # that of this process is as before


@pytest.mark.parametrize(
    ("executor", "device", "gain"),
    [
        (LocalProcesses(), "cpu", True),
        (LocalProcesses(), "cuda:0", True),
        (RayCluster(), "cpu", True),
        (RayCluster(), "cuda", False),  # a worker has a GPU, or the part of it that --gpus gives it
        (RayCluster("ray://a:10001"), "cpu", False),
        (None, "cpu", False),
    ],
)
def test_fewer_workers_are_advised_where_they_share_the_memory(
    executor: Executor | None, device: str, gain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda device: 2**33)
    assert _gain_memory(executor, 2, device) is gain
    assert not _gain_memory(executor, 1, device)


def test_a_dry_run_refuses_flags_of_ray_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = write_pictures(tmp_path / "photos", 1)
    words = ["stylize", str(photos), "mosaic", *WORDS, "-o", str(tmp_path / "out"), "--gpus", "1", "--dry-run"]
    assert main(words) == 2
    assert capsys.readouterr().err == "impasto: --gpus is for --runner ray; add it, or leave --gpus out\n"


def test_the_size_of_a_file_is_read_from_its_header(tmp_path: Path) -> None:
    save_image(noise(1, 3, 20, 30), tmp_path / "a.png")
    assert read_size(tmp_path / "a.png", 10**6) == (20, 30)
    picture = PIL.Image.new("RGB", (30, 20))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "b.jpg", exif=exif)
    assert read_size(tmp_path / "b.jpg", 10**6) == (30, 20)
    (tmp_path / "c.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"c\.png"):
        read_size(tmp_path / "c.png", 10**6)
