"""Test that a training gives the same weights when it is stopped, killed, or divided between processes."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from small_recipe import Small, SmallConfig
from support import TIMEOUT, ForkedProcess
from torch import Tensor, nn

import impasto.curves
import impasto.training
from impasto.cli import main
from impasto.registry import Registry
from impasto.training import Trained, train
from impasto.training.curve import POINTS, Curve
from impasto.training.datasets import Dataset
from impasto.training.distributed import Processes
from impasto.training.loop import TrainingRun, learning_rate, update_average
from impasto.training.recipes import RECIPES, TrainingConfig
from impasto.types import Step

STEPS = 12
QUICK: dict[str, Any] = {"steps": STEPS, "batch": 4, "crop": 32, "lr": 0.01, "warmup": 3, "device": "cpu"}
FOLDERS = ["--photos", "photos", "--paintings", "paintings"]
WORDS = ["train", "small", *FOLDERS, "--steps", "12", "--batch", "4", "--crop", "32", "--lr", "0.01"]
DRAW = impasto.curves._svg
SCRIPT = Path(__file__).parents[1] / "small_recipe.py"
TRAIN = "import runpy; runpy.run_module('small_recipe', run_name='__main__')"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos/ and paintings/ of smooth noise."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for kind, count in (("photos", 5), ("paintings", 3)):
        (folder / kind).mkdir()
        for i in range(count):
            levels = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            PIL.Image.fromarray(levels).resize((64 + i, 48), PIL.Image.Resampling.BICUBIC).save(
                folder / kind / f"{i}.png"
            )
    return folder


@pytest.fixture(autouse=True)
def small(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the recipe `small`, and change to the folder with the pictures."""
    assert "small" not in RECIPES  # fills the registry
    monkeypatch.setitem(RECIPES._parts, "small", Small)
    monkeypatch.setattr(impasto.curves, "_svg", lambda _: b"")  # takes a third of a second
    monkeypatch.setattr(impasto.curves, "gc", SimpleNamespace(collect=lambda: None))  # a tenth, and has nothing to do
    monkeypatch.chdir(pictures)


def train_small(output: Path, **settings: Any) -> Trained:
    return train("small", **{"photos": "photos", "paintings": "paintings", "output": output, **QUICK, **settings})


def stop_at(step: int) -> impasto.training.OnStep:
    """Return a listener that stops with a boolean of NumPy."""
    return lambda each: np.less(each.index, step)


def checkpoint(folder: Path) -> dict[str, Any]:
    """Return the contents of the checkpoint, without times."""
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    del state["seconds"]
    for point in state["curve"]["points"]:
        del point["seconds"]
    return state


def same(one: Any, other: Any) -> bool:
    """Compare bit for bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*each) for each in zip(one, other, strict=True))
    return bool(one == other)


def exported(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "small.pt", weights_only=True)  # type: ignore[no-any-return]


def start(*words: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start a second process with one thread."""
    return subprocess.Popen(
        [*map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_on_one_thread(*words: str | Path) -> int:
    """Run a command in this process with one thread, as `start` does in another one; return its exit status."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return main([str(word) for word in words])
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def straight(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training without interruption."""
    folder = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pictures)
        assert "small" not in RECIPES  # fills the registry
        patch.setitem(RECIPES._parts, "small", Small)
        assert run_on_one_thread(*WORDS, "-o", folder) == 0
    return folder


# ------------------------------------------------------------------------- stopped, killed and divided trainings


def test_a_killed_and_resumed_training_is_identical_to_an_uninterrupted_one(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = ForkedProcess(tmp_path, TRAIN, *WORDS, "-o", tmp_path, "--save-every", "0", SMALL_PAUSE="0.3")
    deadline = time.monotonic() + TIMEOUT
    while not (tmp_path / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate(timeout=TIMEOUT)
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.7)
    process.kill()
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "small.pt").exists()
    assert 0 < checkpoint(tmp_path)["step"] < STEPS
    capsys.readouterr()
    assert run_on_one_thread(*WORDS, "-o", tmp_path) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'small.pt'}\n"
    assert same(checkpoint(tmp_path), checkpoint(straight))
    assert same(exported(tmp_path), exported(straight))


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one_and_only_the_first_prints(straight: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {"SMALL_SAMPLES": "2", "SMALL_WARNING": "", "PYTHONFAULTHANDLER": "1"}  # shows where a process aborts
    process = start(*torchrun, SCRIPT, *WORDS, "-o", tmp_path, "--json", **environment)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, err
    assert json.loads(out)["steps"] == STEPS
    assert (err.count("impasto: warning: this is small"), err.count("impasto:")) == (1, 2)
    one, two = exported(straight)["weights"], exported(tmp_path)["weights"]
    moved = [(one[name] - Small(SmallConfig()).network().state_dict()[name]).abs().max() for name in one]
    assert min(moved) > 1e-3
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=2e-6, rtol=0)
    assert checkpoint(tmp_path)["losses"] == pytest.approx(checkpoint(straight)["losses"], rel=1e-5)


