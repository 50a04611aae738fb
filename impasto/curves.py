"""Loss curves as a file: SVG to look at, CSV and JSON to compute with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from impasto.files import check_writable, write_atomically
from impasto.types import Point

FORMATS = (".svg", ".csv", ".json")


def check_curves(path: str | Path) -> None:
    """Raises `ValueError`, before anything is painted, where `save_curves` would fail."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(
            f"{str(path)!r}: curves can be written as {', '.join(FORMATS)}, not {suffix or 'without suffix'}"
        )
    if suffix == ".svg":
        try:
            import matplotlib as _  # noqa: F401
        except ImportError:
            raise ValueError(
                "curves as .svg need matplotlib: pip install impasto[report]; or write .csv or .json"
            ) from None
    check_writable(path)


def save_curves(curve: Sequence[Point], path: str | Path) -> None:
    """Writes every loss term against steps, evaluations and seconds, in the format of the suffix."""
    check_curves(path)
    write = {".svg": _svg, ".csv": _csv, ".json": _json}[Path(path).suffix.lower()]
    write_atomically(path, write(curve))


def _json(curve: Sequence[Point]) -> bytes:
    return json.dumps([asdict(point) for point in curve], indent=1).encode()


def _csv(curve: Sequence[Point]) -> bytes:
    terms = list(dict.fromkeys(name for point in curve for name in point.losses))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "evaluations", "seconds", "height", "width", "total", *terms])
    for point in curve:
        figures = [sum(point.losses.values()), *(point.losses.get(name, "") for name in terms)]
        writer.writerow([point.step, point.evaluations, f"{point.seconds:.3f}", *point.size, *figures])
    return text.getvalue().encode()


def _svg(curve: Sequence[Point]) -> bytes:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(name.split("/")[0] for point in curve for name in point.losses))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "impasto", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        against_steps, against_seconds = figure.subplots(1, 2, sharey=True)
        for axes, xs, label in (
            (against_steps, [point.step for point in curve], "steps"),
            (against_seconds, [point.seconds for point in curve], "seconds"),
        ):
            axes.plot(xs, [sum(point.losses.values()) for point in curve], color="black", label="total")
            for kind in kinds:
                sums = [sum(v for name, v in point.losses.items() if name.startswith(f"{kind}/")) for point in curve]
                axes.plot(xs, sums, label=kind, linewidth=1)
            axes.set(yscale="log", xlabel=label)
            axes.grid(alpha=0.25)
        against_steps.set_ylabel("weighted loss")
        against_steps.legend(frameon=False)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
