"""Define what the recipes share that distill a bundled backbone from VGG-19."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le, Lt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.backbones import load_backbone
from impasto.backbones.chain import Convolution
from impasto.backbones.distilled import DistilledBackbone
from impasto.backbones.narrow_vgg import RELUS
from impasto.backbones.vgg import VGG19Caffe
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.features.moments import second_moment
from impasto.files import write_atomically
from impasto.images import load_image, quantize
from impasto.images.contact_sheet import contact_sheet
from impasto.losses.content import ContentLoss
from impasto.losses.gram import GramLoss
from impasto.objectives.objective import Objective, match
from impasto.optim.descent import descend
from impasto.samples import resolve
from impasto.training.augmentation import random_degradation, random_zoom
from impasto.training.datasets import Batch, Dataset
from impasto.training.distillation import Student, fit_student, measure_units
from impasto.training.recipes.base import Recipe, TrainingConfig
from impasto.types import Image

SHEET, SHEET_STEPS = 192, 60  # longer side in pixels, steps
SHEET_SAMPLES = ("inkwash", "brushstrokes", "mosaic", "pointillism")
Width = Annotated[int, Ge(8), Le(512)]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class DistillationConfig(TrainingConfig):
    """Settings of a distillation."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 2400
    """Optimizer steps of the whole training."""
    batch: Annotated[int, Ge(1), Le(65536)] = 4
    """Samples per step, over all processes together: a photograph and a painting each."""
    crop: Annotated[int, Ge(8), Le(4096)] = 176
    """Side of the training crops in pixels."""
    lr: Annotated[float, Gt(0), Le(10)] = 4e-4
    """Maximum learning rate of AdamW; a higher one first degrades the initial weights, which are good."""
    warmup: Annotated[int, Ge(0)] = 100
    """Steps of linear increase of the learning rate; then it decreases to 0 along a cosine."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.998
    """Decay of the moving average of the weights, which is exported; 0 exports the last weights."""
    widths: tuple[Width, ...] = (64,) * len(RELUS)
    """Channels of the 13 convolutions up to relu5_1; VGG-19 has 64, 128, 256 and twice 512 in its blocks."""
    fit_pictures: Annotated[int, Ge(2), Le(100_000)] = 256
    """Number of images to which the initial weights are fitted, one half of them paintings."""
    feature_weight: Annotated[float, Ge(0)] = 1.0
    """Weight of the distance to the features of the teacher, in units of their variance."""
    gram_weight: Annotated[float, Ge(0)] = 1.0
    """Weight of the distance to the teacher's Gram matrices, in units of that between two images."""
    stylized_weight: Annotated[float, Ge(0)] = 3.0
    """Factor on both weights for images that are optimized with the network."""
    stylized_fraction: Annotated[float, Ge(0), Le(1)] = 0.25
    """Fraction of the samples for which an image is optimized with the network."""
    stylized_steps: Annotated[int, Ge(3), Le(1000)] = 30
    """Steps of L-BFGS for each optimized image; three of its states are used."""