@pytest.mark.parametrize("step", [1, 5, STEPS - 1])
def test_a_training_stopped_after_any_step_and_resumed_is_identical_to_an_uninterrupted_one(
    step: int, tmp_path: Path
) -> None:
    random = {"dropout": 0.3, "weight_decay": 0.1}  # dropout draws from the global generator
    assert train_small(tmp_path / "one", **random).stopped == "finished"
    first = train_small(tmp_path / "two", **random, on_step=stop_at(step))
    assert (first.stopped, first.steps, first.output) == ("cancelled", step, tmp_path / "two" / "small.pt")
    assert same(exported(tmp_path / "two")["weights"], checkpoint(tmp_path / "two")["averaged"])
    assert checkpoint(tmp_path / "two")["step"] == step
    torch.rand(3)  # in another process the state of the global generator would differ
    assert train_small(tmp_path / "two", **random).steps == STEPS
    assert same(checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two"))
    assert same(exported(tmp_path / "one"), exported(tmp_path / "two"))


def test_contact_sheets_checkpoints_and_listeners_do_not_change_the_weights(tmp_path: Path) -> None:
    def draw(step: Step) -> None:
        torch.rand(step.index)

    train_small(tmp_path / "one", dropout=0.3)
    train_small(tmp_path / "two", dropout=0.3, save_every=0.0, on_step=draw)
    assert same(checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two"))


def test_a_training_does_not_change_the_global_random_state(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_small(tmp_path, dropout=0.3)
    assert torch.equal(torch.rand(3), expected)


def test_minutes_end_a_session_with_a_checkpoint_and_the_same_command_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "-o", str(tmp_path), "--minutes", "0", "--json"]) == 0
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["output"], json.loads(printed.out)["steps"]) == (str(tmp_path / "small.pt"), 1)
    assert "impasto: stopped after 0 minutes: 1 of 12 steps in " in printed.err
    assert printed.err.endswith("; the same command continues from there\n")
    assert exported(tmp_path)["metadata"]["steps"] == "1"
    assert main([*WORDS, "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'small.pt'}\n"
    assert checkpoint(tmp_path)["step"] == STEPS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_writes_a_checkpoint_and_prints_how_to_resume(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMALL_INTERRUPT", "4")
    monkeypatch.setenv("SMALL_SIGNAL", str(int(number)))
    assert main([*WORDS, "-o", str(tmp_path)]) == 128 + number
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'small.pt'}\n"
    assert "impasto: stopped: 5 of 12 steps" in printed.err
    assert "the same command continues from there" in printed.err
    assert checkpoint(tmp_path)["step"] == 5


def test_a_second_ctrl_c_stops_at_once_and_names_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMALL_INTERRUPT", "4 4")
    assert main([*WORDS, "-o", str(tmp_path), "--save-every", "0"]) == 130
    assert "stopped immediately; the same command continues from the last checkpoint\n" in capsys.readouterr().err
    assert checkpoint(tmp_path)["step"] == 4


def test_ctrl_c_before_the_first_step_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMALL_INTERRUPT", "0")
    assert main([*WORDS, "-o", str(tmp_path / "new")]) == 130
    assert capsys.readouterr().err == "impasto: stopped; nothing was written\n"
    assert not (tmp_path / "new").exists()


def test_a_finished_training_only_exports_again(tmp_path: Path) -> None:
    train_small(tmp_path)
    (tmp_path / "small.pt").unlink()
    written = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    steps: list[Step] = []
    again = train_small(tmp_path, on_step=lambda step: steps.append(step))
    assert (again.output, again.steps, again.stopped, steps) == (tmp_path / "small.pt", STEPS, "finished", [])
    assert (tmp_path / "small.pt").exists()
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == written


# ------------------------------------------------------------------------------------------------- optimization


def test_the_loss_decreases_and_every_step_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Small, "prepare", lambda self, data: self.network())
    steps: list[Step] = []
    trained = train_small(tmp_path, steps=60, on_step=lambda step: steps.append(step))
    assert [step.index for step in steps] == list(range(1, 61))
    assert {step.total for step in steps} == {60}
    assert set(trained.losses) == {"match/pixels", "size"}
    assert trained.losses == steps[-1].losses
    losses = [step.losses["match/pixels"] for step in steps]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert steps[0].seconds < steps[-1].seconds == trained.seconds


def test_the_learning_rate_warms_up_linearly_and_decreases_to_zero() -> None:
    config = TrainingConfig(steps=110, warmup=10, lr=2.0)
    rates = [learning_rate(config, step) for step in range(110)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10:] == pytest.approx([1 + math.cos(math.pi * step / 100) for step in range(100)])
    assert [learning_rate(TrainingConfig(steps=2, warmup=4, lr=1.0), step) for step in (0, 1)] == [0.25, 0.5]
    assert learning_rate(TrainingConfig(steps=5, warmup=0, lr=1.0), 0) == 1.0


def test_a_new_training_starts_from_prepare_and_a_resumed_one_does_not_call_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = []
    prepare = Small.prepare

    def keep(self: Small, data: Dataset) -> nn.Module:
        network = prepare(self, data)
        prepared.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return network

    monkeypatch.setattr(Small, "prepare", keep)
    for step in (1, STEPS):
        train_small(tmp_path, lr=1e-9, on_step=stop_at(step))
    assert len(prepared) == 1
    torch.testing.assert_close(exported(tmp_path)["weights"], prepared[0])


def test_the_optimizer_uses_the_learning_rate_and_the_decay_of_the_settings(tmp_path: Path) -> None:
    train_small(tmp_path, weight_decay=0.25)
    (group,) = checkpoint(tmp_path)["optimizer"]["param_groups"]
    assert group["lr"] == learning_rate(SmallConfig(**QUICK), STEPS - 1)
    assert group["weight_decay"] == 0.25


def test_the_exported_weights_are_the_averaged_ones_or_the_last_with_ema_0(tmp_path: Path) -> None:
    train_small(tmp_path / "none", ema=0.0)
    state = checkpoint(tmp_path / "none")
    assert same(state["averaged"], state["network"])
    assert same(exported(tmp_path / "none")["weights"], state["network"])
    train_small(tmp_path / "some", ema=0.9)
    state = checkpoint(tmp_path / "some")
    assert not same(state["averaged"], state["network"])
    assert same(exported(tmp_path / "some")["weights"], state["averaged"])


def test_the_average_moves_weights_and_statistics_by_the_decay_and_copies_counts() -> None:
    averaged, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(4.0)  # type: ignore[union-attr]
        network.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    update_average(averaged, network, 0.75)
    assert averaged.weight.tolist() == [1.5, 1.5]
    assert averaged.running_mean.tolist() == [1.0, 1.0]  # type: ignore[union-attr]
    assert averaged.num_batches_tracked == 7


def test_the_decay_of_the_average_increases_from_one_tenth(tmp_path: Path, pictures: Path) -> None:
    recipe = Small(SmallConfig(**{**QUICK, "ema": 0.99}))
    data = Dataset("photos", "paintings", 32, batch=4)
    run = TrainingRun(recipe, recipe.prepare(data), torch.device("cpu"), Processes())
    expected = run.network[0].weight.detach().clone()  # type: ignore[index]
    for step in run.train(data):
        decay = step / (9 + step)  # after the first step 1/10
        expected = decay * expected + (1 - decay) * run.network[0].weight.detach()  # type: ignore[index]
    torch.testing.assert_close(run.averaged[0].weight, expected)  # type: ignore[index]


def test_the_gradient_norm_is_clipped_and_clip_0_disables_it(pictures: Path) -> None:
    def norm(clip: float) -> float:
        recipe = Small(SmallConfig(**{**QUICK, "clip": clip}))
        data = Dataset("photos", "paintings", 32, batch=4)
        run = TrainingRun(recipe, recipe.prepare(data), torch.device("cpu"), Processes())
        next(run.train(data))
        return sum(weight.grad.square().sum().item() for weight in run.network.parameters()) ** 0.5

    torch.manual_seed(0)
    full = norm(0.0)
    assert full > 0.01
    torch.manual_seed(0)
    assert norm(full / 2) == pytest.approx(full / 2, rel=1e-4)
    torch.manual_seed(0)
    assert norm(full * 2) == pytest.approx(full)


@pytest.mark.parametrize(
    ("autocast", "precision", "is_bf16"), [(True, "bf16", True), (True, "fp32", False), (False, "bf16", False)]
)
def test_the_loss_runs_in_bf16_only_if_recipe_and_precision_select_it(
    autocast: bool, precision: str, is_bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    loss = Small.loss

    def record(self: Small, network: nn.Module, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        seen.append(network(batch["photo"]).dtype is torch.bfloat16)
        return loss(self, network, batch, step)

    monkeypatch.setattr(Small, "loss", record)
    monkeypatch.setattr(Small, "autocast", autocast)
    train_small(tmp_path, steps=1, precision=precision)
    assert seen == [is_bf16]
    assert {tensor.dtype for tensor in checkpoint(tmp_path)["network"].values()} == {torch.float32}


def test_processes_divide_a_batch_evenly_or_not_at_all() -> None:
    assert [list(Processes(rank, 3).samples(6)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match="batch: 8 samples cannot be divided by 3 processes; give a multiple"):
        Processes(0, 3).samples(8)


# --------------------------------------------------------------------------------------------------------- files


def test_the_folder_has_checkpoint_curves_contact_sheet_and_exported_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impasto.curves, "_svg", DRAW)
    trained = train_small(tmp_path)
    names = {"checkpoint.pt", "curve.json", "curve.svg", "sheet.png", "small.pt"}
    assert {path.name for path in tmp_path.iterdir()} == names
    points = json.loads((tmp_path / "curve.json").read_text())
    assert [point["step"] for point in points] == list(range(1, STEPS + 1))
    assert points[-1]["losses"] == trained.losses
    assert b"match" in (tmp_path / "curve.svg").read_bytes()
    with PIL.Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (16, 16)
    metadata = exported(tmp_path)["metadata"]
    assert all(isinstance(value, str) for value in metadata.values())
    assert (metadata["recipe"], metadata["steps"], json.loads(metadata["settings"])["lr"]) == ("small", "12", 0.01)
    assert json.loads(metadata["pictures"])["photo"].startswith("5 files, ")


def test_checkpoints_are_written_at_the_requested_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = impasto.training.session.write_checkpoint

    def record(path: Path, state: dict[str, Any]) -> None:
        written.append(state["step"])
        write(path, state)

    monkeypatch.setattr(impasto.training.session, "write_checkpoint", record)
    train_small(tmp_path / "rarely")
    assert written == [STEPS]
    train_small(tmp_path / "often", save_every=0.0)
    assert written[1:] == list(range(1, STEPS + 1))


def test_without_matplotlib_a_warning_announces_the_missing_svg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.warns(UserWarning, match=r"curve.svg is not written; .* pip install impasto\[report\]"):
        train_small(tmp_path)
    assert {path.name for path in tmp_path.glob("curve.*")} == {"curve.json"}


def test_a_long_training_has_a_short_curve_of_means() -> None:
    curve, steps = Curve(10 * POINTS, 32), range(1, 10 * POINTS + 1)
    for step in steps:
        if step == 1234:  # in the middle of a window
            state, curve = curve.state(), Curve(10 * POINTS, 32)
            curve.load(json.loads(json.dumps(state)))
        curve.add(step, step / 10, {"a": float(step), "b": 1.0})
    assert len(curve.points) == POINTS
    assert curve.points[122].index == 1230
    assert [point.losses for point in curve.points[122:125]] == [{"a": a, "b": 1.0} for a in (1225.5, 1235.5, 1245.5)]


def test_curves_without_points_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impasto.curves, "_svg", DRAW)
    train_small(tmp_path, steps=1000, on_step=stop_at(1))
    assert json.loads((tmp_path / "curve.json").read_text()) == []


# -------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 99}, "steps: the training in .* has 12, not 99; give 12, or another folder"),
        ({"noise": 0.3}, "noise: the training in .* has 0.1, not 0.3; give 0.1, or another folder"),
        (
            {"photos": "paintings"},
            r"the training in .* used other photos \(5 files, \w+, now 3 files, \w+\); give those, or",
        ),
        ({"paintings": None}, r"the training in .* used other paintings \(3 files, \w+, now none\); give those, or"),
    ],
    ids=["steps", "noise", "photos", "paintings"],
)
def test_a_folder_with_another_training_is_an_error_that_names_the_difference(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    train_small(tmp_path, on_step=stop_at(2))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match=message) as raised:
        train_small(tmp_path, **changed)
    assert "\n" not in str(raised.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_folder_with_a_training_of_another_recipe_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_small(tmp_path, on_step=stop_at(2))
    monkeypatch.setitem(RECIPES._parts, "other", Small)
    with pytest.raises(ValueError, match="has recipe 'small', not 'other'; give another folder"):
        train("other", photos="photos", paintings="paintings", output=tmp_path, **QUICK)


def test_a_training_can_resume_on_another_device(tmp_path: Path) -> None:
    train_small(tmp_path, on_step=stop_at(2))
    assert train_small(tmp_path, device="cpu:0").stopped == "finished"


def test_an_invalid_checkpoint_is_an_error_and_runs_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    for content in (b"", b"no checkpoint", {"identity": Trap()}, {"step": 3}):
        if isinstance(content, bytes):
            (tmp_path / "checkpoint.pt").write_bytes(content)
        else:
            torch.save(content, tmp_path / "checkpoint.pt")
        with pytest.raises(ValueError, match=r"checkpoint.pt' is not a checkpoint: .*; give another folder") as raised:
            train_small(tmp_path)
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "sprung").exists()


