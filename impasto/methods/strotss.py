from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES, load_backbone
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.methods.base import METHODS, Method
from impasto.methods.matching import POLISHER
from impasto.objectives.strotss import Transport
from impasto.optim.coarse_to_fine import MakeObjective, PixelConfig, coarse_to_fine, final_shape
from impasto.optim.descent import Optimizer
from impasto.regions.subject import Subject
from impasto.types import Step

SMALLEST = 64
"""Longer side of the coarsest picture, in pixels, at least."""
NARROWEST = 16
"""Shorter side of the coarsest photograph and styles, at least: deep layers have nothing to say of less."""
WHOLE = 1024
"""Longer side at which the content weighs what its weight says; at half that, twice as much."""
RMSPROP_LR = 0.004
"""Of the pixel range; twice the paper's, for fewer steps."""
LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu4_3")
"""The paper's, but for relu5_3."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class StrotssConfig(PixelConfig):
    """Settings of `strotss`."""

    steps: Annotated[int, Ge(1), Le(1_000_000)] | None = 400
    """Optimizer iterations over all sizes, in equal shares; none given in Python (None) means until converged."""
    sizes: tuple[Annotated[int, Ge(1), Le(65536)], ...] = ()
    """Longer sides to paint at one after the other, coarse to fine; none given means size, halved to 64 or more."""
    optimizer: Optimizer = "rmsprop"
    """What moves the pixels: L-BFGS without line search, Adam, or RMSprop."""
    lr: Annotated[float, Gt(0), Le(100)] | None = None
    """Length of a step; 1 for lbfgs, of the pixel range 0.02 for adam and 0.004 for rmsprop unless given."""
    pyramid: Annotated[int, Ge(0), Le(16)] = 5
    """Levels of a Laplacian pyramid that is moved in place of the pixels; 0 or 1 is off."""
    backbone: str = "lite"
    """Network whose features judge the picture."""
    content_weight: Annotated[float, Ge(0), Le(1e6)] = 1.0
    """Pull of the content: 0.5 is free, 1 the paper's, 2 careful."""
    layers: tuple[str, ...] = ()
    """Layers that hypercolumns are made of; none given means relu1_1 to relu4_3, or the backbone's own."""
    places: Annotated[int, Ge(16), Le(1024)] = 1024
    """How many places of each region, and of its styles, are looked at in a step."""
    renew: Annotated[int, Ge(0), Le(1_000_000)] = 5
    """Steps after which other places are looked at; 0 keeps the first, and so does the optimizer lbfgs."""


@METHODS.add("strotss")
class Strotss(Method):
    """Style transfer by relaxed optimal transport and self-similarity (Kolkin, Salavon & Shakhnarovich, CVPR 2019).

    The picture's hypercolumns are moved to the style's, while the pattern of likeness among its own stays the
    photograph's.

    Departs from the paper: a content start, layers that weigh alike, places spread evenly, and a weight of the content
    that falls with the size instead of with the number of sizes before.
    """

    summary = "Move features to the style's by optimal transport, keep self-similarity (Kolkin et al. 2019)"
    Config = StrotssConfig
    config: StrotssConfig
    paper: ClassVar[dict[str, Any]] = {"steps": 1000, "lr": 0.002, "renew": 1}

    def __init__(self, config: StrotssConfig) -> None:
        super().__init__(config)
        self._networks = [config.backbone]
        if config.polish and config.backbone != POLISHER:
            self._networks.append(POLISHER)
        for network in self._networks:
            BACKBONES[network].check_layers(layers_of(config, network))

    def run(self, subject: Subject) -> Iterator[Step]:
        config = replace(self.config, sizes=self.config.sizes or sizes_of(self.config, subject))
        if config.lr is None and config.optimizer == "rmsprop":
            config = replace(config, lr=RMSPROP_LR)
        return coarse_to_fine(config, subject, *self._objectives)

    @cached_property
    def _objectives(self) -> list[MakeObjective]:
        return [self._objective(network) for network in self._networks]

    def _objective(self, network: str) -> MakeObjective:
        """What the picture should minimize as `network` sees it."""
        config = self.config
        device = pick_device(config.device)
        backbone = load_backbone(network, device=device, dtype=pick_dtype(config.precision, device))
        given = 50.0 if config.strength is None else config.strength
        content_weight = config.content_weight * 10 ** ((50 - given) / 50)

        def objective(subject: Subject) -> Transport:
            return Transport(
                backbone,
                ["image", *layers_of(config, network)],
                subject,
                alpha=content_weight * WHOLE / max(subject.content.shape[-2:]),
                count=config.places,
                renew=0 if config.optimizer == "lbfgs" else config.renew,
                seed=config.seed,
            )

        return objective


def layers_of(config: StrotssConfig, network: str) -> tuple[str, ...]:
    """What the hypercolumns of `network` are made of, besides the colors."""
    own = BACKBONES[network]
    usual = tuple(layer for layer in LAYERS if layer in own.layers)
    return config.layers or usual or tuple(dict.fromkeys([*own.style_layers, *own.content_layers]))


def sizes_of(config: StrotssConfig, subject: Subject) -> tuple[int, ...]:
    """The longer sides to paint at: that of the finished picture, halved as long as there is enough left to see."""
    sizes = [max(final_shape(config, subject.content))]
    shortest = subject.shortest_side(config.style_scale)
    while sizes[0] // 2 >= SMALLEST and sizes[0] // 2 * shortest >= NARROWEST:
        sizes.insert(0, sizes[0] // 2)
    return tuple(sizes)
