"""Adapt the network of the method `micro` to one or several styles in about a minute, without photographs.

A network for any style has to be a compromise. Some hundred steps on large crops of sample images, with the loss of one
style at several scales, move all its weights except those of the style encoder. The colors of the output, as means of
blocks, stay near those of the initial network: the losses alone hardly care which part of the picture has which color.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass as settings_class
from torch import Tensor, nn

from impasto.backbones import load_backbone
from impasto.config import SETTINGS, Device, File, Precision, check_settings, settings_of
from impasto.devices import pick_device, pick_dtype, torch_defaults
from impasto.files import check_replaceable, check_writable, same_file
from impasto.images import MIN_SIDE, Source, fit, open_picture, resize
from impasto.methods.micro import ANY_STYLE, MicroConfig, MicroMethod
from impasto.networks.adapted_styles import STYLE_SIZE, AdaptedStyle, adapted_styles, encode_style, styles_metadata
from impasto.networks.input_noise import input_noise
from impasto.networks.micro import Code, Micro
from impasto.networks.weights_io import save_weights
from impasto.samples import resolve
from impasto.training.augmentation import random_shift
from impasto.training.checkerboard import checkerboard
from impasto.training.content_crops import ContentCrops, photo_contents, sample_contents
from impasto.training.loop import update_average
from impasto.training.scaled_loss import ScaledLoss
from impasto.types import Image, Step, is_stopped_by
from impasto.weights import sha256_of

CODE_SIZES = (384, 512, 768)
"""Longer sides for which the network is trained to receive the code of the style, in pixels."""
TYPICAL_CONTENTS = 16
"""Number of crops whose style loss is the unit of the style loss."""
BORDER = 32
"""Pixels of a crop that the loss network does not receive, at random sides; else the network learns to draw a frame."""
PIECE = 256
"""Side in pixels of the random piece of the rest whose content and texture are compared at the own size. The large
forms, at a half and at a quarter of the size, are those of the whole rest."""
CHECKERBOARD_WEIGHT = 500.0
MAX_GRADIENT = 1.0
AVERAGE_DECAY = 0.97
COLOR_BLOCK = 16
"""Side in pixels of the blocks whose mean colors stay near those of the initial network."""

OnStep = Callable[[Step], object]
"""Called with every step; returning False stops the training and keeps the weights so far."""


@settings_class(frozen=True, kw_only=True, config=SETTINGS)
class AdaptSettings:
    """Settings of an adaptation."""

    steps: Annotated[int, Ge(1), Le(1_000_000)] = 120
    """Training steps for each style."""
    seconds: Annotated[float, Gt(0)] | None = None
    """End the training, with its schedule, after this time if that is earlier, without the preparation before the first
    step, which takes some seconds. The weights then depend on the speed."""
    content_weight: Annotated[float, Ge(0)] = 0.08
    """Weight of the content loss; a larger one keeps more of the content image."""
    color_weight: Annotated[float, Ge(0)] = 20.0
    """Weight of the squared difference to the coarse colors of the initial network; 0 lets areas change color."""
    crop: Annotated[int, Ge(96), Le(1024)] = 384
    """Side of the training crops in pixels, a multiple of 8; the loss network receives 32 pixels less."""
    batch: Annotated[int, Ge(1), Le(64)] = 1
    """Crops per step."""
    lr: Annotated[float, Gt(0), Le(1)] = 3e-3
    """Maximum learning rate of Adam; after a warmup it decreases to 0 along a cosine."""
    backbone: str = "lite"
    """Loss network; `impasto backbones` lists the choices."""
    initial_weights: File | None = None
    """Weights file of `micro` to start from, or the name of a sample style for its network. Default: the network for
    any style."""
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 0
    """Seed of the random numbers: the same seed with one thread on the same machine gives the same file."""
    device: Device = "auto"
    """Device of the computation: auto, cpu, cuda, cuda:1, mps or xpu."""
    precision: Precision = "auto"
    """Precision of the convolutions; auto selects bf16 where the processor supports it, else fp32."""


@dataclass(frozen=True)
class Adapted:
    """The outcome of an adaptation."""

    output: Path
    """File of the adapted network."""
    styles: tuple[str, ...]
    """Names of the styles."""
    steps: int
    """Training steps done, for all styles together."""
    seconds: float
    """Wall time of the training, with its preparation."""
    losses: dict[str, float]
    """Terms of the loss, means over the last tenth of the steps."""
    stopped: Literal["finished", "seconds", "cancelled"]
    """Why it ended: all steps done, time limit reached, or stopped by the listener."""


def adapt(
    style: Source | Sequence[Source],
    output: str | os.PathLike[str],
    *,
    photos: str | os.PathLike[str] | None = None,
    on_step: OnStep | None = None,
    **settings: Any,
) -> Adapted:
    """Adapt the network of the method `micro` to one or several styles and write its weights.

    `impasto.stylize(photo, method="micro", weights=output)` then needs no style image. A training that is stopped
    writes the average of the weights so far.

    Args:
        style: style images, as for `stylize`.
        output: file to write, with the suffix `.safetensors`; it may replace another adapted network.
        photos: folder of photographs, of which up to 100 are used. Default: sample images and drawn shapes.
        on_step: called with every step; returning False stops the training.
        settings: fields of `AdaptSettings`.

    Returns:
        What was done.

    Raises:
        ValueError: in one line, for a mistake that the caller can correct.
    """
    file = Path(os.fsdecode(output))
    config = check_adaptation(settings, file)
    began = time.perf_counter()
    with torch_defaults(config.seed, pick_device(config.device)):
        styles = open_styles(style)
        adaptation = Adaptation(config, styles, photos)
        check_writable(file)
        stopped = adaptation.train(on_step)
        save_weights(adaptation.averaged.cpu(), file, adaptation.metadata())
    names = tuple(each.name for each in styles)
    seconds = time.perf_counter() - began
    return Adapted(file, names, adaptation.step, seconds, adaptation.last_losses(), stopped)


def check_adapted_output(file: Path) -> None:
    """Check that a file may be written: it does not exist, or contains an adapted network.

    Raises:
        ValueError: in one line, if it may not.
    """
    check_replaceable(file)
    if file.suffix != ".safetensors":
        raise ValueError(f"output: weights are written as .safetensors, not {file.suffix or file.name!r}")
    if os.path.lexists(file):
        try:
            is_adapted = bool(adapted_styles(file))
        except ValueError:
            is_adapted = False
        if not is_adapted:
            raise ValueError(f"cannot write {str(file)!r}: it is not a file of `impasto adapt`; give another name")


def check_adaptation(settings: Mapping[str, Any], file: Path) -> AdaptSettings:
    """Return the settings of an adaptation that writes a file.

    Raises:
        ValueError: in one line, for a wrong setting or a file that may not be written.
    """
    config: AdaptSettings = check_settings(AdaptSettings, "adapt", dict(settings))
    check_adapted_output(file)
    if config.crop % Micro.stride:
        raise ValueError(f"crop: give a multiple of {Micro.stride}, not {config.crop}")
    if config.initial_weights is not None and same_file(file, config.initial_weights):
        raise ValueError(f"{str(file)!r} is an input and would be overwritten: give another name")
    return config


def open_styles(style: Source | Sequence[Source]) -> tuple[AdaptedStyle, ...]:
    """Return style images at the size of the training.

    Args:
        style: one source or several.

    Raises:
        ValueError: in one line, if there is none or one cannot be read.
    """
    sources = style if isinstance(style, Sequence) and not isinstance(style, str) else [style]
    if not sources:
        raise ValueError("style: no style image is given; give at least one")
    styles = []
    for source in sources:
        picture = open_picture(resolve(source) if isinstance(source, str | os.PathLike) else source)
        name, image = Path(picture.name).stem, picture.image
        height, width = image.shape[-2:]
        check_style_size(name, (height, width))
        styles.append(encode_style(name, resize(image, fit((height, width), STYLE_SIZE))))
    return tuple(styles)


def check_style_size(name: str, shape: tuple[int, int]) -> None:
    """Check that a style image has enough pixels, also at the size of the training.

    Args:
        name: name of the style, for the message.
        shape: height and width in pixels.

    Raises:
        ValueError: in one line, if a side is too short.
    """
    height, width = shape
    if min(shape) < MIN_SIDE:
        raise ValueError(f"style: {name!r} is {width}x{height} pixels; give at least {MIN_SIDE} on each side")
    if min(fit(shape, STYLE_SIZE)) < MIN_SIDE:
        ratio = STYLE_SIZE // MIN_SIDE
        raise ValueError(f"style: {name!r} is {width}x{height} pixels; crop it to at most {ratio} times its short side")


class Adaptation:
    """The network in training, its average, and what the loss needs.

    Args:
        config: the settings.
        styles: the styles; the steps take them in turn.
        photos: folder of photographs, or None.

    Raises:
        ValueError: in one line, for weights or photographs that cannot be used.
    """

    def __init__(
        self, config: AdaptSettings, styles: Sequence[AdaptedStyle], photos: str | os.PathLike[str] | None
    ) -> None:
        self.config, self.styles, self.step = config, styles, 0
        self._device = pick_device(config.device)
        self._dtype = pick_dtype(config.precision, self._device)
        self._generator = torch.Generator().manual_seed(config.seed)
        start = MicroConfig(weights=config.initial_weights or ANY_STYLE, device="cpu")
        self._source, network = MicroMethod.weights(start), MicroMethod(start).network
        network.style_encoder.requires_grad_(False)  # the codes of the styles are constants
        self._network = network.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self._network).requires_grad_(False)
        self._initial = copy.deepcopy(self.averaged)
        self._weights = [weight for weight in self._network.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.Adam(self._weights, lr=config.lr, betas=(0.9, 0.99))
        self._photos = photos is not None
        images = (
            sample_contents(config.crop, self._generator)
            if photos is None
            else photo_contents(photos, config.crop, self._generator)
        )
        self._crops = ContentCrops(images, config.crop)
        backbone = load_backbone(config.backbone, device=self._device, dtype=self._dtype)
        images = [style.image.to(self._device) for style in styles]
        typical = self._crops.batch(TYPICAL_CONTENTS, self._generator).to(self._device)
        self._losses = [ScaledLoss(backbone, image, typical, config.content_weight) for image in images]
        self._codes = [[self._code(image, size) for size in CODE_SIZES] for image in images]
        self._history: list[dict[str, float]] = []

    def train(self, on_step: OnStep | None) -> Literal["finished", "seconds", "cancelled"]:
        """Train to the last step, the time limit or a stop by the listener.

        Args:
            on_step: called with every step.

        Raises:
            ValueError: if the loss is not finite.
        """
        total, limit = self.config.steps * len(self.styles), self.config.seconds or math.inf
        began = time.perf_counter()
        while True:
            elapsed = time.perf_counter() - began
            self._train_step(max(self.step / total, elapsed / limit))
            self.step += 1
            elapsed = time.perf_counter() - began
            expected = math.ceil(min(total, self.step * max(1.0, limit / elapsed)))  # steps until the time limit
            step = Step(self.step, self._history[-1], elapsed, evaluations=self.step, total=expected)
            if is_stopped_by(on_step, step) and self.step < total:
                return "cancelled"
            if self.step == total or elapsed >= limit:
                return "finished" if self.step == total else "seconds"

    def metadata(self) -> dict[str, str]:
        """Return the description of the training and of the styles, for the file."""
        settings = {
            name: Path(value).name if name == "initial_weights" and value else value  # folders are private
            for name, value in settings_of(self.config).items()
        }
        return {
            "recipe": "adapt",
            "license": "of the network: MIT; of the style images and their use: that of the images",
            "settings": json.dumps(settings),
            "contents": "photographs" if self._photos else "samples",
            "source": json.dumps({"name": self._source.name, "sha256": sha256_of(self._source)}),
            "steps": str(self.step),
            "losses": json.dumps(self.last_losses()),
            "impasto": version("impasto"),
            "torch": str(torch.__version__),
            **styles_metadata(self.styles),
        }

    def last_losses(self) -> dict[str, float]:
        """Return the means of the terms over the last tenth of the steps."""
        last = self._history[-max(1, len(self._history) // 10) :]
        return {name: sum(each[name] for each in last) / len(last) for name in last[0]}

    @torch.no_grad()
    def _code(self, style: Image, size: int) -> Code:
        """Return the code of a style image at a size."""
        height, width = fit((style.shape[-2], style.shape[-1]), size)
        stride = Micro.stride
        shape = max(stride, height // stride * stride), max(stride, width // stride * stride)
        code: Code = self._network.encode(resize(style, shape))
        return code

    def _train_step(self, progress: float) -> None:
        """Carry out one step at a fraction of the schedule."""
        terms = self._terms()
        self._optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        losses = {name: term.item() for name, term in terms.items()}
        norm = float(nn.utils.clip_grad_norm_(self._weights, MAX_GRADIENT))
        if not math.isfinite(sum(losses.values()) + norm):
            raise ValueError(f"step {self.step + 1}: the loss is not finite; try a lower lr")
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.lr * min(1, (self.step + 1) / 10) * (1 + math.cos(math.pi * min(1, progress))) / 2
        self._optimizer.step()
        update_average(self.averaged, self._network, min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step)))
        self._history.append(losses)

    def _terms(self) -> dict[str, Tensor]:
        """Return the terms of the loss for random crops."""
        config, generator = self.config, self._generator
        index = self.step % len(self.styles)
        seed = int(torch.randint(2**31, (), generator=generator))
        contents = self._crops.batch(config.batch, generator).to(self._device)
        noise = input_noise(config.crop, config.crop, seed).to(self._device)
        (code,) = self._codes[index][int(torch.randint(len(CODE_SIZES), (), generator=generator))]
        noisy, codes = contents + noise, (code.expand(config.batch, -1),)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            outputs = self._network(noisy, codes)
            with torch.no_grad():
                initial = self._initial(noisy, codes).clamp_(0, 1)
        seeds = torch.full((config.batch,), seed)
        inner = random_shift([outputs, contents], seeds, BORDER)
        pieces = random_shift(inner, seeds + 2, max(0, config.crop - BORDER - PIECE))
        return {
            **self._losses[index](inner[0], *pieces),
            "color": config.color_weight * F.avg_pool2d(outputs - initial, COLOR_BLOCK).square().mean(),
            "checkerboard": CHECKERBOARD_WEIGHT * checkerboard(outputs),
        }
