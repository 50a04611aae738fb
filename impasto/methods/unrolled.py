"""Stylize with any style image in one pass of a very small network and a few learned steps."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MinLen
from pydantic.dataclasses import dataclass

from impasto.backbones import load_chain
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.methods.base import METHODS
from impasto.methods.feed_forward import FeedForward, FeedForwardConfig, Network, Passes, stylize_cascade
from impasto.networks.micro import MICRO_FILE, Micro
from impasto.networks.unrolled import REDUCTIONS, LearnedSteps, ReducedStep
from impasto.networks.weights_io import backbone_of, load_weights
from impasto.regions.subject import Subject
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class UnrolledConfig(FeedForwardConfig):
    """Settings of `unrolled`."""

    reductions: Annotated[tuple[Annotated[int, Ge(1), Le(4)], ...], MinLen(1)] = REDUCTIONS
    """Factors 1, 2 or 4 by which the image is reduced for each step; more steps are closer to the style."""


@METHODS.add("unrolled")
class UnrolledMethod(FeedForward):
    """A pass of `micro`, then steps whose backward pass was trained, from a quarter of the size to the full size.

    Reference: unrolled iterations, Gregor & LeCun (ICML 2010); learned gradient descent, Adler & Öktem (2017).
    """

    summary = "A pass of micro and a few learned gradient steps: closer to the style, still finished in a moment"
    bundled: ClassVar[Path] = Path(str(files("impasto"))) / "assets" / "weights" / "unrolled.safetensors"
    Config = UnrolledConfig
    config: UnrolledConfig

    def __init__(self, config: UnrolledConfig) -> None:
        """Check the reductions.

        Raises:
            ValueError: for another factor than 1, 2 or 4.
        """
        super().__init__(config)
        if 3 in config.reductions:
            raise ValueError("reductions: choose from 1, 2 and 4, not 3")

    def stylize(self, subject: Subject, passes: Passes) -> Image:
        """Return the stylized image; the input noise follows the setting `seed`."""
        return stylize_cascade(self.config, self.networks, subject, passes, fade_noise=False, refine=True)

    @cached_property
    def networks(self) -> list[Network]:
        """Return `micro` and one network per step."""
        learned = {factor: ReducedStep(self.steps, factor) for factor in set(self.config.reductions)}
        return [self.micro, *(learned[factor] for factor in self.config.reductions)]

    @cached_property
    def micro(self) -> Micro:
        """Return the network of the first pass with its weights, on the device of the settings."""
        micro = Micro()
        load_weights(micro, MICRO_FILE)
        return micro.to(pick_device(self.config.device)).eval()

    @cached_property
    def steps(self) -> LearnedSteps:
        """Return the learned steps with their weights, on the device of the settings."""
        config, device = self.config, pick_device(self.config.device)
        file = Path(config.weights or self.bundled)
        steps = LearnedSteps(load_chain(backbone_of(file), device=device, dtype=pick_dtype(config.precision, device)))
        load_weights(steps, file)
        return steps.to(device).eval()
