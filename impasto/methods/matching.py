"""Stylize by matching statistics of style features: gatys, bures, sliced and mrf are presets of this method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Annotated, ClassVar

from annotated_types import Gt, Lt
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES, Backbone
from impasto.config import SETTINGS
from impasto.devices import pick_device
from impasto.methods.optimizing import PixelMethod, PolishSettings, load_networks, loss_networks
from impasto.objectives.matching import MatchingObjective, ObjectiveSettings, check_layer_weights, layers_of
from impasto.objectives.multiscale import MultiscaleObjective, ScaleSettings, loss_scale_shapes, near_scale_shapes
from impasto.optim.coarse_to_fine import coarse_to_fine
from impasto.optim.schedule import PixelConfig, Schedule, ScheduleSettings, Stage, make_schedule
from impasto.regions.subject import Subject
from impasto.types import Image, Step


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ConvergenceSettings(ScheduleSettings):
    """Start, steps and sizes."""

    tolerance: Annotated[float, Gt(0), Lt(1)] | None = None
    """Stop when 25 steps improve the loss by less than this fraction. Default: 0.01, or 0.02 for lite."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MatchingConfig(ScaleSettings, ObjectiveSettings, PolishSettings, ConvergenceSettings, PixelConfig):
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
        _check_strength(config)
        for name in loss_networks(config):
            content_layers, style_layers = layers_of(config, BACKBONES[name])
            BACKBONES[name].check_layers(content_layers)
            BACKBONES[name].check_layers(style_layers)
            check_layer_weights(config.layer_weights, style_layers)

    def schedule(self, subject: Subject) -> Schedule:
        """Return the stages: a large image is optimized at each of its loss scales in turn, from coarse to fine."""
        config = self.config
        sizes: list[int] = []
        if config.loss_scales is None:
            shape = self.final_shape(config, subject.content)
            shapes = loss_scale_shapes(shape, None, subject.shortest_side(config.style_scale))
            sizes = [max(each) for each in reversed(shapes[: config.steps])]
        return make_schedule(
            config,
            subject.content,
            sizes,
            final_steps=config.polish if len(loss_networks(config)) > 1 else 0,
            tolerance=config.tolerance or BACKBONES[config.backbone].tolerance,
        )

    def run(self, subject: Subject) -> Iterator[Step]:
        """Stylize the subject."""
        make_objective = partial(self._objective, self._backbones)
        return coarse_to_fine(self.config, self.schedule(subject), subject, make_objective)

    def _objective(
        self, backbones: Sequence[Backbone], subject: Subject, stage: Stage, start: Image
    ) -> MultiscaleObjective:
        """Return the objective of a stage at its loss scales and near scales.

        The images are resized once for each loss scale. For a near scale, those at the size of the output are resized
        again: resized from their own size, they would have finer details than an enlarged output can have, and the
        output would become grainy to match them (docs/measurements/lite.md).
        """
        config, device = self.config, pick_device(self.config.device)
        shortest_side = subject.shortest_side(config.style_scale)
        shapes = loss_scale_shapes(stage.shape, config.loss_scales, shortest_side)
        near_shapes = near_scale_shapes(stage.shape, config.near_scales)
        resized = partial(Subject.resized, style_scale=config.style_scale, device=device)
        subjects = [resized(subject, shape) for shape in shapes]
        subjects += [resized(subjects[0], shape) for shape in near_shapes]
        backbone = backbones[-1 if stage.is_final else 0]
        return MultiscaleObjective(
            [MatchingObjective(backbone, each, config, config.strength) for each in subjects], shapes + near_shapes
        )

    @cached_property
    def _backbones(self) -> list[Backbone]:
        return load_networks(self.config, loss_networks(self.config), self.config.pooling)


def _check_strength(config: MatchingConfig) -> None:
    """Raise `ValueError` where a strength has no effect."""
    if config.strength is None:
        return
    if config.content_weight == 0:
        raise ValueError("strength: it balances style and content, but content_weight is 0; give style_weight instead")
