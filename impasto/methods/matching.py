"""Stylize by matching statistics of style features: gatys, bures, sliced and mrf are presets of this method."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from typing import Annotated, ClassVar, Self

from annotated_types import Gt, Lt
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES, Backbone
from impasto.backbones.receptive_field import margins
from impasto.backbones.tile_workers import TileWorkers
from impasto.config import SETTINGS
from impasto.devices import PRECISION_NAMES, pick_device, pick_dtype
from impasto.losses import LOSSES
from impasto.methods.optimizing import PixelMethod, PolishSettings, chosen_tile, load_network, loss_networks
from impasto.methods.tiles import TileSettings
from impasto.objectives.matching import ObjectiveSettings, check_layer_weights, layers_of
from impasto.objectives.matching_scales import MatchingScales
from impasto.objectives.multiscale import MultiscaleObjective, ScaleSettings, loss_scale_sizes
from impasto.optim.coarse_to_fine import MakeObjective
from impasto.optim.descent import TOLERANCE
from impasto.optim.schedule import PixelConfig, Schedule, ScheduleSettings, Stage, fitted_shape, make_schedule
from impasto.regions.subject import Subject
from impasto.types import Image

DETAILS = "micro"
"""Feed-forward method that supplies the fine details of a draft, which takes too few steps at its finer sizes."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ConvergenceSettings(ScheduleSettings):
    """Start, steps and sizes."""

    tolerance: Annotated[float, Gt(0), Lt(1)] | None = None
    """Stop each size when 25 steps improve the loss by less than this fraction, instead of by quality."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MatchingConfig(ScaleSettings, ObjectiveSettings, PolishSettings, TileSettings, ConvergenceSettings, PixelConfig):
    """Settings of a matching method."""


class Matching(PixelMethod):
    """Keep the deep features of the content image and match a statistic of the style features.

    A preset, such as `gatys`, sets the defaults: the style loss, its weight and its layers.

    Raises:
        ValueError: for a network or a layer that does not exist, and for settings that contradict each other.
    """

    Config = MatchingConfig
    config: MatchingConfig
    replaced: ClassVar[dict[str, str]] = {"strength": "style_weight"}

    def __init__(self, config: MatchingConfig) -> None:
        """Check the settings."""
        super().__init__(config)
        if config.steps is not None and config.tolerance is not None:
            raise ValueError("tolerance: it stops a run without a number of steps; give tolerance or steps")
        if config.style_mix_fine and config.mask and not config.style_mask:
            raise ValueError("style_mix_fine: each region has its own style; weight the regions with region_strength")
        _check_strength(config)
        for name in loss_networks(config):
            content_layers, style_layers = layers_of(config, BACKBONES[name])
            BACKBONES[name].check_layers(content_layers)
            BACKBONES[name].check_layers(style_layers)
            check_layer_weights(config.layer_weights, style_layers)

    @classmethod
    def details(cls, config: MatchingConfig) -> str | None:
        """Return the feed-forward method whose details a finer size starts with; None: those of the first image."""
        by_quality = config.quality == "draft" and config.steps is None and config.tolerance is None
        return DETAILS if by_quality and config.start == "content" else None

    def in_workers(self, workers: TileWorkers) -> Self:
        """Return the method with processes that compute the tiles of a large image."""
        if self.config.tile == 0:
            raise ValueError(
                "workers: several processes compute tiles, but tile is 0; give another tile, or no workers"
            )
        _ = self.networks  # read before the memory is counted: each worker has a copy
        other = self.with_config(self.config)
        other.workers = workers
        return other

    def resolved(self, content: Image) -> Matching:
        """Return the method with the side of the tiles."""
        tile, shape = self.config.tile, self.final_shape(self.config, content)
        if tile is not None:
            if 0 < tile < max(shape) and tile < (smallest := self._smallest_tile()):
                raise ValueError(
                    f"tile: {tile} pixels are less than the margins of a tile, which would take most of the time; "
                    f"give at least {smallest}, or auto"
                )
            return self
        tile = chosen_tile(self.networks, shape, 0 if self.workers is None else self.workers.count, self.local_workers)
        other = self.with_config(replace(self.config, tile=max(tile, self._smallest_tile()) if tile else 0))
        other.chosen = ("tile",)
        return other

    def is_tiled(self, content: Image) -> bool:
        """Return whether the output is larger than one tile."""
        return 0 < (self.config.tile or 0) < max(self.final_shape(self.config, content))

    def _smallest_tile(self) -> int:
        """Return the side of tiles that are as large as their margins, in pixels."""
        sides = []
        for network in self.networks:
            fields = network.receptive_fields([*chain(*layers_of(self.config, network))])
            before, after, stride = margins(fields.values())
            sides.append(math.ceil((before + after) / stride) * stride)
        return max(sides)

    def schedule(self, subject: Subject) -> Schedule:
        """Return the stages: the loss scales, from coarse to fine."""
        config = self.config
        sizes = config.sizes or tuple(reversed(self._loss_sizes(subject)[: config.steps]))
        schedule = make_schedule(
            config,
            subject.content,
            sizes,
            steps=[None] * len(sizes) if config.tolerance is not None else (),
            final_steps=config.polish if len(loss_networks(config)) > 1 else 0,
            tolerance=config.tolerance or TOLERANCE,
        )
        schedule = schedule.without_grain(subject.detailed_size(config.style_scale))
        return schedule if config.start == "noise" else schedule.from_picture()

    def objectives(self, subject: Subject, schedule: Schedule) -> MakeObjective:
        """Return a function that makes the objective of each stage."""
        pairs = zip(self._tiled_networks(), self.coarse_networks, strict=True)
        scales = [self._scales(backbone, coarse, subject) for backbone, coarse in pairs]

        def make_objective(subject: Subject, stage: Stage, start: Image) -> MultiscaleObjective:
            return scales[-1 if stage.is_final else 0].objective(stage.shape)

        return make_objective

    def _tiled_networks(self) -> list[Backbone]:
        tile = self.config.tile or 0
        if self.workers is None:
            return [network.in_tiles(tile) for network in self.networks]
        device = pick_device(self.config.device)
        precision = PRECISION_NAMES[pick_dtype(self.config.precision, device)]
        sent = replace(self.config, device=str(device), precision=precision)  # auto may differ on another machine
        loads = [partial(load_network, sent, name, sent.pooling) for name in loss_networks(sent)]
        pairs = zip(self.networks, map(self.workers.compute, loads), strict=True)
        return [network.in_tiles(tile, compute) for network, compute in pairs]

    def _scales(self, backbone: Backbone, coarse: Backbone | None, subject: Subject) -> MatchingScales:
        config = self.config
        return MatchingScales(
            backbone,
            coarse,
            subject,
            partial(Subject.resized, style_scale=config.style_scale, device=pick_device(config.device)),
            config,
            [fitted_shape(subject.content, size) for size in self._loss_sizes(subject)],
            coarse_style=config.coarse_style,
            near_scales=config.near_scales,
            style_factor=config.style_weight / type(config)().style_weight,
            strength=config.strength,
        )

    def _loss_sizes(self, subject: Subject) -> list[int]:
        """Return the longer sides of the loss scales in pixels, that of the output first.

        An output with an anchor, such as the frame before, has the forms of that one already. It does without the scale
        at half its size, which takes most of the time of the coarser ones (docs/measurements/video.md).
        """
        shape, count = self.final_shape(self.config, subject.content), self.config.loss_scales
        sizes = loss_scale_sizes(shape, count, subject.shortest_side(self.config.style_scale))
        if subject.anchors and count is None and len(sizes) > 2:
            del sizes[1]
        return sizes

    @cached_property
    def networks(self) -> list[Backbone]:
        """Loss networks; the last one is that of the polish steps."""
        return [load_network(self.config, name, self.config.pooling) for name in loss_networks(self.config)]

    @cached_property
    def coarse_networks(self) -> list[Backbone | None]:
        """Networks of the coarse loss scales, for each of `networks`; None where it is that one."""
        has_coarse = LOSSES[self.config.style_loss].largest_coarse > 0
        names = [BACKBONES[name].coarse if has_coarse else None for name in loss_networks(self.config)]
        return [load_network(self.config, name, self.config.pooling) if name else None for name in names]


def _check_strength(config: MatchingConfig) -> None:
    """Raise `ValueError` where a strength has no effect."""
    if config.strength is None:
        return
    if config.content_weight == 0:
        raise ValueError("strength: it balances style and content, but content_weight is 0; give style_weight instead")
