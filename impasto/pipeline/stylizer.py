"""Stylize images: the function and the class that the command line, the studio and Python use."""

from __future__ import annotations

import math
import os
import platform
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.allocator import large_blocks, returned_memory
from impasto.backbones.chain import TooSmallError
from impasto.backbones.tile_workers import TileWorkers
from impasto.color.transfer import prepare_colors, recolor_steps
from impasto.config import MethodConfig, settings_of
from impasto.devices import (
    PRECISION_NAMES,
    peak_memory_mib,
    pick_device,
    pick_dtype,
    torch_defaults,
)
from impasto.executors import ONE_PROCESS, Executor, Runners, WorkerOptions
from impasto.images import (
    LARGE_PIXELS,
    MAX_PIXELS,
    Picture,
    Source,
    check_shape,
    is_large,
    large_images_in,
    quantize,
    resize,
    visible_part,
)
from impasto.methods import METHODS, Method, configure
from impasto.pipeline.checkpoint import Checkpoint, Interrupted, read_checkpoint
from impasto.pipeline.load_inputs import open_input, open_masks, open_start, split_pictures
from impasto.pipeline.memory import check_memory
from impasto.pipeline.notebook import in_notebook, notebook_progress, thumbnail
from impasto.pipeline.plan import Plan, plan_run
from impasto.pipeline.result import Input, Result
from impasto.pipeline.run import OnStep, run_to_end
from impasto.pipeline.start_methods import details_method, start_method
from impasto.pipeline.state_file import state_size
from impasto.pipeline.too_small import explain_too_small
from impasto.regions.outside import keep_outside
from impasto.regions.split import check_masks, split_regions
from impasto.regions.subject import Region, Style, Subject
from impasto.types import Step
from impasto.weights import sha256_of


def stylize(
    content: Source,
    style: Source | Sequence[Source] = (),
    method: str = "gatys",
    *,
    on_step: OnStep | None = None,
    output: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    max_pixels: int = MAX_PIXELS,
    workers: int = 1,
    runner: Runners | Executor = "processes",
    **settings: Any,
) -> Result:
    """Stylize a content image with one or several style images, whatever the settings of PyTorch of the caller.

    Args:
        content: path, name of a sample, open file, PIL image, array `(H, W, 3)` of uint8, uint16 or floats in [0, 1],
            or tensor `(3, H, W)` or `(1, 3, H, W)` of sRGB values in [0, 1].
        style: the same, or several, weighted by `style_mix`; none for weights of `impasto.adapt`, which contain it.
        method: name of the method; `impasto methods` lists them.
        on_step: called with every step; returning False stops the run.
        output: file that the image will be saved to: a size that its format cannot store is refused before the run.
        checkpoint: file that is written every five minutes, from which the same call continues; remove it at the end.
        max_pixels: images with more pixels are refused.
        workers: number of processes that compute the tiles of the image, with a matching method.
        runner: where they run, as in `WorkerOptions`.
        settings: settings of the method; `start`, `mask` and `style_mask` may be pictures like `content`.

    Returns:
        The image with the lowest loss, and everything needed to compute it again.

    Raises:
        ValueError: in one line, for a mistake of the caller, such as the checkpoint of another run.

    >>> tuple(stylize("woodcut", "mosaic", backbone="tiny", size=64, steps=3).image.shape)
    (1, 3, 51, 64)
    """
    with returned_memory():
        run = partial(Stylizer(style, method, max_pixels=max_pixels, **settings).stylize, content, on_step=on_step)
        return run(output=output, checkpoint=checkpoint, workers=WorkerOptions(workers, runner))


def plan(
    content: Source,
    style: Source | Sequence[Source] = (),
    method: str = "gatys",
    *,
    output: str | os.PathLike[str] | None = None,
    max_pixels: int = MAX_PIXELS,
    workers: int = 1,
    runner: Runners | Executor = "processes",
    **settings: Any,
) -> Plan:
    """Return the expected time and memory of a stylization on this machine, without carrying it out.

    The arguments are those of `stylize`.

    Returns:
        Sizes, steps, seconds and memory; a small trial takes a few seconds to measure them.

    Raises:
        ValueError: as `stylize`, but not for a lack of memory, see `Plan.problem`.

    >>> plan("woodcut", "mosaic", backbone="tiny", size=48, steps=3).steps
    3
    """
    with returned_memory():
        options = WorkerOptions(workers, runner)
        return Stylizer(style, method, max_pixels=max_pixels, **settings).plan(content, options, output=output)


