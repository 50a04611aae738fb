"""Estimate the motion between two frames of a clip, and where it is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from impasto.video.extra import import_cv2

Flow = np.ndarray
"""Displacement of every pixel in pixels, `(H, W, 2)` float32: x to the right, then y downwards."""
Preset = Literal["fast", "medium"]

CYCLE_RELATIVE, CYCLE_ABSOLUTE = 0.01, 0.5
"""Largest squared error of the way back and forth, relative to the squared lengths and in square pixels."""
EDGE_RELATIVE, EDGE_ABSOLUTE = 0.01, 0.002
"""Largest squared gradient of the flow, relative to its squared length and as an offset."""
SOFTNESS = 0.8
"""Standard deviation in pixels with which the weights are smoothed."""
USUAL_SIDE = 512
"""Longer side in pixels that the resolution of a preset is for."""
MATCH_WINDOW = 2.0
"""Standard deviation in pixels of the window in which two frames are compared."""
MATCH_RELATIVE, MATCH_ABSOLUTE = 0.5, 100.0
"""Largest mean squared difference of a frame from the moved earlier one, relative to the variance of its gray values in
the window, and as an offset in squared 8-bit levels. Unrelated textures have a difference of twice their variance."""


@dataclass(frozen=True, eq=False)
class Motion:
    """The motion from a frame to an earlier one."""

    flow: Flow
    """Where each pixel of the frame was in the earlier frame, relative to its position."""
    weight: np.ndarray
    """Where the flow is reliable, `(H, W)` float32 in [0, 1]: 0 where the earlier frame does not show the pixel, and at
    borders of moving objects."""
    shown: np.ndarray
    """Where the earlier frame shows the pixel, `(H, W)` float32 in [0, 1]."""


class FlowEstimator:
    """Optical flow by dense inverse search (DIS; Kroeger et al., ECCV 2016), with the implementation of OpenCV.

    Args:
        preset: `fast`, or `medium`, which is more exact at the borders of objects.
    """

    def __init__(self, preset: Preset = "medium") -> None:
        cv2 = import_cv2()
        self._preset = preset
        presets = {"fast": cv2.DISOPTICAL_FLOW_PRESET_FAST, "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM}
        self._dis = cv2.DISOpticalFlow_create(presets[preset])
        self._finest = self._dis.getFinestScale()  # of the pyramid: 1 is half the resolution

    def __reduce__(self) -> tuple[type[FlowEstimator], tuple[Preset]]:
        """Return how a copy is made in another process, because OpenCV's object cannot be pickled."""
        return FlowEstimator, (self._preset,)

    def flow(self, frame: np.ndarray, other: np.ndarray) -> Flow:
        """Return the displacement of each pixel of a frame in another one.

        Args:
            frame: gray `(H, W)` or RGB `(H, W, 3)`, uint8.
            other: the same size.
        """
        halvings = max(0, round(math.log2(USUAL_SIDE / max(frame.shape[:2]))))
        self._dis.setFinestScale(max(0, self._finest - halvings))  # small objects would move with their surroundings
        flow: Flow = self._dis.calc(to_gray(frame), to_gray(other), None)
        return flow

    def motion(self, frame: np.ndarray, earlier: np.ndarray) -> Motion:
        """Return the motion from a frame to an earlier one; arguments as for `flow`."""
        frame, earlier = to_gray(frame), to_gray(earlier)
        backward = self.flow(frame, earlier)
        return Motion(backward, *reliability(backward, self.flow(earlier, frame)))


