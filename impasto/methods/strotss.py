"""Stylize by relaxed optimal transport and self-similarity (STROTSS)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from itertools import count
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES, Backbone
from impasto.config import MAIN, SETTINGS
from impasto.devices import pick_device
from impasto.methods.base import METHODS
from impasto.methods.optimizing import PixelMethod, PolishSettings, load_network, loss_networks
from impasto.objectives.strotss import StrotssObjective
from impasto.optim.coarse_to_fine import MakeObjective
from impasto.optim.descent import Optimizer
from impasto.optim.schedule import (
    PixelConfig,
    Schedule,
    Stage,
    coarse_sizes,
    divided,
    make_schedule,
    scaled_steps,
)
from impasto.regions.subject import Subject
from impasto.types import Image

SMALLEST = 64
"""Minimum longer side of the coarsest stage, in pixels."""
NARROWEST = 16
"""Minimum shorter side of the coarsest content and styles: deep layers have no positions below it."""
REFERENCE_SIZE = 1024
"""Longer side at which the content weight is the setting; at half of it, the weight is twice as large."""
STEPS = 400
"""Iterations over all sizes with normal quality."""
RMSPROP_LR = 0.004
"""Step length as a fraction of the pixel range; twice that of the paper, for fewer steps."""
LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu4_3")
"""Layers of the paper, without relu5_3."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class StrotssConfig(PolishSettings, PixelConfig):
    """Settings of `strotss`."""

    steps: Annotated[Annotated[int, Ge(1), Le(1_000_000)] | None, MAIN] = None
    """Number of steps over all sizes, in equal parts. Default: 400, by quality."""
    sizes: tuple[Annotated[int, Ge(1), Le(65536)], ...] = ()
    """Longer sides in pixels, optimized in turn from coarse to fine. Default: size, halved down to 64."""
    optimizer: Optimizer = "rmsprop"
    """Optimizer of the pixels: L-BFGS without line search, Adam or RMSprop."""
    lr: Annotated[float, Gt(0), Le(100)] | None = None
    """Step length. Default: 1 for lbfgs; 0.02 of the pixel range for adam, 0.004 for rmsprop."""
    pyramid: Annotated[int, Ge(0), Le(16)] = 5
    """Levels of a Laplacian pyramid that is optimized instead of the pixels; 0 optimizes the pixels."""
    content_weight: Annotated[float, Ge(0), Le(1e6), MAIN] = 1.0
    """Weight of the content loss: 0.5 changes shapes more, 1 is the paper's, 2 preserves shapes better."""
    layers: tuple[str, ...] = ()
    """Layers of the hypercolumns. Default: relu1_1 to relu4_3, or those of the backbone."""
    positions: Annotated[int, Ge(16), Le(1024)] = 1024
    """Number of positions of each region, and of its styles, that a step compares."""
    resample_every: Annotated[int, Ge(0), Le(1_000_000)] = 5
    """Steps between two samples of positions; 0 keeps the first sample, and lbfgs always does."""


@METHODS.add("strotss")
class Strotss(PixelMethod):
    """Style transfer by relaxed optimal transport and self-similarity (STROTSS; Kolkin et al., CVPR 2019).

    Moves the hypercolumns of the image to those of the style and keeps the self-similarity of the content image.

    Departs from the paper: a content start, equal layer weights, evenly spread positions, images mirrored beyond their
    borders, and a content weight that decreases with the size instead of with the number of sizes before, and that is
    smaller for an image without structure.
    """

    summary = "Move features to the style's by optimal transport, keep self-similarity (Kolkin et al. 2019)"
    Config = StrotssConfig
    config: StrotssConfig
    paper: ClassVar[dict[str, Any]] = {"steps": 1000, "lr": 0.002, "resample_every": 1}

    def __init__(self, config: StrotssConfig) -> None:
        """Check the settings."""
        super().__init__(config)
        for name in loss_networks(config):
            BACKBONES[name].check_layers(layers_of(config, BACKBONES[name]))

    def schedule(self, subject: Subject) -> Schedule:
        """Return the stages: the size of the output, halved as long as enough pixels are left, from coarse to fine."""
        config = self.config
        longest = max(self.final_shape(config, subject.content))
        shortest_side = subject.shortest_side(config.style_scale)
        sizes = coarse_sizes(
            (longest >> i for i in count()), lambda size: size >= SMALLEST and size * shortest_side >= NARROWEST
        )
        return make_schedule(
            config,
            subject.content,
            sizes,
            steps=divided(scaled_steps(STEPS, config.quality), len(config.sizes or sizes)),
            final_steps=config.polish if len(loss_networks(config)) > 1 else 0,
            default_lr={"rmsprop": RMSPROP_LR},
        )

    def objectives(self, subject: Subject, schedule: Schedule) -> MakeObjective:
        """Return a function that makes the objective of each stage."""
        return partial(self._objective, self._backbones)

    def _objective(
        self, backbones: Sequence[Backbone], subject: Subject, stage: Stage, start: Image
    ) -> StrotssObjective:
        """Return the objective of a stage."""
        config = self.config
        backbone = backbones[-1 if stage.is_final else 0]
        strength = 50.0 if config.strength is None else config.strength
        content_weight = config.content_weight * 10 ** ((50 - strength) / 50)
        return StrotssObjective(
            backbone,
            ["image", *layers_of(config, backbone)],
            subject.resized(stage.shape, style_scale=config.style_scale, device=pick_device(config.device)),
            content_weight=content_weight * REFERENCE_SIZE / max(stage.shape),
            count=config.positions,
            resample_every=0 if config.optimizer == "lbfgs" else config.resample_every,
            seed=config.seed,
        )

    @cached_property
    def _backbones(self) -> list[Backbone]:
        return [load_network(self.config, name, self.config.pooling) for name in loss_networks(self.config)]


def layers_of(config: StrotssConfig, backbone: Backbone | type[Backbone]) -> tuple[str, ...]:
    """Return the layers of the hypercolumns, besides the colors."""
    usual = tuple(layer for layer in LAYERS if layer in backbone.layers)
    return config.layers or usual or tuple(dict.fromkeys([*backbone.style_layers, *backbone.content_layers]))
