"""A folder of photographs, painted one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impasto.devices import reset_peak_memory
from impasto.files import clean_up_on_error
from impasto.images import MAX_PIXELS, Bits, Source
from impasto.pipeline.folder_plan import SUFFIX, Task, plan
from impasto.pipeline.result import record_path
from impasto.pipeline.stylizer import OnStep, Stylizer


@dataclass(frozen=True)
class Painting:
    """A task, and how it went."""

    content: Path
    output: Path
    status: Literal["painted", "skipped", "failed"]
    record: dict[str, Any] | None = None
    """What `Result.record` says of it, without the curve; None where it failed."""
    error: str | None = None
    """One line, where it failed."""


OnPicture = Callable[[Painting], object]
"""Called with every picture that is done with; returning False ends the work there."""


def stylize_folder(
    content: str | Path,
    style: Source | Sequence[Source],
    output: str | Path,
    method: str = "gatys",
    *,
    suffix: str = SUFFIX,
    bits: Bits = 8,
    overwrite: bool = False,
    on_picture: OnPicture | None = None,
    on_step: OnStep | None = None,
    max_pixels: int = MAX_PIXELS,
    **settings: Any,
) -> list[Painting]:
    """Paints every picture of a folder, and of the folders in it, into another folder: `a/b.jpg` becomes `a/b.png`.

    What lies there with a record of the same photograph, styles and settings is skipped, so the same call goes on where
    it was stopped. A picture that fails stops no other.

    Args:
        content: the folder of photographs; hidden files and folders are left out.
        style, method, max_pixels, settings: as for `stylize`; but no masks, which belong to one photograph.
        output: the folder of the paintings and their records, made if need be; it may lie inside `content`.
        suffix: format of the paintings.
        bits: a channel; 16 needs `.png` or `.tif`.
        overwrite: whether to paint anew where anything else lies in a painting's place.
        on_picture: called with every picture; returning False ends the work.
        on_step: called with every step; returning False stops that painting, which is kept.

    Returns:
        What became of each picture.

    Raises:
        ValueError: in one line and before anything is painted, where it can be told by then; without `overwrite` also
            where something else lies in a painting's place.
    """
    stylizer = Stylizer(style, method, max_pixels=max_pixels, **settings)
    tasks = plan(content, output, stylizer, suffix=suffix, bits=bits, overwrite=overwrite)
    done: list[Painting] = []
    for painting in carry_out(tasks, stylizer, bits=bits, on_step=on_step):
        done.append(painting)
        if on_picture is not None and on_picture(painting) is False:
            break
    return done


def carry_out(
    tasks: Sequence[Task], stylizer: Stylizer, *, bits: Bits = 8, on_step: OnStep | None = None
) -> Iterator[Painting]:
    """Paints one task after the other, each when it is asked for.

    Raises `ValueError` where a setting is wrong that only the first painting could tell; else it yields what failed.
    """
    begun = False
    for task in tasks:
        if task.record is not None:
            yield Painting(task.content, task.output, "skipped", record=task.record)
            continue
        try:
            record = _painted(task, stylizer, bits, on_step)
        except Exception as error:  # the other pictures are not to suffer
            text = " ".join(str(error).split())[:500]
            is_mendable = isinstance(error, ValueError)
            if is_mendable and not begun and text.partition(":")[0] in stylizer.config.__dataclass_fields__:
                raise
            kind = "" if is_mendable else f"{type(error).__name__}: "
            where = "" if str(task.content) in text else f"{str(task.content)!r}: "
            yield Painting(task.content, task.output, "failed", error=f"{where}{kind}{text}")
        else:
            begun = True
            yield Painting(task.content, task.output, "painted", record=record)


def _painted(task: Task, stylizer: Stylizer, bits: Bits, on_step: OnStep | None) -> dict[str, Any]:
    """Paints and saves; returns the record."""
    reset_peak_memory()
    result = stylizer.stylize(task.content, on_step=on_step)
    with clean_up_on_error([task.output, record_path(task.output)]):
        task.output.unlink(missing_ok=True)  # or for a moment its record would be that of the next
        result.save(task.output, bits=bits)
    return result.record(curve=False)
