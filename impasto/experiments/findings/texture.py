"""Measure whether styles with much texture are transferred more strongly than flat styles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median

from impasto.experiments.findings.base import Cells, Finding, no_answer
from impasto.experiments.run import Run
from impasto.experiments.statistics import Correlation, bootstrap_correlation
from impasto.images import blur, load_image
from impasto.images.luminance import REC709
from impasto.metrics import METRICS
from impasto.samples import BLURRED, resolve
from impasto.types import Image

SCALE = 2 / 256
"""Standard deviation of the Gaussian that separates texture, as a fraction of the longer side."""
TITLE = "Texture energy and strength of the transfer"


def texture_energy(image: Image) -> float:
    """Return the mean squared difference between the luminance and its Gaussian blur.

    The standard deviation of the Gaussian is 1/128 of the longer side. At 256 pixels it is 2 pixels, so that waves
    shorter than about 12 pixels count.

    Args:
        image: an image, `(1, 3, H, W)`, sRGB in [0, 1].

    Returns:
        0 for a flat image, near 0.25 for a fine checkerboard of black and white.
    """
    gray = (image * image.new_tensor(REC709).view(1, 3, 1, 1)).sum(1, keepdim=True)  # (1, 1, H, W)
    return float((gray - blur(gray, SCALE * max(image.shape[-2:]))).square().mean())


def texture(runs: Sequence[Run], folder: Path) -> Finding:
    """Correlate the texture energy of the styles with the strength of the transfer.

    The strength is the fraction of a style metric's distance from the content image to the style image that the output
    has covered: 1 - metric(output) / metric(content). A style and its blurred copies form a family; the interval
    resamples families, because the members of a family are not independent. Needs SciPy.

    Args:
        runs: all runs of the experiment.
        folder: folder of the experiment.
    """
    done = [run for run in runs if run.status == "done" and "identity" in run.sanity]
    metrics = [name for name in _style_metrics(done) if all(name in run.metrics for run in done)]
    if not done or not metrics:
        return no_answer(TITLE, "no run has a style metric for which lower is better")
    energies = _energies(done)
    if len({_family(style) for style in energies}) < 3:
        return no_answer(TITLE, "the experiment has fewer than three styles")
    strengths = {name: _strengths(done, name) for name in metrics}
    rows: tuple[Cells, ...] = tuple(
        (style, energies[style], *(strengths[name][style] for name in metrics))
        for style in sorted(energies, key=lambda style: energies[style])
    )
    try:
        sentences = [text for name in metrics for text in _sentences(name, energies, strengths[name])]
    except ImportError:
        return no_answer(TITLE, "SciPy is not installed: pip install impasto[report]")
    columns = ("style", "texture energy", *(f"strength by {name}" for name in metrics))
    return Finding(TITLE, tuple(sentences), columns, rows)


def _sentences(metric: str, energies: dict[str, float], strengths: dict[str, float]) -> Iterator[str]:
    families: dict[str, list[tuple[float, float]]] = {}
    for style, energy in energies.items():
        families.setdefault(_family(style), []).append((energy, strengths[style]))
    found = bootstrap_correlation(list(families.values()))
    yield f"By {metric}: {_as_text(found)}; {len(energies)} styles in {len(families)} families."
    blurred = [pairs for family, pairs in families.items() if len(pairs) > 1]
    if blurred:
        higher = sum(max(pairs)[1] > min(pairs)[1] for pairs in blurred)
        gain = median(max(pairs)[1] - min(pairs)[1] for pairs in blurred)
        yield (
            f"By {metric}: in {higher} of {len(blurred)} families, the copy with most texture is transferred more"
            f" strongly than the copy with least; the median difference in strength is {gain:+.3f}."
        )


def _as_text(found: Correlation | None) -> str:
    if found is None:
        return "no rank correlation, because all values are equal"
    return f"rank correlation {found.value:+.2f} (95 % interval {found.low:+.2f} to {found.high:+.2f})"


def _style_metrics(runs: Sequence[Run]) -> list[str]:
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    return [n for n in names if n in METRICS and METRICS[n].measures == "style" and METRICS[n].lower_is_better]


def _energies(runs: Sequence[Run]) -> dict[str, float]:
    """Return the texture energy of each style at the longer side of its outputs."""
    sides = {run.task.style: max(run.curve[-1].size) for run in runs if run.curve}
    return {style: texture_energy(load_image(resolve(style), size=side)) for style, side in sides.items()}


def _strengths(runs: Sequence[Run], metric: str) -> dict[str, float]:
    """Return the mean strength of each style over its runs."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(run.task.style, []).append(1 - run.metrics[metric] / run.sanity["identity"][metric])
    return {style: fmean(values) for style, values in found.items()}


def _family(style: str) -> str:
    """Return the sample of which a blurred style is a copy."""
    blurred = BLURRED.fullmatch(style)
    return blurred[1] if blurred else style
