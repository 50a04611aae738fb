"""Write loss curves as SVG, CSV or JSON files."""

from __future__ import annotations

import csv
import gc
import io
import json
from collections.abc import Sequence
from pathlib import Path

from impasto.files import check_replaceable, check_writable, write_atomically
from impasto.types import Step

FORMATS = (".svg", ".csv", ".json")


def check_curves(path: str | Path) -> None:
    """Check that `save_curves` can write a file, before a long computation.

    Raises:
        ValueError: if the suffix is unknown, matplotlib is missing or the file cannot be written.
    """
    check_replaceable(path)
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"cannot write curves to {str(path)!r}: its suffix must be one of {', '.join(FORMATS)}")
    if suffix == ".svg":
        try:
            import matplotlib as _  # noqa: F401
        except ImportError:
            raise ValueError(
                "curves as .svg need matplotlib: pip install impasto[report]; or write .csv or .json"
            ) from None
    check_writable(path)


def save_curves(curve: Sequence[Step], path: str | Path) -> None:
    """Write all loss terms against steps, evaluations and seconds.

    Args:
        curve: steps of a run or of a training.
        path: file with the suffix `.svg` (a plot), `.csv` or `.json`.

    Raises:
        ValueError: as for `check_curves`.
    """
    check_curves(path)
    write = {".svg": _svg, ".csv": _csv, ".json": _json}[Path(path).suffix.lower()]
    write_atomically(path, write(curve))
    if write is _svg:
        gc.collect()  # matplotlib leaves exceptions in cycles, which keep the variables of all callers: the networks


def _json(curve: Sequence[Step]) -> bytes:
    return json.dumps([step.to_json() for step in curve], indent=1).encode()


def _csv(curve: Sequence[Step]) -> bytes:
    terms = list(dict.fromkeys(name for step in curve for name in step.losses))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "evaluations", "seconds", "height", "width", "total", *terms])
    for step in curve:
        figures = [step.loss, *(step.losses.get(name, "") for name in terms)]
        writer.writerow([step.index, step.evaluations, f"{step.seconds:.3f}", *step.size, *figures])
    return text.getvalue().encode()


def _svg(curve: Sequence[Step]) -> bytes:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(kind for step in curve for kind in step.by_kind() if kind != "total"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "impasto", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        against_steps, against_seconds = figure.subplots(1, 2, sharey=True)
        for axes, xs, label in (
            (against_steps, [step.index for step in curve], "steps"),
            (against_seconds, [step.seconds for step in curve], "seconds"),
        ):
            axes.plot(xs, [step.loss for step in curve], color="black", label="total")
            for kind in kinds:
                axes.plot(xs, [step.by_kind().get(kind, 0.0) for step in curve], label=kind, linewidth=1)
            axes.set(yscale="log", xlabel=label)
            axes.grid(alpha=0.25)
        against_steps.set_ylabel("weighted loss")
        against_steps.legend(frameon=False)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