class Stylizer:
    """A method with its settings and styles, for many content images: networks and styles are read once.

    Args:
        style, method, max_pixels, settings: as for `stylize`.

    Raises:
        ValueError: in one line, for settings and styles that are wrong.

    >>> stylizer = Stylizer("mosaic", backbone="tiny", size=48, steps=2)
    >>> [stylizer.stylize(content).steps for content in ("woodcut", "brushstrokes")]
    [2, 2]
    """

    @torch_defaults()
    def __init__(
        self,
        style: Source | Sequence[Source] = (),
        method: str = "gatys",
        *,
        max_pixels: int = MAX_PIXELS,
        **settings: Any,
    ) -> None:
        self.method, self.max_pixels = method, max_pixels
        METHODS[method].check_given(settings)
        settings, pictures = split_pictures(settings)
        self.config: MethodConfig = configure(method, settings)
        self.instance = METHODS[method](self.config)
        self._start_method, self._details_method = start_method(self.instance), details_method(self.instance)
        pick_device(self.config.device)  # raises an error if it does not exist
        self._files: dict[str, tuple[Source, ...]] = {**self.instance.inputs(self.config), **pictures}
        given = style if isinstance(style, Sequence) and not isinstance(style, str) else [style]
        sources = given or self.instance.own_styles(self.config)
        self._mix = _mix(self.config.style_mix, len(sources))
        check_masks(self.config, len(sources))
        side = self._style_side
        styles, entries = zip(*(open_input("style", each, max_pixels, side) for each in sources), strict=True)
        self._styles = [each.image for each in styles]
        self._style_alphas = [visible_part(each.alpha) for each in styles]
        self._start = open_start(self._files["start"], max_pixels, self._longer_side)
        self.styles: tuple[Input, ...] = entries
        self.config = self.instance.with_styles(self.config, [each.sha256 for each in entries])
        self.instance = self.instance.with_config(self.config)
        self.start: tuple[Input, ...] = () if self._start is None else (self._start[1],)

    def stylize(
        self,
        content: Source,
        *,
        on_step: OnStep | None = None,
        output: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        workers: WorkerOptions = ONE_PROCESS,
    ) -> Result:
        """Stylize one content image; the result does not depend on those before.

        Args:
            content: as for `stylize`.
            on_step: called with every step; returning False stops the run.
            output: as for `stylize`.
            checkpoint: as for `stylize`.
            workers: processes that compute the tiles of the image, with a matching method.

        Returns:
            The image with the lowest loss.

        Raises:
            ValueError: in one line, for a content image or a mask that is wrong.
        """
        with (
            torch_defaults(self.config.seed, self._device),
            large_blocks(kept=False),
            large_images_in(_folder_of(output)),
        ):
            picture, entry = open_input("content", content, self.max_pixels, self._longer_side)
            if output is not None:
                check_shape(output, self.instance.final_shape(self.config, picture.image))
            with (
                self._explained(picture, entry),
                notebook_progress(self.method, on_step) as listener,
                self._in_workers(workers) as method,
            ):
                return self._stylize(method, picture, entry, listener, None if checkpoint is None else Path(checkpoint))

    @property
    def _longer_side(self) -> int | None:
        """Longer side of the output in pixels; None: that of the content image."""
        return self.instance.final_size(self.config) or None

    @property
    def _style_side(self) -> int | None:
        """Longer side in pixels that is needed of a style image; None: its own."""
        side, start = self._longer_side, self.instance.start(self.config)
        if side is None:
            return None
        largest = math.ceil(side * self.config.style_scale * max(self.config.region_style_scale, default=1.0))
        if start is not None and start.kind == "style":
            return max(largest, 2 * side)  # resized to the shape of the output, which looks right from twice its size
        return largest

    @property
    def _device(self) -> torch.device:
        """The device of this machine: a stylizer may be sent to another one."""
        return pick_device(self.config.device)

    def output_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width of the output for those of a content image, in pixels."""
        return self.instance.final_shape(self.config, torch.empty(1, 3, *shape, device="meta"))

    def plan(
        self,
        content: Source,
        workers: WorkerOptions = ONE_PROCESS,
        *,
        output: str | os.PathLike[str] | None = None,
    ) -> Plan:
        """Return the expected time and memory of a run, which a small trial takes a few seconds to measure.

        Args:
            content: as for `stylize`.
            workers: as for `stylize`.
            output: file that the image would be saved to, on whose disk temporary files would be.

        Raises:
            ValueError: as `stylize`, but not for a lack of memory.
        """
        with torch_defaults(self.config.seed, self._device), large_images_in(_folder_of(output), planned=True):
            picture, entry = open_input("content", content, self.max_pixels, self._longer_side)
            with self._explained(picture, entry), self._in_workers(workers) as method:
                subject, _ = self.prepare(picture)
                planned = subject
                if self._longer_side is None and picture.reduced_from is not None:
                    _check_large(self.config)
                    picture = replace(picture, image=torch.empty(1, 3, *picture.shape, device="meta"))
                    planned = replace(subject, content=picture.image)
                return plan_run(self.method, self._resolved(method, picture, None), planned, subject)

    @contextmanager
    def _in_workers(self, options: WorkerOptions) -> Iterator[Method]:
        """Return the method with its workers if there are any, which end with the context."""
        executor = options.executor
        if executor is None:
            yield self.instance
        else:
            with TileWorkers(executor, options.workers) as workers:
                yield self.instance.in_workers(workers)

    @contextmanager
    def _explained(self, picture: Picture, entry: Input) -> Iterator[None]:
        """Explain the error of an image that is too small for a layer."""
        try:
            yield
        except TooSmallError as error:
            size = max(self.instance.final_shape(self.config, picture.image))
            pictures = [(entry, picture.image), *zip(self.styles, self._styles, strict=True)]
            raise ValueError(explain_too_small(error, pictures, size)) from None

    def _stylize(
        self, method: Method, picture: Picture, entry: Input, on_step: OnStep | None, checkpoint: Path | None
    ) -> Result:
        subject, masks = self.prepare(picture)
        inputs = (entry, *self.styles, *masks, *self.start)
        identity = partial(self._identity, inputs)
        interrupted = None if checkpoint is None else read_checkpoint(checkpoint, identity)
        method = self._resolved(method, picture, interrupted)
        settings = settings_of(method.config)
        best, curve, stopped = run_to_end(
            self._steps(method, subject, picture, interrupted),
            on_step,
            curve=() if interrupted is None else interrupted.curve,
            checkpoint=None if checkpoint is None else Checkpoint(checkpoint, identity, settings),
        )
        shape = self.instance.final_shape(self.config, picture.image)
        image = resize(best.image(), shape)  # changes the size only where the run was stopped at a coarser one
        return Result(
            image=image,
            alpha=None if picture.alpha is None else resize(picture.alpha, shape),
            method=self.method,
            settings=settings,
            losses=best.losses_of(quantize(image) if best.size == shape else best.image()) if best.losses else {},
            curve=tuple(curve),
            best=best.index,
            stopped=stopped,
            seconds=curve[-1].seconds,
            device=str(self._device),
            precision=self._precision,
            peak_memory_mib=peak_memory_mib(self._device),
            inputs=inputs,
            weights=self.weights,
            versions=_versions(),
            note=self.instance.note(self.config),
            metadata=picture.metadata,
            before=thumbnail(picture.image) if in_notebook() else None,
        )

    def _steps(
        self, method: Method, subject: Subject, picture: Picture, interrupted: Interrupted | None
    ) -> Iterator[Step]:
        """Return the steps of a run, or those with which the interrupted run continues."""
        loaded = 0 if interrupted is None else state_size(interrupted.state)
        check_memory(self.method, method, subject, loaded)  # also of a run that continues: it may have been too large
        steps = method.run(subject) if interrupted is None else method.resume(subject, interrupted.state)
        steps = recolor_steps(self.config.color, steps, picture.image, visible_part(picture.alpha))
        if self.config.outside == "keep":
            steps = keep_outside(steps, subject, picture.image)
        return map(partial(_with_alpha, picture.alpha), steps)

    def _resolved(self, method: Method, picture: Picture, interrupted: Interrupted | None) -> Method:
        """Return the method with a value for each setting, that of the interrupted run if there is one."""
        if interrupted is None:
            found = method.resolved(picture.image)
        else:
            given = settings_of(self.config)
            resolved = {name: value for name, value in interrupted.settings.items() if value != given[name]}
            found = method.with_config(replace(self.config, **resolved))
        if found.workers is not None and not found.is_tiled(picture.image):
            height, width = found.final_shape(found.config, picture.image)
            run = "the interrupted run" if interrupted else "the run"
            warnings.warn(
                f"workers: {run} computes {width}x{height} pixels without tiles, in one process", stacklevel=2
            )
        return found

    def _identity(self, inputs: Sequence[Input]) -> dict[str, Any]:
        """Return what must be the same for a run to continue from a checkpoint, as JSON values."""
        return {
            "method": self.method,
            "settings": settings_of(self.config),
            "inputs": {f"{i} ({each.role})": each.sha256 for i, each in enumerate(inputs, 1)},
            "weights": self.weights,
            "device": str(self._device),
            "precision": self._precision,
            "versions": _versions(),
        }

    @property
    def _precision(self) -> str:
        return PRECISION_NAMES[pick_dtype(self.config.precision, self._device)]

    @cached_property
    def weights(self) -> dict[str, str]:
        """Name and SHA-256 of the weights file, downloaded if necessary; empty where the method reads none."""
        file = self.instance.weights(self.config)
        return {} if file is None else {"name": file.name, "sha256": sha256_of(file)}

    def prepare(
        self, content: Picture, masks: Sequence[Picture] = (), colors: np.ndarray | None = None
    ) -> tuple[Subject, list[Input]]:
        """Return the content with its regions, styles and start, and the entries of the masks.

        Args:
            content: an opened content image with filled transparent parts.
            masks: pictures in place of the files of the setting `mask`, whose entries are then left out.
            colors: as for `region_areas`.

        Raises:
            ValueError: if a mask is wrong.
        """
        config = self.config
        if is_large(content.image.shape):
            _check_large(config)
        visible = visible_part(content.alpha)
        image, colored = prepare_colors(config.color, content.image, self._styles, visible, self._style_alphas)
        styles = tuple(map(Style, colored, self._mix, self._style_alphas))
        files = {**self._files, "mask": ()} if masks else self._files
        opened, style_masks, entries = open_masks(files, self.max_pixels)
        subject = Subject(image, (Region(styles, visible=visible),))
        if masks or entries:
            shape = self.instance.final_shape(config, content.image)
            subject = split_regions(config, image, styles, masks or opened, style_masks, shape, visible, colors)
        if self._start_method is not None:
            *_, step = self._start_method.run(subject)
            subject = replace(subject, start=step.image())
        elif self._start is not None:
            subject = replace(subject, start=self._start[0].image)
        if self._details_method is not None:
            *_, step = self._details_method.run(subject)
            subject = replace(subject, details=step.image())
        return subject, entries


def _folder_of(output: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder of an output if it exists; None: that of temporary files."""
    folder = None if output is None else Path(output).absolute().parent
    return folder if folder is not None and folder.is_dir() else None


