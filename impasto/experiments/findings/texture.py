"""Whether styles of rich texture are taken over more fully than flat ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median

from impasto.experiments.findings.finding import Finding, nothing
from impasto.experiments.run import Run
from impasto.experiments.statistics import Correlation, bootstrap_correlation
from impasto.images import blur, load_image
from impasto.images.luminance import REC709
from impasto.metrics import METRICS
from impasto.samples import BLURRED, resolve
from impasto.types import Image

SCALE = 2 / 256
"""Standard deviation of the Gaussian that separates texture from the rest, as a share of the longer side."""
TITLE = "Texture energy against strength of transfer"


def texture_energy(image: Image) -> float:
    """Mean squared difference of the luminance, in [0, 1], to itself after a Gaussian of 1/128 of the longer side.

    Of a picture `(1, 3, H, W)`; 0 for a flat one, near 0.25 for a fine chequerboard of black and white. At 256 pixels
    the Gaussian is 2 pixels wide, so that waves shorter than about 12 pixels count.
    """
    gray = (image * image.new_tensor(REC709).view(1, 3, 1, 1)).sum(1, keepdim=True)  # (1, 1, H, W)
    return float((gray - blur(gray, SCALE * max(image.shape[-2:]))).square().mean())


def texture(runs: Sequence[Run], folder: Path) -> Finding:
    """Rank correlation of the styles' texture energy with the strength of transfer.

    Strength is the share of a style metric's distance from photograph to style that the painting has covered: 1 less
    the metric's value over that of the photograph itself. The interval draws whole families of styles, a style and its
    blurred copies being one, for these are no independent witnesses.
    """
    done = [run for run in runs if run.status == "done" and "identity" in run.sanity]
    metrics = [name for name in _style_metrics(done) if all(name in run.metrics for run in done)]
    if not done or not metrics:
        return nothing(TITLE, "no run was judged by a metric of style for which lower is better")
    energies = _energies(done, folder)
    if len({_family(style) for style in energies}) < 3:
        return nothing(TITLE, "it takes three styles or more")
    strengths = {name: _strengths(done, name) for name in metrics}
    rows: tuple[tuple[str | float | None, ...], ...] = tuple(
        (style, energies[style], *(strengths[name][style] for name in metrics))
        for style in sorted(energies, key=lambda style: energies[style])
    )
    sentences = [text for name in metrics for text in _told(name, energies, strengths[name])]
    columns = ("style", "texture energy", *(f"strength by {name}" for name in metrics))
    return Finding(TITLE, tuple(sentences), columns, rows)


def _told(metric: str, energies: dict[str, float], strengths: dict[str, float]) -> Iterator[str]:
    families: dict[str, list[tuple[float, float]]] = {}
    for style, energy in energies.items():
        families.setdefault(_family(style), []).append((energy, strengths[style]))
    found = bootstrap_correlation(list(families.values()))
    yield f"By {metric}: {_in_words(found)}; {len(energies)} styles of {len(families)} families."
    sharp = [pairs for family, pairs in families.items() if len(pairs) > 1]
    if sharp:
        higher = sum(max(pairs)[1] > min(pairs)[1] for pairs in sharp)
        gain = median(max(pairs)[1] - min(pairs)[1] for pairs in sharp)
        yield (
            f"By {metric}: of one style, the copy with most texture is taken over more fully than that with least"
            f" {higher} times of {len(sharp)}; median difference of strength {gain:+.3f}."
        )


def _in_words(found: Correlation | None) -> str:
    if found is None:
        return "no correlation, for all are alike"
    return f"rank correlation {found.value:+.2f} (95 % interval {found.low:+.2f} to {found.high:+.2f})"


def _style_metrics(runs: Sequence[Run]) -> list[str]:
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    return [n for n in names if n in METRICS and METRICS[n].measures == "style" and METRICS[n].lower_is_better]


def _energies(runs: Sequence[Run], folder: Path) -> dict[str, float]:
    """The texture energy of each style, at the longer side of its paintings."""
    sides = {run.task.style: max(run.curve[-1].size) for run in runs if run.curve}
    return {style: texture_energy(load_image(resolve(style), size=side)) for style, side in sides.items()}


def _strengths(runs: Sequence[Run], metric: str) -> dict[str, float]:
    """The mean strength of each style, over its paintings."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(run.task.style, []).append(1 - run.metrics[metric] / run.sanity["identity"][metric])
    return {style: fmean(values) for style, values in found.items()}


def _family(style: str) -> str:
    """The style that a blurred one was made of."""
    blurred = BLURRED.fullmatch(style)
    return blurred[1] if blurred else style
