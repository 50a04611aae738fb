"""Stylize by nearest neighbors of feature vectors (NNST)."""

from __future__ import annotations

from functools import cached_property, partial
from itertools import islice
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.methods.base import METHODS
from impasto.methods.optimizing import BackboneSettings, PixelMethod, load_network
from impasto.objectives.nearest_features import (
    FeatureVectors,
    FixedTargetObjective,
    NearestVectorObjective,
    RegionVectors,
    fixed_targets,
)
from impasto.optim.coarse_to_fine import MakeObjective
from impasto.optim.descent import LossFunction, Optimizer
from impasto.optim.schedule import (
    PixelConfig,
    Schedule,
    ScheduleSettings,
    Stage,
    coarse_sizes,
    fitted_shape,
    halved,
    make_schedule,
    scaled_steps,
)
from impasto.regions.subject import Subject
from impasto.types import Image

SCALES = 4
"""Number of sizes, each half the next, where sizes are not given."""
NARROWEST = 32
"""Minimum shorter side of the coarsest stage, in pixels."""
ADAM_LR = 0.01
"""Step length of Adam as a fraction of the pixel range; 0.002 in the paper, with many more steps."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class RematchSettings(ScheduleSettings):
    """Start, steps and sizes."""

    steps_per_size: Annotated[int, Ge(1), Le(100_000)] = 40
    """Number of steps at each size with normal quality. Ignored with `--steps`."""
    rematch_steps: Annotated[int, Ge(0), Le(1_000_000)] = 30
    """Additional steps at the end with normal quality, each of which matches every layer again."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class NNSTConfig(BackboneSettings, RematchSettings, PixelConfig):
    """Settings of `nnst`."""

    optimizer: Optimizer = "adam"
    """Optimizer of the pixels: L-BFGS without line search, Adam or RMSprop."""
    lr: Annotated[float, Gt(0), Le(100)] | None = None
    """Step length. Default: 1 for lbfgs; 0.01 of the pixel range for adam and rmsprop."""
    pyramid: Annotated[int, Ge(0), Le(16)] = 8
    """Levels of a Laplacian pyramid that is optimized instead of the pixels; 0 optimizes the pixels."""
    layers: tuple[str, ...] = ()
    """Layers of the feature vectors. Default: those of the backbone without its fifth block."""
    alpha: Annotated[float, Ge(0), Le(1)] | None = None
    """Weight of the content in the image whose features are matched. Default: 0.75, or by strength."""
    rotations: Annotated[int, Ge(1), Le(4)] = 4
    """Number of rotations of the style (0, 90, 180, 270 degrees) whose vectors are available."""
    vectors: Annotated[int, Ge(0), Le(10_000_000)] = 8192
    """Maximum number of vectors of each style, drawn by the seed; 0 uses all."""


@METHODS.add("nnst")
class NNST(PixelMethod):
    """Neural neighbor style transfer (Kolkin, Kucera, Paris, Sykora, Shechtman, Shakhnarovich 2022; arXiv 2203.13215).

    Replaces every feature vector of the content by its nearest neighbor in the style and optimizes the image that has
    these features. In the final steps each layer is matched separately, again at every step.

    Departs from the paper: other networks than VGG-16, fewer steps, a random subset of the style vectors, mirrored
    borders, and no color correction at the end.
    """

    summary = "Replace every feature vector by its nearest in the style, then optimize the pixels (Kolkin et al. 2022)"
    Config = NNSTConfig
    config: NNSTConfig
    paper: ClassVar[dict[str, Any]] = {"vectors": 0, "steps_per_size": 200, "rematch_steps": 200, "lr": 0.002}

    def __init__(self, config: NNSTConfig) -> None:
        """Check the settings."""
        super().__init__(config)
        if config.alpha is not None and config.strength is not None:
            raise ValueError("strength: it sets alpha, which is given too; give one of them")
        strength = 50.0 if config.strength is None else config.strength
        self._alpha = 1 - strength / 200 if config.alpha is None else config.alpha
        self._content_fraction = max(0.0, 1 - strength / 50)
        network = BACKBONES[config.backbone]
        own = dict.fromkeys([*network.style_layers, *network.content_layers])
        self._layers = config.layers or tuple(sorted((n for n in own if "5_" not in n), key=network.layers.index))
        network.check_layers(self._layers)

    def schedule(self, subject: Subject) -> Schedule:
        """Return the stages: up to four sizes, each half the next, from coarse to fine."""
        config, content = self.config, subject.content
        size = config.size or max(content.shape[-2:])
        sizes = coarse_sizes(
            islice(halved(size), SCALES), lambda each: min(fitted_shape(content, each)) >= NARROWEST, config.steps
        )
        return make_schedule(
            config,
            content,
            sizes,
            steps=[scaled_steps(config.steps_per_size, config.quality)] * len(config.sizes or sizes),
            final_steps=scaled_steps(config.rematch_steps, config.quality) if config.rematch_steps else 0,
            default_lr={"adam": ADAM_LR},
        )

    def objectives(self, subject: Subject, schedule: Schedule) -> MakeObjective:
        """Return a function that makes the objective of each stage."""
        return partial(self._objective, self._features, schedule.stages[0].shape)

    def _objective(
        self, features: FeatureVectors, coarsest: tuple[int, int], subject: Subject, stage: Stage, start: Image
    ) -> LossFunction:
        """Return the objective of a stage; at the coarsest size the content itself is matched."""
        config = self.config
        subject = subject.resized(stage.shape, style_scale=config.style_scale, device=pick_device(config.device))
        content = subject.content
        regions = [
            RegionVectors.of(
                features, region, content, rotations=config.rotations, limit=config.vectors, seed=config.seed
            )
            for region in subject.regions
        ]
        if stage.is_final:
            return NearestVectorObjective(features, regions, content, self._content_fraction)
        alpha = 1.0 if stage.shape == coarsest else self._alpha
        source = alpha * content + (1 - alpha) * start
        targets = fixed_targets(features, regions, content, source, self._content_fraction)
        return FixedTargetObjective(features, regions, targets)

    @cached_property
    def _features(self) -> FeatureVectors:
        backbone = load_network(self.config, self.config.backbone, self.config.pooling)
        return FeatureVectors(
            backbone, self._layers, pick_dtype(self.config.precision, pick_device(self.config.device))
        )