def _check_large(config: MethodConfig) -> None:
    """Raise `ValueError` for settings that need copies of a large content image in memory."""
    for name, is_default in (("color", config.color == "style"), ("mask", not config.mask)):
        if not is_default:
            raise ValueError(
                f"{name}: it is not available for a content image of more than {LARGE_PIXELS} pixels at its own size; "
                f"give a smaller size, or leave {name} out"
            )


def _mix(weights: Sequence[float], count: int) -> list[float]:
    """Return the weight of each of `count` styles; they sum to 1."""
    if count == 0:
        raise ValueError("style: no style image is given; give at least one")
    if not weights:
        return [1 / count] * count
    if len(weights) != count:
        raise ValueError(f"style_mix: {len(weights)} weights, but {count} style image(s); give one weight per style")
    total = sum(weights)
    if not total > 0:
        raise ValueError("style_mix: every weight is 0; give at least one above 0")
    return [weight / total for weight in weights]


def _with_alpha(alpha: Tensor | None, step: Step) -> Step:
    return replace(step, alpha=alpha)


@cache
def _own_version() -> str:  # looking it up takes 3 ms
    return version("impasto")


def _versions() -> dict[str, str]:
    return {"impasto": _own_version(), "torch": torch.__version__, "python": platform.python_version()}