def reliability(backward: Flow, forward: Flow) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of each pixel of a frame in a comparison with an earlier one, and where that shows the pixel.

    The weight is 0 where the forward flow does not lead back (the pixel was hidden) and at borders of moving objects,
    whose flow is not exact; it is smoothed. Thresholds of Ruder, Dosovitskiy & Brox (GCPR 2016, arXiv 1604.08610).

    Args:
        backward: flow from the frame to the earlier one, `(H, W, 2)`.
        forward: flow from the earlier frame to the frame.

    Returns:
        `weight` and `shown` of `Motion`.
    """
    there = warp(forward, backward)
    length = _squared_length(backward)
    limit = CYCLE_RELATIVE * (_squared_length(there) + length) + CYCLE_ABSOLUTE
    shown = (_squared_length(there + backward) <= limit) & _is_inside(backward)
    rows, columns = (_squared_length(_central_difference(backward, axis)) for axis in (0, 1))
    is_smooth = rows + columns <= EDGE_RELATIVE * length + EDGE_ABSOLUTE
    return _smoothed(shown & is_smooth), _smoothed(shown)


def matched(motion: Motion, frame: np.ndarray, earlier: np.ndarray) -> Motion:
    """Return a motion that does not count where the frame differs from the moved earlier one.

    The flow of an object that is small or fast is often that of its surroundings, there and back.

    Args:
        motion: motion from the frame to the earlier one.
        frame: gray `(H, W)` or RGB `(H, W, 3)`, uint8.
        earlier: the same size.
    """
    gray = to_gray(frame).astype(np.float32)
    difference = gray - warp(to_gray(earlier), motion.flow)
    difference -= np.average(difference, weights=motion.shown + 1e-6)  # a fade changes all values
    variance = _window_mean(gray * gray) - np.square(_window_mean(gray))
    limit = MATCH_RELATIVE * variance + MATCH_ABSOLUTE
    match = _smoothed(_window_mean(difference * difference) <= limit)
    return replace(motion, weight=motion.weight * match, shown=motion.shown * match)


def warp(image: np.ndarray, flow: Flow, *, cubic: bool = False) -> np.ndarray:
    """Return an earlier image moved to the positions of a frame.

    Args:
        image: the earlier image, `(H, W)` or `(H, W, C)`, float32 or uint8.
        flow: backward flow of the frame, `(H, W, 2)`.
        cubic: interpolate with a bicubic kernel, which keeps strokes sharp, and not with a bilinear one.

    Returns:
        The values that each pixel of the frame had in the earlier image, in its shape and type; pixels beyond the
        border repeat the border.
    """
    cv2 = import_cv2()
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    moved: np.ndarray = cv2.remap(
        image, x, y, cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return moved


def _smoothed(mask: np.ndarray) -> np.ndarray:
    blurred: np.ndarray = import_cv2().GaussianBlur(mask.astype(np.float32), (0, 0), SOFTNESS)
    return blurred


def _window_mean(values: np.ndarray) -> np.ndarray:
    mean: np.ndarray = import_cv2().GaussianBlur(values, (0, 0), MATCH_WINDOW)
    return mean


def _squared_length(flow: Flow) -> np.ndarray:
    x, y = flow[..., 0], flow[..., 1]
    squared: np.ndarray = x * x + y * y
    return squared


def _central_difference(flow: Flow, axis: int) -> Flow:
    """Return the derivative of a flow along an axis; 0 at the border."""
    difference = np.zeros_like(flow)
    ahead, behind = (flow[2:], flow[:-2]) if axis == 0 else (flow[:, 2:], flow[:, :-2])
    inner = difference[1:-1] if axis == 0 else difference[:, 1:-1]
    np.multiply(ahead - behind, 0.5, out=inner)
    return difference


def _is_inside(flow: Flow) -> np.ndarray:
    """Return whether each pixel was inside the image, `(H, W)`."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    inside: np.ndarray = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return inside


def to_gray(frame: np.ndarray) -> np.ndarray:
    """Return a frame `(H, W, 3)` in gray `(H, W)`; one that is gray as it is."""
    if frame.ndim == 2:
        return frame
    gray: np.ndarray = import_cv2().cvtColor(frame, import_cv2().COLOR_RGB2GRAY)
    return gray