class DistillationRecipe(Recipe):
    """A small VGG-19 for style transfer by optimization, distilled from `vgg19-caffe`.

    Each channel represents one channel of the teacher. The initial weights follow in closed form from those of the
    teacher (`impasto.training.distillation`). Then all layers are trained on photographs, paintings, noisy and
    sharpened images, and on images that are optimized with the current network. An optimizer exploits the errors of
    the network, and only these images contain them. The Gram matrices count more where they change the style loss.

    Reference: a narrow student for style transfer after Wang et al. (Collaborative distillation, CVPR 2020).
    """

    config: DistillationConfig
    backbone: ClassVar[type[DistilledBackbone]]
    """The backbone that is trained; its name is that of the recipe."""
    content_scale: ClassVar[float] = 1.0
    """Additional scale of the content layer in the exported weights."""

    def __init__(self, config: DistillationConfig) -> None:
        """Check the number of widths.

        Raises:
            ValueError: if it is not that of the convolutions.
        """
        super().__init__(config)
        check_count("widths", config.widths)

    @cached_property
    def _teacher(self) -> VGG19Caffe:
        device = pick_device(self.config.device)
        teacher = load_backbone("vgg19-caffe", device=device, dtype=self._dtype)
        assert isinstance(teacher, VGG19Caffe)
        return teacher

    @property
    def _dtype(self) -> torch.dtype:
        return pick_dtype(self.config.precision, pick_device(self.config.device))

    def network(self) -> Student:
        """Return a student of random weights."""
        return Student(self.config.widths)

    def prepare(self, data: Dataset) -> Student:
        """Return a student with weights fitted to those of the teacher.

        Raises:
            ValueError: if photographs or paintings are missing.
        """
        if set(data.files) != {"photo", "painting"}:
            name = self.backbone.bundled.stem
            raise ValueError(f"{name} is trained on photographs and paintings; give both --photos and --paintings")
        half = math.ceil(self.config.fit_pictures / 2)
        batch = data.batch(0, range(half))
        generator = torch.Generator().manual_seed(self.config.seed)
        photos = torch.stack([random_degradation(each, generator) for each in batch["photo"]])
        images = torch.cat([photos, batch["painting"]])
        network = self.network()
        teacher = load_backbone("vgg19-caffe", dtype=pick_dtype("auto", torch.device("cpu")))
        assert isinstance(teacher, VGG19Caffe)
        channels = fit_student(network, teacher.chain, _normalize(images), generator)
        measure_units(network, teacher.chain, _normalize(images), channels)
        return network

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the distances to the teacher on training images and on images optimized with the network."""
        assert isinstance(network, Student)
        config = self.config
        generators = [torch.Generator().manual_seed(int(seed)) for seed in batch["seed"]]
        photos = [
            random_degradation(random_zoom(photo, g), g) for photo, g in zip(batch["photo"], generators, strict=True)
        ]
        styles = [random_zoom(painting, g) for painting, g in zip(batch["painting"], generators, strict=True)]
        stylized: list[Tensor] = []
        sample_of: list[int] = []  # index of the sample of each of these images
        for i, generator in enumerate(generators):
            if torch.rand((), generator=generator) < config.stylized_fraction:
                states = self._stylize(network, photos[i], styles[i], generator)
                stylized += states
                sample_of += [i] * len(states)
        images = torch.stack([*photos, *styles, *stylized])
        terms = self._compare(network, images, [len(photos) + i for i in sample_of])
        plain = 2 * len(photos)
        weight = config.stylized_weight
        fraction = len(stylized) / max(1, 3 * len(photos))  # 1 if every sample has an optimized image
        return {
            "features": config.feature_weight * terms["features"][:plain].mean(),
            "gram": config.gram_weight * terms["gram"][:plain].mean(),
            "stylized/features": weight * config.feature_weight * _mean(terms["features"][plain:]) * fraction,
            "stylized/gram": weight * config.gram_weight * _mean(terms["gram"][plain:]) * fraction,
        }

    @torch.enable_grad()
    def sheet(self, network: nn.Module) -> Image:
        """Return a sample content image, optimized with the network for sample styles."""
        assert isinstance(network, Student)
        device = pick_device(self.config.device)
        content, *styles = (load_image(resolve(name), size=SHEET).to(device) for name in SHEET_SAMPLES)
        row = [content]
        for style in styles:
            objective = self._objective(network, content, style)
            row += [style, list(descend(objective, content, steps=SHEET_STEPS))[-1].image()]
        return contact_sheet([[each.cpu() for each in row]], cell=SHEET)

    def export(self, network: nn.Module, folder: Path, metadata: dict[str, str]) -> Path:
        """Write the file of the backbone with scaled weights, and the teacher channels in the metadata."""
        from safetensors.torch import save

        assert isinstance(network, Student)
        state: dict[str, Tensor] = {}
        for layer in network.scaled_layers(self.content_scale):
            if isinstance(layer, Convolution):
                state |= self.backbone.stored(layer)
        channels = {name: network.channels(name).tolist() for name in RELUS}
        about = {
            "license": "CC BY 4.0",
            "derived_from": "VGG-19 (Simonyan & Zisserman 2014, arXiv 1409.1556; CC BY 4.0)",
            "input": f"RGB in [0, 1] minus {DistilledBackbone.mean}",
            "teacher_channels": json.dumps(channels, separators=(",", ":")),
        }
        path = folder / self.backbone.bundled.name
        write_atomically(path, save(state, metadata={**about, **metadata}))
        return path

    def _stylize(self, network: Student, photo: Tensor, style: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Return three states of an image optimized with the network, from the photograph or, in 20 %, from noise."""
        start = photo
        if torch.rand((), generator=generator) < 0.2:
            start = torch.rand(photo.shape, generator=generator).to(photo.device)
        last = self.config.stylized_steps
        chosen = {*torch.randint(1, last, (2,), generator=generator).tolist(), last}
        steps = descend(self._objective(network, photo[None], style[None]), start[None], steps=last)
        return [quantize(step.image()[0].to(photo.device)) for step in steps if step.index in chosen]

    def _objective(self, network: Student, content: Image, style: Image) -> Objective:
        """Return the objective of the method `gatys` with the current network."""
        backbone = self.backbone.of(network.scaled_layers(), device=content.device, dtype=self._dtype)
        with torch.no_grad():
            content_features = backbone.encode(content, backbone.content_layers)
            style_features = backbone.encode(style, backbone.style_layers)
        return Objective(
            backbone,
            [
                *match("content", ContentLoss(), [content_features], backbone.content_layers, 1.0),
                *match("style", GramLoss(), [style_features], backbone.style_layers, 100.0),
            ],
        )

    def _compare(self, network: Student, images: Tensor, style_of: list[int]) -> dict[str, Tensor]:
        """Return the distances between network and teacher, `(N,)` each.

        Args:
            network: the student.
            images: `(N, 3, S, S)`, the optimized ones last.
            style_of: for every optimized image the index of its style image; its Gram term compares the difference to
                the Gram matrix of the style image, which is what an optimizer minimizes.
        """
        pixels = _normalize(images)
        with torch.no_grad():
            teacher = self._teacher.chain(pixels, RELUS)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            student = network(pixels)
        count = len(images)
        features, grams = images.new_zeros(count), images.new_zeros(count)
        units = dict(zip(DistilledBackbone.style_layers, network.gram_units, strict=True))
        for name in RELUS:
            ours, theirs = student[name].float(), teacher[name][:, network.channels(name)].float()
            variance = network.get_buffer(f"variance_{name}")[:, None, None]
            features = features + ((ours - theirs).square() / variance).mean((1, 2, 3)) / len(RELUS)
            if name in units:
                error = second_moment(ours) - second_moment(theirs)  # (N, C, C)
                if style_of:
                    first = count - len(style_of)
                    error = torch.cat([error[:first], error[first:] - error[style_of]])
                grams = grams + error.square().mean((1, 2)) * units[name]
        return {"features": features, "gram": grams}


def check_count(name: str, given: Sequence[int]) -> None:
    """Raise `ValueError` unless a setting has one number for each convolution."""
    if len(given) != len(RELUS):
        raise ValueError(f"{name}: give {len(RELUS)}, one per convolution, not {len(given)}")


def _normalize(images: Tensor) -> Tensor:
    return images - torch.tensor(DistilledBackbone.mean, device=images.device).view(1, 3, 1, 1)


def _mean(terms: Tensor) -> Tensor:
    return terms.mean() if len(terms) else terms.sum()
