"""Declare the settings of a stylized clip that pictures do not have."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le, Lt
from pydantic.dataclasses import dataclass

from impasto.config import MAIN, SETTINGS
from impasto.optim.schedule import Quality

FRAME_STEPS: dict[Quality, int] = {"draft": 5, "normal": 10, "best": 25}
"""Iterations of L-BFGS for a frame that continues the one before."""
FIRST_ORDER_FRAME_STEPS: dict[Quality, int] = {"draft": 10, "normal": 25, "best": 50}
"""The same for Adam and RMSprop, whose first iterations raise the loss of a frame that is nearly optimal."""
SHORTEST = 1e-6
"""Smallest duration in seconds; times are stored with this exactness."""
SLOWEST = 0.001
"""Smallest number of frames per second."""
NOT_FOR_CLIPS = frozenset(("start", "preset"))
"""Settings of a method that the stylization of a clip does not have: a shot starts from its first frame."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ClipSettings:
    """Clip."""

    start: Annotated[float, Ge(0), MAIN] = 0.0
    """Seconds of the clip that are left out."""
    duration: Annotated[Annotated[float, Ge(SHORTEST)] | None, MAIN] = None
    """Seconds of the clip that are stylized. Default: to the end."""
    fps: Annotated[Annotated[float, Ge(SLOWEST), Le(1000)] | None, MAIN] = None
    """Constant number of frames per second. Default: the frame times of the clip, 25 for a folder."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class KeyframeSettings(ClipSettings):
    """Clip."""

    keyframe: Annotated[tuple[str, ...], MAIN] = ()
    """Seconds from the start of the output and the number of the style, such as 0:1 4.5:2; between, styles mix."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class VideoSettings(KeyframeSettings):
    """Stability."""

    blend: Annotated[float, Ge(0), Lt(1), MAIN] = 0.5
    """One-pass methods: fraction of the frame before, moved with the clip; higher flickers less."""
    temporal_weight: Annotated[float, Ge(0), Le(1e6), MAIN] = 1.0
    """Optimizing methods: weight of the difference to the frame before, moved with the clip."""
    frame_steps: Annotated[Annotated[int, Ge(1), Le(1_000_000)] | None, MAIN] = None
    """Optimizing methods: steps of a frame after the first of a shot. Default: by quality and optimizer, 10 for
    L-BFGS and 25 for the others."""
    long_term: Annotated[tuple[Annotated[int, Ge(2), Le(1000)], ...], MAIN] = ()
    """Optimizing methods: compare with the frames this many frames before, too, such as 10 20."""
    passes: Annotated[int, Ge(1), Le(100), MAIN] = 1
    """Optimizing methods: passes over each shot, forward and backward in turn; more drift less."""
