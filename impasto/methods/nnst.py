from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES, load_backbone
from impasto.backbones.chain import Pooling
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.images import fit
from impasto.methods.base import METHODS, Method
from impasto.objectives.nearest_features import Columns, MatchedEver, MatchedOnce, Part
from impasto.optim.coarse_to_fine import PixelConfig, coarse_to_fine
from impasto.optim.descent import Optimizer
from impasto.regions.subject import Subject
from impasto.types import Image, Step

SCALES = 4
"""How many sizes, each half the next, where sizes are not given."""
LR = 0.01
"""Adam's step, in place of 0.002 with many more steps."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class NNSTConfig(PixelConfig):
    """Settings of `nnst`."""

    backbone: str = "lite"
    """Network whose features are matched."""
    pooling: Pooling = "max"
    """What the network pools with."""
    layers: tuple[str, ...] = ()
    """Layers that make up a feature vector; none given means the backbone's own but those of its fifth block."""
    alpha: Annotated[float, Ge(0), Le(1)] | None = None
    """What is matched: the content at 1, the picture as it is at 0; unless given 0.75, or by strength."""
    rotations: Annotated[int, Ge(1), Le(4)] = 4
    """Turns of the style, by 0, 90, 180 and 270 degrees, whose vectors may be taken."""
    vectors: Annotated[int, Ge(0), Le(10_000_000)] = 8192
    """How many vectors of each style are looked through, drawn by the seed; 0 means all."""
    optimizer: Optimizer = "adam"
    """What moves the pixels: L-BFGS without line search, Adam, or RMSprop."""
    lr: Annotated[float, Gt(0), Le(100)] | None = None
    """Length of a step; 1 for lbfgs, 0.01 of the pixel range for adam and rmsprop unless given."""
    pyramid: Annotated[int, Ge(0), Le(16)] = 8
    """Levels of a Laplacian pyramid moved in place of the pixels, so that coarse colors change sooner; 0 is off."""
    steps_per_size: Annotated[int, Ge(1), Le(100_000)] = 40
    """Steps at each size, where the number of all steps is not given."""
    polish: Annotated[int, Ge(0), Le(1_000_000)] = 30
    """Steps after all others in which every layer is matched anew at every step."""


@METHODS.add("nnst")
class NNST(Method):
    """Neural neighbor style transfer (Kolkin, Kucera, Paris, Sykora, Shechtman, Shakhnarovich 2022; arXiv 2203.13215).

    Every feature vector of the photograph is replaced by the nearest one of the style, and the picture is looked for
    that has these features. At last each layer is matched for itself, again at every step.

    Departs from the paper: other networks than VGG-16, fewer steps, a part of the style's vectors, and no change of
    colors afterwards.
    """

    summary = "Replace every feature vector by its nearest in the style, and paint that (Kolkin et al. 2022)"
    Config = NNSTConfig
    config: NNSTConfig
    paper: ClassVar[dict[str, Any]] = {"vectors": 0, "steps_per_size": 200, "polish": 200, "lr": 0.002}

    def __init__(self, config: NNSTConfig) -> None:
        super().__init__(config)
        if config.alpha is not None and config.strength is not None:
            raise ValueError("strength: it sets alpha, and alpha is given too; give one of them")
        strength = 50.0 if config.strength is None else config.strength
        self._alpha = 1 - strength / 200 if config.alpha is None else config.alpha
        self._kept = max(0.0, 1 - strength / 50)
        network = BACKBONES[config.backbone]
        own = dict.fromkeys([*network.style_layers, *network.content_layers])
        self._layers = config.layers or tuple(sorted((n for n in own if "5_" not in n), key=network.layers.index))
        network.check_layers(self._layers)

    def run(self, subject: Subject) -> Iterator[Step]:
        config, columns = self.config, self._columns
        sizes = config.sizes or self._sizes(subject.content)
        steps = config.steps or config.steps_per_size * len(sizes)
        config = replace(config, sizes=sizes, steps=steps, lr=config.lr or (LR if config.optimizer == "adam" else None))
        coarsest = fit(_sides(subject.content), sizes[0])

        def once(scaled: Subject) -> MatchedOnce:
            alpha = 1.0 if _sides(scaled.content) == coarsest else self._alpha
            return MatchedOnce(columns, self._parts(columns, scaled), scaled.content, alpha, self._kept)

        def ever(scaled: Subject) -> MatchedEver:
            return MatchedEver(columns, self._parts(columns, scaled), scaled.content, self._kept)

        return coarse_to_fine(config, subject, once, ever)

    @cached_property
    def _columns(self) -> Columns:
        config = self.config
        device = pick_device(config.device)
        dtype = pick_dtype(config.precision, device)
        backbone = load_backbone(config.backbone, pooling=config.pooling, device=device, dtype=dtype)
        return Columns(backbone, self._layers, dtype)

    def _sizes(self, content: Image) -> tuple[int, ...]:
        """Longer sides from coarse to fine; the coarsest has a shorter side of at least 32 pixels."""
        height, width = _sides(content)
        whole = self.config.size or max(height, width)
        sizes = [round(whole / 2**scale) for scale in reversed(range(SCALES))]
        sizes = [size for size in sizes if size == whole or min(fit((height, width), size)) >= 32]
        return tuple(sizes[-self.config.steps :] if self.config.steps else sizes)

    def _parts(self, columns: Columns, scaled: Subject) -> list[Part]:
        config = self.config
        choice = {"turns": config.rotations, "most": config.vectors, "seed": config.seed}
        return [Part.of(columns, region, scaled.content, **choice) for region in scaled.regions]


def _sides(image: Image) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]
