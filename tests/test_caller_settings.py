"""Test that results do not depend on the settings of the caller, and that a call does not change them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support import TIMEOUT, sample, write_pictures
from torch import Tensor

import impasto
from impasto.backbones import load_backbone
from impasto.devices import torch_defaults
from impasto.images import load_image
from impasto.methods import METHODS
from impasto.metrics.evaluate import evaluate
from impasto.training import train

TINY: dict[str, Any] = {"backbone": "tiny", "size": 32, "steps": 2, "positions": 32, "rematch_steps": 1}


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def everything() -> Iterator[None]:
    """Apply all settings that PyTorch accepts together."""
    with ExitStack() as stack:
        for name in ("inference_mode", "float16", "meta", "deterministic", "autocast"):
            stack.enter_context(CALLERS[name]())
        yield


CALLERS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "gradients_disabled": lambda: torch.set_grad_enabled(False),
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta": lambda: default_device("meta"),
    "meta_block": lambda: torch.device("meta"),
    "cpu": lambda: default_device("cpu"),
    "deterministic": deterministic_algorithms,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "everything": everything,
}


def settings_of(method: str) -> dict[str, Any]:
    names = METHODS[method].Config.__dataclass_fields__
    return {name: value for name, value in TINY.items() if name in names}


def random_state() -> list[Any]:
    return [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()]  # type: ignore[index]


def caller_settings() -> list[Any]:
    modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
    return [*modes, torch.get_default_dtype(), torch.get_default_device()]


def assert_independent_of_the_caller(compute: Callable[[], Tensor], callers: list[str]) -> None:
    expected = compute()
    for name in callers:
        with CALLERS[name]():
            before = random_state(), caller_settings()
            actual = compute()
            assert (random_state(), caller_settings()) == before, name
        assert actual.dtype == expected.dtype
        assert torch.equal(actual, expected), name


@pytest.mark.parametrize("method", list(METHODS))
def test_the_image_of_a_method_does_not_depend_on_the_settings_of_the_caller(method: str) -> None:
    content, style = sample("woodcut", 32), sample("mosaic", 32)
    callers = list(CALLERS) if method in ("gatys", "micro") else ["no_grad", "float64", "everything"]
    assert_independent_of_the_caller(
        lambda: impasto.stylize(content, style, method, **settings_of(method)).image, callers
    )


def test_metrics_features_files_and_records_do_not_depend_on_the_settings_of_the_caller(tmp_path: Path) -> None:
    content, style, settings = sample("woodcut", 32), sample("mosaic", 32), settings_of("gatys")
    result = impasto.stylize("woodcut", "mosaic", **settings)

    def replayed() -> Tensor:
        result.save(tmp_path / "out.png")
        return impasto.replay(tmp_path / "out.png").image

    for compute in (
        lambda: torch.tensor(
            list(evaluate(content, style, style, backbone="tiny").values()), dtype=torch.float64, device="cpu"
        ),
        lambda: load_backbone("tiny").encode(content, ["relu2_1"])["relu2_1"],
        lambda: load_image(tmp_path / "out.png", size=20),
        replayed,
    ):
        replayed()
        assert_independent_of_the_caller(compute, ["no_grad", "float64", "bfloat16", "meta", "deterministic"])


def test_a_training_does_not_depend_on_the_settings_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.training.recipes.base.SHEET", 32)
    photos, paintings = (write_pictures(tmp_path / kind, 2) for kind in ("photos", "paintings"))
    settings: dict[str, Any] = {"steps": 2, "batch": 2, "crop": 32, "device": "cpu", "precision": "fp32"}
    folders = map(str, range(10))

    def trained() -> Tensor:
        output = tmp_path / next(folders)
        weights = train("micro", output=output, photos=photos, paintings=paintings, **settings).output
        assert weights is not None
        with torch_defaults():
            return torch.cat([weight.flatten() for weight in load_file(weights).values()])

    assert_independent_of_the_caller(trained, ["float64", "everything"])


def test_the_losses_of_a_step_can_be_computed_later_under_other_settings() -> None:
    content, steps = sample("woodcut", 32), list[impasto.Step]()
    for method in ("gatys", "gpdm"):
        impasto.stylize(content, sample("mosaic", 32), method, on_step=steps.append, **settings_of(method))
        expected = steps[-1].losses_of(content)
        for name in ("float64", "meta", "everything"):
            with CALLERS[name]():
                assert steps[-1].losses_of(content) == expected


def test_what_was_created_under_other_settings_can_be_used_later() -> None:
    content, style, settings = sample("woodcut", 32), sample("mosaic", 32), settings_of("gatys")
    expected = impasto.stylize(content, style, **settings).image
    for name in ("everything", "no_grad"):
        with CALLERS[name]():
            stylizer, backbone = impasto.Stylizer(style, **settings), load_backbone("tiny")
        assert torch.equal(stylizer.stylize(content).image, expected)
        image = content.clone().requires_grad_()
        backbone.encode(image, ["relu2_1"])["relu2_1"].sum().backward()  # type: ignore[no-untyped-call]
        assert image.grad is not None
    with torch.inference_mode():
        pictures = content.clone(), style.clone()
    assert torch.equal(impasto.stylize(*pictures, **settings).image, expected)


def test_calls_in_several_threads_restore_the_settings_when_the_last_one_ends() -> None:
    entered, leave = threading.Barrier(2), [threading.Event(), threading.Event()]
    seen: list[torch.dtype] = []

    def compute(index: int) -> None:
        with torch_defaults():
            entered.wait(TIMEOUT)
            leave[index].wait(TIMEOUT)
            seen.append(torch.get_default_dtype())

    with default_dtype(torch.float64):
        before = random_state()
        threads = [threading.Thread(target=compute, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread, event in zip(threads, leave, strict=True):
            event.set()
            thread.join(TIMEOUT)
        assert seen == [torch.float32, torch.float32]
        assert torch.get_default_dtype() is torch.float64
        assert random_state() == before


def test_a_call_inside_a_call_does_not_change_the_random_numbers_of_the_outer_one() -> None:
    def numbers(inner: bool) -> list[float]:
        with torch_defaults(seed=3):
            first = torch.rand(()).item()
            if inner:
                with torch_defaults():
                    torch.rand(2)
            return [first, torch.rand(()).item()]

    assert numbers(inner=True) == numbers(inner=False)
