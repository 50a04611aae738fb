"""Describe the frames of a shot, and the interface of what stylizes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from impasto.color.transfer import prepare_colors, restore_colors
from impasto.config import settings_of
from impasto.devices import pick_device, torch_defaults
from impasto.images import Picture, resize
from impasto.methods import METHODS
from impasto.pipeline.result import Input
from impasto.pipeline.stylizer import Stylizer
from impasto.regions.outside import blend_outside, cover_of
from impasto.regions.split import region_areas
from impasto.regions.subject import Region, Subject
from impasto.types import Image, Losses
from impasto.video.keyframes import Keyframe, mix_at, mixed, parse_keyframes, warn_of_late
from impasto.video.motion import FlowEstimator, Motion, Preset, matched, to_gray, warp
from impasto.video.settings import VideoSettings
from impasto.video.source import frame_image

LEAST_AREA = 1e-4
"""Fraction of a frame below which a region of a mask that is a clip does not count: an object that is almost gone."""


@dataclass(frozen=True, eq=False)
class Content:
    """A frame of the clip, and the regions of its masks."""

    pixels: np.ndarray
    """`(H, W, 3)`, uint8."""
    seconds: float
    """Time of the frame."""
    masks: tuple[np.ndarray, ...] = ()
    """Frames of the masks that are clips, `(h, w, 3)`, uint8."""


@dataclass(frozen=True, eq=False)
class Stylized:
    """A stylized frame, and what the next frames of the shot continue."""

    pixels: np.ndarray
    """`(H, W, 3)`, uint8."""
    state: np.ndarray | None = None
    """Image before the setting `color` was applied, if it differs from `pixels`, `(H, W, 3)`, uint8."""
    values: dict[str, Any] = field(default_factory=dict)
    """JSON values that later frames of the shot need, of its first frame with a region only."""
    losses: Losses = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class EarlierFrame:
    """A frame of the shot that is finished."""

    content: np.ndarray
    """`(H, W, 3)`, uint8."""
    cover: np.ndarray | None
    """Where other frames may continue it, `(H, W)` in [0, 1], float32; None: everywhere."""
    continued: Callable[[], np.ndarray]
    """Returns the image that the next frames continue, `(H, W, 3)`, uint8."""


Earlier = dict[int, EarlierFrame]
"""Finished frames of the shot and pass, by their distance to the frame that is next: 1 is the one before, in a backward
pass the one after."""


class FrameStylizer(ABC):
    """Stylizes the frames of a shot in order.

    Args:
        stylizer: method, settings and styles for the first frame of a shot, at the size of the frames.
        settings: settings of the clip.
        colors: colors of the label map, if the masks are clips, as for `region_areas`.
    """

    gaps: tuple[int, ...] = (1,)
    """Distances of the earlier frames that a frame needs."""
    samples: int = 1
    """Largest number of frames that represent a shot."""
    passes: int = 1
    """Number of passes over each shot, forward and backward in turn."""
    preset: Preset = "medium"
    """Exactness of the optical flow."""
    unused: tuple[str, ...] = ()
    """Settings of the clip that are for methods of the other kind."""
    kind: str
    """What the methods do, as a message names it."""

    def __init__(self, stylizer: Stylizer, settings: VideoSettings, colors: np.ndarray | None = None) -> None:
        given, defaults = settings_of(settings), settings_of(VideoSettings())
        for name in self.unused:
            if given[name] != defaults[name]:
                raise ValueError(f"{name}: {stylizer.method} {self.kind} and does not use it; leave it out")
        self._stylizer, self._settings, self._colors = stylizer, settings, colors
        self._estimator = FlowEstimator(self.preset)
        self._template: Subject | None = None
        self._divided: tuple[Content, tuple[Region, ...]] | None = None  # the last frame, and its regions
        self._keyframes = _keyframes(stylizer, settings)

    @property
    def styles(self) -> tuple[Input, ...]:
        """Return the entries of the style images."""
        return self._stylizer.styles

    def check_masks(self, content: Content) -> None:
        """Raise `ValueError` if the masks do not match the styles or a frame of the clip."""
        if self._stylizer.config.mask:
            self._prepared(content)

    def warn_of_late_keyframes(self, last: float) -> None:
        """Warn of keyframes without effect, given the time of the last frame in seconds."""
        warn_of_late(self._keyframes, last)

    def begin_shot(self, samples: Sequence[Content]) -> None:
        """Prepare for a new shot: regions, and styles in its colors.

        Args:
            samples: frames that represent it, the first one of the shot and later ones.
        """
        self._template, self._divided = self._prepared(samples[0]), None

    def has_region(self, content: Content) -> bool:
        """Return whether a frame has a region that counts. A frame without one is the content: none continues it."""
        return bool(counting(self._regions(content)))

    def cover(self, content: Content) -> np.ndarray | None:
        """Return where later frames may continue a frame, `(H, W)` in [0, 1], float32; None: everywhere.

        They do not continue the content outside the regions: a region that moves would paint it over several frames.
        """
        if self._stylizer.config.outside != "keep":
            return None
        height, width = content.pixels.shape[:2]
        cover: np.ndarray = resize(cover_of(self._subject(content)), (height, width))[0, 0].numpy()
        return cover

    @abstractmethod
    def stylize(self, content: Content, earlier: Earlier, values: dict[str, Any]) -> Stylized:
        """Return the stylized frame.

        Args:
            content: the frame.
            earlier: the finished frames of the shot with a region, at the distances `gaps`, as far as there are any.
            values: those of the first frame of the shot that has any; empty up to that frame.
        """

    def revise(self, content: Content, stylized: Stylized, earlier: Earlier, values: dict[str, Any]) -> Stylized:
        """Return the frame of a later pass.

        Args:
            content: the frame.
            stylized: the frame of the pass before.
            earlier: the finished frames of this pass with a region, at the distances `gaps`; at least one.
            values: those of the first frame of the shot that has a region.
        """
        raise NotImplementedError

    def _motion(self, content: np.ndarray, earlier: EarlierFrame) -> Motion:
        """Return the motion from a frame to an earlier one, where both show the same and that one is continued."""
        pair = to_gray(content), to_gray(earlier.content)
        motion = matched(self._estimator.motion(*pair), *pair)
        if earlier.cover is None:
            return motion
        cover = warp(earlier.cover, motion.flow)
        return replace(motion, weight=motion.weight * cover, shown=motion.shown * cover)

    def _defaults(self) -> AbstractContextManager[None]:
        """Return the context of a computation: seed, and default settings of PyTorch."""
        config = self._stylizer.config
        return torch_defaults(config.seed, pick_device(config.device))

    def _prepared(self, content: Content) -> Subject:
        masks = [_picture(mask) for mask in content.masks]
        return self._stylizer.prepare(_picture(content.pixels), masks, self._colors)[0]

    def _subject(self, content: Content, mix: Sequence[float] | None = None) -> Subject:
        """Return the subject of a frame, with other weights of the styles if they are given."""
        regions = self._regions(content)
        assert self._template is not None
        image = prepare_colors(self._stylizer.config.color, frame_image(content.pixels), [])[0]
        subject = replace(self._template, content=image, regions=regions)
        return subject if mix is None else mixed(subject, mix)

    def _regions(self, content: Content) -> tuple[Region, ...]:
        """Return the regions of a frame; those of the last frame are kept."""
        assert self._template is not None, "begin_shot comes first"
        regions = self._template.regions
        if not content.masks:
            return regions
        if self._divided is None or self._divided[0] is not content:
            height, width = content.pixels.shape[:2]
            masks = [_picture(mask) for mask in content.masks]
            areas = region_areas(self._stylizer.config, masks, (height, width), self._colors)
            divided = tuple(replace(region, mask=area) for region, area in zip(regions, areas, strict=True))
            self._divided = (content, divided)
        return self._divided[1]

    def _mix(self, seconds: float) -> list[float] | None:
        """Return the weights of the styles at a time; None without keyframes."""
        return mix_at(self._keyframes, seconds, len(self.styles)) if self._keyframes else None

    def _colored(self, stylized: Image, image: Image) -> Image:
        """Return the output of the method with the colors that the settings select."""
        return restore_colors(self._stylizer.config.color, stylized, image)

    def _surrounded(self, stylized: Image, image: Image, subject: Subject) -> Image:
        """Return an output with the content outside the regions, where the settings select that."""
        return blend_outside(stylized, subject, image) if self._stylizer.config.outside == "keep" else stylized


def _keyframes(stylizer: Stylizer, settings: VideoSettings) -> tuple[Keyframe, ...]:
    """Return the keyframes of the settings; raise `ValueError` where the styles cannot be mixed over time."""
    if not settings.keyframe:
        return ()
    if not METHODS[stylizer.method].any_style:
        text = f"keyframe: {stylizer.method} has one network for each style, which cannot change over time"
        raise ValueError(f"{text}; choose another method, such as micro, or leave out keyframe")
    for name, given in (("mask", stylizer.config.mask), ("style_mix", stylizer.config.style_mix)):
        if given:
            text = f"keyframe: styles cannot change over time together with {name}, which fixes their parts"
            raise ValueError(f"{text}; leave out keyframe or {name}")
    return parse_keyframes(settings.keyframe, len(stylizer.styles))


def counting(regions: Sequence[Region]) -> tuple[Region, ...]:
    """Return the regions without those that are too small to count."""
    return tuple(each for each in regions if each.area >= LEAST_AREA)


def _picture(pixels: np.ndarray) -> Picture:
    return Picture(frame_image(pixels), None, "frame", "")