def test_a_loss_that_is_not_finite_is_a_one_line_error_and_the_last_checkpoint_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_NAN", "5")
    with pytest.raises(ValueError, match=r"step 6: the loss is not finite any more .*nan.*nothing was written"):
        train_small(tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()
    with pytest.raises(ValueError, match=r"step 6: .*checkpoint.pt' is from before; try a lower lr in another folder"):
        train_small(tmp_path, save_every=0.0)
    assert checkpoint(tmp_path)["step"] == 5
    monkeypatch.delenv("SMALL_NAN")
    train_small(tmp_path)
    train_small(tmp_path / "one")
    assert same(checkpoint(tmp_path), checkpoint(tmp_path / "one"))


def test_an_output_that_cannot_be_written_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    steps: list[Step] = []
    with pytest.raises(ValueError, match="cannot write"):
        train_small(tmp_path / "file", on_step=lambda step: steps.append(step))
    assert steps == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train"], "impasto: give the NAME of a recipe first; choose from "),
        (["train", "--steps", "3"], "impasto: give the NAME of a recipe first; choose from "),
        (["train", "smal"], "impasto: unknown recipe 'smal'; choose from "),
        (["train", "small"], "impasto: the output is missing; give -o DIR"),
        ([*WORDS, "more", "-o", "new"], "impasto: unexpected argument 'more'; see impasto train small"),
        ([*WORDS, "-o", "new", "--lr", "-1"], "impasto: --lr: input should be greater than 0, not '-1'"),
        ([*WORDS, "-o", "new", "--noise", "x"], "impasto: --noise: "),
        ([*WORDS, "-o", "new", "--minutes", "-1"], "impasto: --minutes: expected a number of at least 0, not '-1'"),
        ([*WORDS, "-o", "new", "--stepz", "1"], "impasto: unknown flag --stepz; did you mean --steps?"),
        (["train", "small", "-o", "new"], "impasto: no training data: give a folder of photos"),
        (
            [*WORDS, "-o", "photos"],
            "impasto: output: 'photos' is in the folder of the photos, so that its images would",
        ),
        ([*WORDS, "-o", "paintings/new"], "impasto: output: 'paintings/new' is in the folder of the paintings"),
    ],
    ids=lambda words: words[-1] if isinstance(words, list) else "",
)
def test_an_error_is_one_line_and_nothing_is_written(
    words: list[str], line: str, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(line)
    assert not (pictures / "new").exists()


def test_without_recipes_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty_recipes").mkdir()
    (tmp_path / "empty_recipes" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    empty: Registry[Any] = Registry("recipe", "empty_recipes")
    monkeypatch.setattr("impasto.cli.train.RECIPES", empty)
    assert main(["train", "small"]) == 2
    assert capsys.readouterr().err == "impasto: unknown recipe 'small'; no recipe is installed\n"
    assert main(["train", "--help"]) == 0
    assert "no recipe is installed" in capsys.readouterr().out


def test_the_help_of_a_recipe_shows_every_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    assert main(["train", "small", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: impasto train small")
    assert Small.summary in out
    assert [name for name in SmallConfig.__dataclass_fields__ if f" --{name.replace('_', '-')} " not in out] == []
    assert "Standard deviation of the noise on every sample. (default: 0.1; at least 0)" in out
    assert out.index("--output") < out.index("--steps") < out.index("--noise")


def test_json_is_one_object_on_the_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "-o", str(tmp_path), "--json", "--noise", "0.2"]) == 0
    assert json.loads(exported(tmp_path)["metadata"]["settings"])["noise"] == 0.2
    printed = capsys.readouterr()
    summary = json.loads(printed.out.splitlines()[-1])
    assert set(summary) == {"output", "recipe", "steps", "seconds", "losses", "stopped"}
    assert (summary["output"], summary["recipe"], summary["steps"]) == (str(tmp_path / "small.pt"), "small", STEPS)
    losses = summary["losses"]
    assert losses.pop("total") == pytest.approx(sum(losses.values()))
