"""Experiments for the tests of the report: a few real runs, and many synthetic ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import impasto
from impasto.experiments.report.tables import SANITY
from impasto.experiments.run import Run, Task
from impasto.metrics.evaluate import evaluate_with_baselines
from impasto.types import Step

PAIRS = (("woodcut", "mosaic"), ("geometric", "inkwash"))
VARIANTS = {"few steps": {"steps": 4}, "more steps": {"steps": 8}, "noise": {"steps": 4, "start": "noise"}}


def run_small(folder: Path) -> list[Run]:
    """Run eight real tasks (two with a second seed) and return them with one failure; write their images."""
    runs = []
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("IMPASTO_CACHE", str(folder / "cache"))
        for content, style in PAIRS:
            for variant, settings in VARIANTS.items():
                for seed in (0, 1) if variant == "noise" else (0,):
                    every = {**settings, "backbone": "tiny", "size": 48, "seed": seed}
                    runs.append(_run(Task(variant, "gatys", every, content, style), folder))
    failed = Task("broken", "gatys", {"steps": -1, "backbone": "tiny", "size": 48, "seed": 0}, *PAIRS[0])
    return [*runs, Run(failed, "failed", error="steps: input should be greater than 0, not -1")]


def synthetic(count: int, folder: Path, variants: int = 10, points: int = 300) -> list[Run]:
    """Return runs that were not computed: images of noise, which compress worst, and long curves."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    names = ("content", "ssim", "cfsd", "gatys_content", "gram", "style", "frechet", "sliced_wasserstein")
    runs = []
    for i in range(count):
        settings = {"seed": 0, "size": 48, "style_weight": float(i % variants)}
        task = Task(f"weight {i % variants}", "gatys", settings, f"content {i // variants}", "mosaic")
        pixels = rng.integers(0, 256, (256, 256, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{i}.jpg", quality=60)
        values = rng.random(len(names))
        metrics = dict(zip(names, values.tolist(), strict=True))
        curve = tuple(
            Step(k + 1, {"content/relu4_2": 1 / (k + 1), "style/relu1_1": 9 / (k + 1)}, 0.01 * k, k + 2, (48, 48))
            for k in range(points)
        )
        losses = {"content": 0.1, "style": 0.9, "total": 1.0}
        sanity = dict.fromkeys(SANITY, metrics)
        runs.append(Run(task, "done", None, f"{i}.jpg", 3.0, 300, 301, 700.0, "steps", losses, metrics, sanity, curve))
    return runs


def _run(task: Task, folder: Path) -> Run:
    result = impasto.stylize(task.content, task.style, task.method, **task.settings)
    picture = result.save(folder / "pictures" / f"{task.key}.png")
    scores = evaluate_with_baselines(task.content, task.style, picture, backbone="tiny")
    return Run(
        task,
        "done",
        picture=str(picture.relative_to(folder)),
        seconds=result.seconds,
        steps=result.steps,
        evaluations=result.evaluations,
        peak_memory_mib=result.peak_memory_mib,
        stopped=result.stopped,
        losses=result.summary()["losses"],
        metrics=scores["output"],
        sanity={name: scores[name] for name in SANITY},
        curve=result.curve,
    )
