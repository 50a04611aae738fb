from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass
from torch import Tensor

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.config import SETTINGS
from impasto.correlation import both_moments, covariance
from impasto.devices import pick_device, pick_dtype
from impasto.hypercolumns import draw_places, hypercolumns
from impasto.losses.relaxed_earth_mover import RelaxedEarthMoverLoss
from impasto.losses.self_similarity import SelfSimilarityLoss
from impasto.methods import METHODS, Method
from impasto.scales import MakeObjective, PixelConfig, coarse_to_fine, final_shape
from impasto.optimize import Optimizer
from impasto.subject import Region, Subject
from impasto.types import Features, Image, Step

SMALLEST = 64
"""Longer side of the coarsest picture, in pixels, as in the paper."""
NARROWEST = 32
"""No picture on the way gets a shorter side below this many pixels: deep layers would be left with next to nothing."""
STYLE_PLACES = 4096
"""How many hypercolumns of the styles of a region a painting is compared with; 5000 in the paper."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class StrotssConfig(PixelConfig):
    """Settings of `strotss`."""

    steps: Annotated[int, Ge(1), Le(1_000_000)] | None = 400
    """Optimiser iterations over all sizes, shared equally; none given means until converged."""
    sizes: tuple[Annotated[int, Ge(1), Le(65536)], ...] = ()
    """Longer sides to paint at one after the other, coarse to fine; none given means 64 (or a little more), doubled up to size."""
    optimizer: Optimizer = "adam"
    backbone: str = "lite"
    """Network whose features judge the picture."""
    content_weight: Annotated[float, Ge(0), Le(1e6)] = 1.0
    """Pull of the content against that of the style; 0.5 is bold, 2 careful."""
    layers: tuple[str, ...] = ()
    """Layers that hypercolumns are made of; none given means the backbone's own for style and for content."""
    places: Annotated[int, Ge(16), Le(1024)] = 1024
    """How many places of the picture, or of each region, are looked at in a step."""
    style_places: int = 1024
    mw: float = 1.0
    renew: Annotated[int, Ge(0), Le(1_000_000)] = 1
    """Steps after which other places are looked at; 0 keeps the first. With lbfgs they always stay."""


@METHODS.add("strotss")
class Strotss(Method):
    summary = "Move hypercolumns to the style's by relaxed optimal transport, keep self-similarity (Kolkin et al. 2019)"
    Config = StrotssConfig
    config: StrotssConfig

    def __init__(self, config: StrotssConfig) -> None:
        super().__init__(config)
        BACKBONES[config.backbone].check_layers(layers_of(config, config.backbone))

    def paint(self, subject: Subject) -> Iterator[Step]:
        config = replace(self.config, sizes=self.config.sizes or sizes_of(self.config, subject))
        return coarse_to_fine(config, subject, self._objective(config.backbone))

    def _objective(self, network: str) -> MakeObjective:
        config = self.config
        device = pick_device(config.device)
        backbone = load_backbone(network, device=device, dtype=pick_dtype(config.precision, device))
        return lambda subject: Transport(config, backbone, ["image", *layers_of(config, network)], subject)


def layers_of(config, network):
    own = BACKBONES[network]
    asked = {*own.style_layers, *own.content_layers}
    return list(config.layers) or [layer for layer in own.layers if layer in asked]


def sizes_of(config: StrotssConfig, subject: Subject) -> tuple[int, ...]:
    """Longer sides by doubling, up to that of the finished picture."""
    height, width = final_shape(config, subject.content)
    longest = max(height, width)
    pictures = [subject.content, *(style.image for region in subject.regions for style in region.styles)]
    ratio = min(min(p.shape[-2:]) / max(p.shape[-2:]) for p in pictures)
    sizes = [longest]
    while sizes[0] // 2 >= SMALLEST and sizes[0] // 2 * ratio * min(1, config.stroke) >= NARROWEST:
        sizes.insert(0, sizes[0] // 2)
    return tuple(sizes)


class Transport:
    def __init__(self, config, backbone, layers, subject):
        self.config, self.backbone, self.layers, self.subject = config, backbone, layers, subject
        self.alpha = config.content_weight * 1024 / max(subject.content.shape[-2:])
        with torch.no_grad():
            self.content = backbone.encode(subject.content, layers)
            self.styles = [[backbone.encode(s.image, layers) for s in r.styles] for r in subject.regions]
        self.count = 0

    def columns(self, features, places):
        return hypercolumns(features, self.layers, places)

    def targets(self, region, encoded, seed):
        with torch.no_grad():
            out = []
            for s, f in zip(region.styles, encoded):
                if s.share == 0: continue
                n = round(self.config.style_places * s.share)
                out.append(self.columns(f, draw_places(tuple(s.image.shape[-2:]), s.mask, n, seed + 7)))
            z = torch.cat(out, dim=2)
            return unit(z), both_moments(z), z[0, :3, :, 0]

    def __call__(self, image):
        turn = 0
        if torch.is_grad_enabled() and self.config.renew and self.config.optimizer != "lbfgs":
            turn = self.count // self.config.renew
            self.count += 1
        seed = self.config.seed * 1000003 + turn
        features = self.backbone.encode(image, self.layers)
        losses = {}
        for region, encoded in zip(self.subject.regions, self.styles):
            t_remd, t_mom, t_pal = self.targets(region, encoded, seed)
            places = draw_places(tuple(image.shape[-2:]), region.mask, self.config.places, seed)
            own = self.columns(features, places)
            with torch.no_grad():
                kept = ss(unit(self.columns(self.content, places)))
            s = f"/{region.name}" if region.name else ""
            w = region.area
            ws = w * region.strength
            u = unit(own)
            losses["content/self_similarity" + s] = w * self.alpha * (ss(u) - kept).abs().mean()
            losses["style/earth_mover" + s] = ws * moved(u, t_remd)
            m = both_moments(own)
            losses["style/moments" + s] = ws * self.config.mw * ((m[:, 0] - t_mom[:, 0]).abs().mean() + (covariance(m) - covariance(t_mom)).abs().mean())
            losses["style/palette" + s] = ws / max(self.alpha, 1) * palette(own[0, :3, :, 0], t_pal)
        return losses

def unit(z):
    c = z[0, :, :, 0]
    return c * (c.square().sum(0, keepdim=True) + 1e-8).rsqrt()

def ss(u):
    v = u.bfloat16()
    d = 1 - (v.T @ v).float()
    return d / (d.mean(0, keepdim=True) + 1e-6)

def moved(own, other):
    with torch.no_grad():
        c = own.bfloat16().T @ other.bfloat16()
        a, b = c.argmax(1), c.argmax(0)
    return torch.maximum((1 - (own * other.index_select(1, a)).sum(0)).mean(), (1 - (own.index_select(1, b) * other).sum(0)).mean())

def palette(own, other):
    """Relaxed earth mover of colours."""
    with torch.no_grad():
        d = torch.cdist(own.T, other.T)
        a, b = d.argmin(1), d.argmin(0)
    e = lambda x, y: ((x - y).square().sum(0) + 1e-8).sqrt().mean()
    return torch.maximum(e(own, other.index_select(1, a)), e(own.index_select(1, b), other))
