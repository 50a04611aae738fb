"""Stylize the frames of a shot one after the other, so that the style follows the motion of the clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.images import blur, quantize, resize
from impasto.methods import METHODS, Method, configure
from impasto.methods.feed_forward import FeedForward, Pass, Passes
from impasto.optim.schedule import PixelConfig
from impasto.pipeline.load_inputs import split_pictures
from impasto.pipeline.stylizer import Stylizer
from impasto.regions.subject import Anchor, Subject
from impasto.types import Image, Step
from impasto.video.details import restore_details
from impasto.video.frames import Content, Earlier, FrameStylizer, Stylized, counting
from impasto.video.motion import warp
from impasto.video.settings import FIRST_ORDER_FRAME_STEPS, FRAME_STEPS, VideoSettings
from impasto.video.source import frame_image, frame_pixels

SPREAD = 0.1
"""Difference to the frame before, root mean square in units of the pixel range, whose term is as large as all other
losses at the end of the first frame of a shot, at a temporal weight of 1."""
LATER_STEPS = 1 / 2
"""Steps of a frame in a pass after the first one, relative to those in the first one."""
MEETING = 0.5
"""Fraction of the frame before, moved with the clip, in the start of a frame in a pass after the first one."""
STROKES = 1 / 64
"""Standard deviation of the blur that separates strokes from the rest, relative to the longer side of a frame."""
RIDGE = 1e-4
"""Weight of the size of the coefficients in the fit of colors, relative to that of the differences."""


OnIteration = Callable[[Step], object]
"""Called with every step of an optimization."""


class OnePassFrames(FrameStylizer):
    """Frames of a feed-forward method: codes and means over the image are those of the whole shot.

    Each frame is blended with the one before, which is moved by the optical flow, where the flow is reliable.
    """

    samples = 16
    preset = "fast"
    unused = ("temporal_weight", "frame_steps", "long_term", "passes")
    kind = "stylizes a frame in one pass"

    def begin_shot(self, samples: Sequence[Content]) -> None:
        """Compute the codes and the means of the shot: the mean over the samples."""
        super().begin_shot(samples)
        assert self._template is not None
        if METHODS[self._stylizer.method].any_style:  # otherwise, the network is found by the style image
            shape, config = samples[0].pixels.shape[:2], self._stylizer.config
            resized = self._template.resized((shape[0], shape[1]), style_scale=config.style_scale)
            self._template = replace(self._template, regions=resized.regions)
        count = len(self.styles)
        mixes = [[float(i == k) for i in range(count)] for k in range(count)] if self._keyframes else [None]
        self._passes = [self._recorded(samples, mix) for mix in mixes]

    def stylize(self, content: Content, earlier: Earlier, values: dict[str, Any]) -> Stylized:
        """Return the stylized frame; arguments as for `FrameStylizer.stylize`."""
        image, subject = frame_image(content.pixels), self._subject(content)
        passes = _mean_passes(self._passes, self._mix(content.seconds) or [1.0])
        stylized = self._colored(self._run(subject, Passes(passes)), image)
        if 1 in earlier and self._settings.blend > 0:
            motion = self._motion(content.pixels, earlier[1])
            before = frame_image(warp(earlier[1].continued(), motion.flow, cubic=True))
            blended = torch.lerp(stylized, before, self._settings.blend * _as_mask(motion.weight))
            stylized = _with_details(blended, stylized)
        return Stylized(frame_pixels(self._surrounded(stylized, image, subject)))

    def _recorded(self, samples: Sequence[Content], mix: list[float] | None) -> list[Pass]:
        """Return the mean of the passes of some frames: statistics over all of them together.

        A region that is empty in a frame has the statistics of the whole frame there.
        """
        runs = []
        for content in samples:
            passes, subject = Passes(), self._subject(content, mix)
            regions = tuple(each if each.area > 0 else replace(each, mask=None) for each in subject.regions)
            self._run(replace(subject, regions=regions), passes)
            runs.append(passes.recorded)
        return _mean_passes(runs, [1 / len(runs)] * len(runs))

    def _run(self, subject: Subject, passes: Passes) -> Image:
        method = self._stylizer.instance
        assert isinstance(method, FeedForward)
        with self._defaults():
            return method.stylize(subject, passes)


class OptimizedFrames(FrameStylizer):
    """Frames of an optimizing method (after Ruder, Dosovitskiy & Brox, GCPR 2016, arXiv 1604.08610).

    The first frame of a shot that has a region is stylized as an image, and so is the first one after frames without a
    region, unless a long-term frame has one. Every other one starts from the nearest earlier frame, moved by the
    optical flow, and has a term that keeps it close to that where the flow is reliable. Where the earlier frame does
    not show a pixel, or shows it outside the regions as the content, the start is the content in the colors of the
    output: from its own colors, a few steps would not get to those of the style. It has the strokes of the moved frame,
    at whatever position: where the flow fails again and again, as around a fast object, strokes would never develop.

    Later passes run backward and forward in turn, with fewer steps, against drift. The frame with which one begins
    stays as it is.

    Departs from the paper: the temporal weight is relative to the loss of that first frame, so that it means the same
    for every method and network. There, every frame of the first pass is stylized alone, from noise, and the temporal
    term counts in the last passes only.

    Args:
        first: method, settings and styles for the first frame of a shot.
        following: settings of the method for the other frames: one size and few steps.
        settings: settings of the clip.
        on_iteration: called with every step.
        colors: as for `FrameStylizer`.
    """

    unused = ("blend",)
    kind = "optimizes each frame"

    def __init__(
        self,
        first: Stylizer,
        following: PixelConfig,
        settings: VideoSettings,
        on_iteration: OnIteration | None = None,
        colors: np.ndarray | None = None,
    ) -> None:
        super().__init__(first, settings, colors)
        self.gaps = (1, *sorted(set(settings.long_term)))
        self.passes = settings.passes
        self._following_config, self._on_iteration = following, on_iteration

    def stylize(self, content: Content, earlier: Earlier, values: dict[str, Any]) -> Stylized:
        """Return the stylized frame; arguments as for `FrameStylizer.stylize`."""
        if not self.has_region(content):
            return Stylized(content.pixels, content.pixels)
        whole, image = self._subject(content, self._mix(content.seconds)), frame_image(content.pixels)
        with self._defaults():
            if not earlier:
                stylized, loss = self._optimized(self._stylizer.instance, whole, image)
                return replace(stylized, values={"loss": loss})
            anchors, shown, painted = self._anchors(content.pixels, earlier, values)
            moved, weight = anchors[0].image, anchors[0].mask
            start = torch.lerp(with_strokes(recolored(image, moved, weight), moved, painted), moved, shown)
            return self._optimized(self._following, whole, image, start, anchors)[0]

    def revise(self, content: Content, stylized: Stylized, earlier: Earlier, values: dict[str, Any]) -> Stylized:
        """Return the frame of a later pass; arguments as for `FrameStylizer.revise`.

        The start is the mean of the frame of the pass before and of the frame that is next to it, moved with the clip,
        where the flow is reliable.
        """
        if not self.has_region(content):
            return stylized
        whole, image = self._subject(content, self._mix(content.seconds)), frame_image(content.pixels)
        with self._defaults():
            anchors, *_ = self._anchors(content.pixels, earlier, values)
            before = frame_image(stylized.pixels if stylized.state is None else stylized.state)
            start = torch.lerp(before, anchors[0].image, MEETING * anchors[0].mask)
            return self._optimized(self._revising, whole, image, start, anchors)[0]

    def _optimized(
        self, method: Method, whole: Subject, image: Image, start: Image | None = None, anchors: tuple[Anchor, ...] = ()
    ) -> tuple[Stylized, float]:
        """Return the best image of a run of a method, and its loss."""
        config = self._stylizer.config
        anchors = tuple(each for each in anchors if each.weight > 0)
        subject = replace(whole, regions=counting(whole.regions), start=start, anchors=anchors)
        best = self._best_step(method.resolved(image).run(subject))
        raw = resize(best.image(), (image.shape[-2], image.shape[-1]))
        changes_colors = config.color in ("luminance", "histogram") or config.outside == "keep"
        state = frame_pixels(raw) if changes_colors else None
        finished = self._surrounded(self._colored(quantize(raw), image), image, whole)
        return Stylized(frame_pixels(finished), state, losses=best.losses), best.loss

    @cached_property
    def _following(self) -> Method:
        """The method for the frames after the first one; created after it, it has the same networks in memory."""
        return self._stylizer.instance.with_config(self._following_config)

    @cached_property
    def _revising(self) -> Method:
        """The method for the frames of later passes."""
        assert self._following_config.steps is not None
        steps = max(1, round(LATER_STEPS * self._following_config.steps))
        return self._stylizer.instance.with_config(replace(self._following_config, steps=steps))

    def _anchors(
        self, content: np.ndarray, earlier: Earlier, values: dict[str, Any]
    ) -> tuple[tuple[Anchor, ...], Tensor, Tensor]:
        """Return the anchors of a frame, that of the nearest frame first, and two masks of the moved nearest frame.

        The first one is where it shows the pixels of the frame, the second one where it is not the content.
        A pixel counts in the anchor of the nearest frame only whose flow is reliable there.
        """
        weight = self._settings.temporal_weight * max(values["loss"], 1e-6) / SPREAD**2
        anchors: list[Anchor] = []
        covered = torch.zeros(1, 1, *content.shape[:2])
        for gap in sorted(earlier):
            motion = self._motion(content, earlier[gap])
            moved, mask = frame_image(warp(earlier[gap].continued(), motion.flow, cubic=True)), _as_mask(motion.weight)
            anchors.append(Anchor(moved, (mask - covered).clamp_min(0), weight))
            covered = torch.maximum(covered, mask)
            if gap == min(earlier):
                cover = earlier[gap].cover
                shown = _as_mask(motion.shown)
                painted = torch.ones_like(shown) if cover is None else _as_mask(warp(cover, motion.flow))
        return tuple(anchors), shown, painted

    def _best_step(self, steps: Iterable[Step]) -> Step:
        """Return the step with the lowest loss of the last stage."""
        best: Step | None = None
        for step in steps:
            if best is None or step.stage != best.stage or step.loss < best.loss:
                best = step
            if self._on_iteration is not None:
                self._on_iteration(step)
        assert best is not None
        return best


def frame_stylizer(
    style: Any,
    method: str,
    settings: VideoSettings,
    shape: tuple[int, int],
    method_settings: dict[str, Any],
    on_iteration: OnIteration | None = None,
    colors: np.ndarray | None = None,
) -> FrameStylizer:
    """Return the stylizer of the frames of a clip.

    Args:
        style: style images, as for `Stylizer`.
        method: name of the method.
        settings: settings of the clip.
        shape: height and width of the frames, in pixels.
        method_settings: settings of the method.
        on_iteration: called with every step of an optimization.
        colors: as for `FrameStylizer`.

    Raises:
        ValueError: in one line, for settings and styles that are wrong, and for a setting of the clip that the method
            would ignore.
    """
    size, sizes = max(shape), method_settings.get("sizes")
    ending = {"sizes": (*sizes[:-1], size)} if sizes else {}
    first = Stylizer(style, method, **{**method_settings, "size": size, **ending})
    if isinstance(first.instance, FeedForward):
        return OnePassFrames(first, settings, colors)
    assert isinstance(first.config, PixelConfig)
    by_quality = FRAME_STEPS if first.config.optimizer == "lbfgs" else FIRST_ORDER_FRAME_STEPS
    steps = settings.frame_steps or by_quality[first.config.quality]
    named, _ = split_pictures(method_settings)
    kept = {name: value for name, value in named.items() if name not in ("tolerance", "coarsest")}
    config = configure(method, {**kept, "size": size, "sizes": (size,), "steps": steps})
    return OptimizedFrames(first, config, settings, on_iteration, colors)


def _mean_passes(runs: Sequence[Sequence[Pass]], weights: Sequence[float]) -> list[Pass]:
    """Return the weighted mean of the passes of several runs; the weights sum to 1."""
    return [
        Pass(
            *(tuple(map(partial(_weighted_sum, weights), zip(*each, strict=True))) for each in zip(*same, strict=True))
        )
        for same in zip(*runs, strict=True)
    ]


def _weighted_sum(weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([weight * tensor for weight, tensor in zip(weights, tensors, strict=True)]).sum(0)


def _with_details(blended: Image, fresh: Image) -> Image:
    """Return a blend with the fine strokes of one of its images, as `restore_details` does, `(1, 3, H, W)` each."""
    planes = (np.ascontiguousarray(each[0].permute(1, 2, 0).numpy()) for each in (blended, fresh))
    return torch.from_numpy(restore_details(*planes)).permute(2, 0, 1)[None]


def _as_mask(weight: np.ndarray) -> Tensor:
    return torch.from_numpy(weight)[None, None].clamp(0, 1)


def recolored(content: Image, stylized: Image, mask: Tensor) -> Image:
    """Return a content image with the colors that a stylized image has at the same positions.

    The colors are a quadratic function of those of the content, fitted where the mask counts.

    Args:
        content: `(1, 3, H, W)` in [0, 1].
        stylized: the same size.
        mask: weight of each position, `(1, 1, H, W)` in [0, 1].

    Returns:
        `(1, 3, H, W)` in [0, 1].
    """
    r, g, b = content[0].flatten(1).double()  # (H*W,) each
    features = torch.stack([torch.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b])  # (10, H*W)
    weighted = features * mask.flatten()
    covariance = weighted @ features.mT + RIDGE * features.shape[1] * torch.eye(len(features), dtype=torch.float64)
    map_of_colors = torch.linalg.solve(covariance, weighted @ stylized[0].flatten(1).double().mT)  # (10, 3)
    colors: Image = (map_of_colors.mT @ features).clamp(0, 1).float().view_as(content)
    return colors


def with_strokes(image: Image, stylized: Image, mask: Tensor) -> Image:
    """Return an image with the strokes of a stylized one, which are what a blur removes from it.

    Args:
        image: `(1, 3, H, W)`.
        stylized: the same size.
        mask: where it has strokes, `(1, 1, H, W)` in [0, 1].
    """
    return (image + mask * (stylized - blur(stylized, STROKES * max(image.shape[-2:])))).clamp(0, 1)
