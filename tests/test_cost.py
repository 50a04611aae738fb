"""Tests of the counts of memory and memory traffic, against tensors with values."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from support import noise
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.cost import CostCounter, one_of_each, without_values
from impasto.devices import torch_defaults
from impasto.images import load_image
from impasto.losses.sliced_wasserstein import _directions
from impasto.methods import METHODS, configure
from impasto.regions.subject import Region, Style, Subject, single_region
from impasto.samples import resolve

SMALL: dict[str, Any] = {"size": 64, "backbone": "tiny", "vectors": 200, "positions": 64, "projections": 8}


class LiveMemory(TorchDispatchMode):
    """Largest memory of the tensors that a computation with values has at any moment, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._counter = CostCounter([])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, Tensor):
                self._counter._add(each)
        self._counter.peak = max(self._counter.peak, self._counter._used)
        return result

    @property
    def peak(self) -> int:
        return self._counter.peak


def settings_of(method: str, **settings: Any) -> dict[str, Any]:
    """Return the settings that a method has."""
    return {name: value for name, value in settings.items() if name in METHODS[method].Config.__dataclass_fields__}


def peaks(method: str, subject: Subject, **settings: Any) -> tuple[int, int]:
    """Return the counted peak of a trial and that of the same trial with values, in bytes."""
    config = configure(method, settings_of(method, **{**SMALL, **settings}))
    with torch_defaults():
        list(METHODS[method](config).trial(subject, 2))  # measures what is cached
        _directions.cache_clear()  # they are part of what a run needs
        with LiveMemory() as live:
            list(METHODS[method](config).trial(subject, 2))
        shapes = subject.mapped(without_values)
        with CostCounter(
            [shapes.content, *(style.image for region in shapes.regions for style in region.styles)]
        ) as cost:
            list(METHODS[method](config).trial(shapes, 2))
    return cost.peak, live.peak


@pytest.mark.parametrize("method", list(METHODS))
def test_the_counted_peak_is_that_of_the_tensors_of_the_method(method: str) -> None:
    style = load_image(resolve("mosaic"), size=100)
    for precision in ("fp32", "bf16"):
        counted, measured = peaks(method, single_region(noise(1, 3, 120, 160), [style]), precision=precision)
        assert counted == pytest.approx(measured, rel=0.02), precision


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_default_networks_are_counted(precision: str) -> None:
    style = load_image(resolve("mosaic"), size=100)
    settings: dict[str, Any] = {"backbone": "lite", "size": 128, "loss_scales": 2, "precision": precision}
    counted, measured = peaks("gatys", single_region(noise(1, 3, 120, 160), [style]), **settings)
    assert counted == pytest.approx(measured, rel=0.02)


def test_masks_several_styles_pyramids_and_near_scales_are_counted() -> None:
    left = torch.zeros(1, 1, 90, 120)
    left[..., :60] = 1
    styles = (Style(noise(1, 3, 80, 100), 0.5), Style(noise(1, 3, 60, 60), 0.5))
    subject = Subject(noise(1, 3, 90, 120), (Region(styles, "a", left), Region(styles[:1], "b", 1 - left)))
    for method in ("gatys", "strotss", "nnst", "gpdm", "wct"):
        counted, measured = peaks(method, subject, near_scales=2, pyramid=3)
        assert 0.98 * measured < counted < 1.5 * measured, method  # a mask selects everything


def test_tiles_limit_the_counted_memory() -> None:
    subject = single_region(noise(1, 3, 512, 512), [noise(1, 3, 64, 64)]).mapped(without_values)
    peak = {}
    for tile in (0, 128):
        method = METHODS["micro"](configure("micro", {"size": 2048, "tile": tile, "precision": "fp32"}))
        with torch_defaults(), CostCounter([subject.content]) as cost:
            list(method.run(subject))
        peak[tile] = cost.peak
    assert peak[128] < peak[0] / 2


def test_the_count_does_not_depend_on_the_size_in_time_or_memory() -> None:
    subject = single_region(noise(1, 3, 64, 96), [noise(1, 3, 64, 64)]).mapped(without_values)
    method = METHODS["gatys"](configure("gatys", {"backbone": "tiny", "size": 8000, "precision": "fp32"}))
    with torch_defaults(), CostCounter([subject.content]) as cost:
        list(method.trial(subject, 2))
    assert cost.peak > 8000 * 5333 * 12 * 20  # the pairs of L-BFGS alone


def test_operations_with_values_keep_them() -> None:
    image = without_values(torch.ones(1, 3, 8, 8))
    real = torch.arange(4.0)
    with CostCounter([image]) as cost:
        real.add_(image.mean())
        total = (real * 2).sum()
        chosen = image[image > 0.5]
    assert total.item() == 12
    assert real.tolist() == [0, 1, 2, 3]
    assert chosen.shape == (192,)
    assert cost.peak > 0


def test_a_count_leaves_the_computations_of_other_threads_complete() -> None:
    found: list[list[int]] = []
    other = threading.Thread(target=lambda: found.append(list(one_of_each([1, 2, 3], lambda _: "same"))))
    with CostCounter([]):
        other.start()
        other.join()
        assert list(one_of_each([1, 2, 3], lambda _: "same")) == [1]
    assert found == [[1, 2, 3]]
