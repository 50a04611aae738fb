"""Define what all methods that optimize the pixels share: groups of settings, the start and the output size."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.backbones.chain import Pooling
from impasto.config import MAIN, SETTINGS
from impasto.devices import free_memory, pick_device, pick_dtype
from impasto.methods.base import METHODS, Method
from impasto.optim.coarse_to_fine import MakeObjective, coarse_to_fine
from impasto.optim.schedule import PixelConfig, Schedule, Start
from impasto.regions.subject import Subject
from impasto.types import State, Step

POLISH_BACKBONE = "vgg19-caffe"
"""Loss network of the polish steps."""
UNTILED_FRACTION = 0.5
"""Largest part of the free memory that a run may take without tiles."""
TILE_FRACTION = 0.125
"""Largest part of the free memory that the loss network may take for a tile: the image is large where tiles are."""
OTHER_BYTES = 400
"""Memory besides that of the loss network, in bytes per pixel: L-BFGS with ten pairs, images and targets."""
LARGEST_BYTES = 2**15
"""More bytes per pixel than a loss network needs. For an image that fits even so, the memory is not counted."""
ASSUMED_FREE = 4 * 2**30
"""Free memory in bytes where the system does not report it."""
SMALLEST_TILE, LARGEST_TILE, TILE_STEP = 256, 2048, 128
"""Sides of tiles that are chosen, in pixels: smaller ones take much time for margins, larger ones save none."""
MARGINS = 160
"""Margins of a tile in pixels, for the choice of its side."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class BackboneSettings:
    """Loss network."""

    backbone: Annotated[str, MAIN] = "lite"
    """Loss network, whose features are compared; `impasto backbones` lists the choices."""
    pooling: Pooling = "max"
    """Pooling of the loss network: max, or average as in Gatys et al."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class PolishSettings(BackboneSettings):
    """Loss network."""

    polish: Annotated[int, Ge(0), Le(1_000_000)] = 0
    """Additional steps at the end with VGG-19 (vgg19-caffe) as loss network, unless it is the backbone."""


class PixelMethod(Method):
    """A method that optimizes the pixels. Its `Config` is a subclass of `PixelConfig`."""

    @classmethod
    def start(cls, config: PixelConfig) -> Start:
        """Return what the optimization starts from.

        Raises:
            ValueError: if it names a method that is not feed-forward.
        """
        start = Start.parse(config.start, METHODS)
        feed_forward = [name for name in METHODS if not issubclass(METHODS[name], PixelMethod)]
        if start.kind == "method" and start.name not in feed_forward:
            raise ValueError(
                f"start: {start.name!r} is not a feed-forward method; choose from {', '.join(feed_forward)}"
            )
        return start

    @classmethod
    def backbone(cls, config: Any) -> type[Backbone] | None:
        """Return the class of the loss network; None where the settings have none."""
        return BACKBONES[config.backbone] if isinstance(config, BackboneSettings) else None

    @classmethod
    def final_size(cls, config: PixelConfig) -> int:
        """Return the longer side of the last stage in pixels; 0 is that of the content image."""
        return config.sizes[-1] if config.sizes else config.size

    @abstractmethod
    def schedule(self, subject: Subject) -> Schedule:
        """Return the stages of a run."""

    @abstractmethod
    def objectives(self, subject: Subject, schedule: Schedule) -> MakeObjective:
        """Return a function that makes the objective of each stage of a schedule."""

    def run(self, subject: Subject) -> Iterator[Step]:
        """Stylize the subject."""
        return self._optimize(subject, self.schedule(subject))

    def resume(self, subject: Subject, state: State) -> Iterator[Step]:
        """Continue an interrupted run."""
        return self._optimize(subject, self.schedule(subject), state)

    def trial(self, subject: Subject, steps: int) -> Iterator[Step]:
        """Stylize the subject with at most `steps` iterations of each stage."""
        return self._optimize(subject, self.schedule(subject).limited(steps))

    def _optimize(self, subject: Subject, schedule: Schedule, state: State | None = None) -> Iterator[Step]:
        return coarse_to_fine(self.config, schedule, subject, self.objectives(subject, schedule), state)


def loss_networks(settings: PolishSettings) -> list[str]:
    """Return the name of the loss network, and that of the polish steps if there are any."""
    is_polished = settings.polish > 0 and settings.backbone != POLISH_BACKBONE
    return [settings.backbone, POLISH_BACKBONE] if is_polished else [settings.backbone]


def chosen_tile(networks: Sequence[Backbone], shape: tuple[int, int], workers: int = 0, local_workers: int = 0) -> int:
    """Return the side of the tiles that an image needs, in pixels; 0 where the free memory suffices without tiles.

    Args:
        networks: loss networks.
        shape: height and width of the image in pixels.
        workers: number of processes that each compute a tile at a time, and need at least one each; 0: there are none.
        local_workers: number of them that share the free memory; another machine is assumed to have as much.
    """
    free = free_memory(networks[0].device)
    if free is None:
        free = ASSUMED_FREE
    if not workers and shape[0] * shape[1] * LARGEST_BYTES <= free * UNTILED_FRACTION:
        return 0
    bytes_per_pixel = max(network.bytes_per_pixel() for network in networks)
    if not workers and shape[0] * shape[1] * (bytes_per_pixel + OTHER_BYTES) <= free * UNTILED_FRACTION:
        return 0
    fits = math.isqrt(int(free * TILE_FRACTION / max(local_workers, 1) / bytes_per_pixel)) - MARGINS
    if workers:
        fits = min(fits, math.isqrt(shape[0] * shape[1] // workers))
    return min(max(fits // TILE_STEP * TILE_STEP, SMALLEST_TILE), LARGEST_TILE)


def load_network(config: PixelConfig, name: str, pooling: Pooling) -> Backbone:
    """Return a loss network on the device and in the precision of the settings."""
    device = pick_device(config.device)
    return load_backbone(name, pooling=pooling, device=device, dtype=pick_dtype(config.precision, device))
