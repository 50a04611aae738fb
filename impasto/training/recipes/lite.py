from __future__ import annotations

import json
import math
from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.backbones import load_backbone
from impasto.backbones.chain import Convolution
from impasto.backbones.lite import Lite
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
from impasto.training.augmentation import spoiled, zoomed
from impasto.training.datasets import Batch, Dataset
from impasto.training.distillation import Student, measure, take_over
from impasto.training.recipes.base import RECIPES, Recipe, TrainingConfig
from impasto.types import Image

WIDTHS = (*(16, 16), *(32, 64), *(96, 96, 96, 96), *(192, 192, 192, 192), 192)
CONTENT = 1.18
"""Besides the scale of relu4_2: what the network does not see of the style costs content, and this buys it back."""
SHEET, SHEET_STEPS = 192, 60  # longer side in pixels, steps
SHEET_SAMPLES = ("inkwash", "brushstrokes", "mosaic", "pointillism")
Width = Annotated[int, Ge(8), Le(512)]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class LiteConfig(TrainingConfig):
    """Settings of `lite`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 2400
    """Optimizer steps of the whole run."""
    batch: Annotated[int, Ge(1), Le(65536)] = 4
    """Samples a step, over all processes together: a photograph and a painting each."""
    crop: Annotated[int, Ge(8), Le(4096)] = 176
    """Side of the training crops in pixels."""
    lr: Annotated[float, Gt(0), Le(10)] = 4e-4
    """Highest learning rate of AdamW; the first weights are good, and a higher one spoils them first."""
    warmup: Annotated[int, Ge(0)] = 100
    """Steps in which the learning rate rises to its highest; then it falls to 0 along a cosine."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.998
    """Decay of the averaged weights, which are what is exported; 0 takes the last weights."""
    widths: tuple[Width, ...] = WIDTHS
    """Channels of each of the 13 convolutions up to relu5_1; VGG-19 has 64, 128, 256 and twice 512 in its blocks."""
    fit_pictures: Annotated[int, Ge(2), Le(100_000)] = 256
    """Pictures that the first weights are fitted on, half of them paintings."""
    feature_weight: Annotated[float, Ge(0)] = 1.0
    """Pull towards the teacher's features, in units of their variance."""
    gram_weight: Annotated[float, Ge(0)] = 1.0
    """Pull towards the teacher's Gram matrices, in units of how much those of two pictures differ."""
    painted_weight: Annotated[float, Ge(0)] = 3.0
    """The same two pulls on pictures that the network itself paints."""
    painted_share: Annotated[float, Ge(0), Le(1)] = 0.25
    """Share of the samples that are painted."""
    painted_steps: Annotated[int, Ge(3), Le(1000)] = 30
    """Steps of L-BFGS that such a picture is painted for at most; three states of it are learned from."""


@RECIPES.add("lite")
class LiteRecipe(Recipe):
    """A narrow VGG-19 for style transfer by optimization, distilled from `vgg19-caffe`.

    Each channel stands for one channel of the teacher. The first weights come in closed form from the teacher's
    (`impasto.training.distillation`). Then all layers are trained on photographs, paintings, noisy and over-sharpened ones,
    and on pictures that the network itself paints at that moment: an optimizer goes where the network is wrong, and
    only there can it learn not to be. What counts is the Gram matrices, the more where they move a painting's loss.

    The idea of a narrow student for style transfer is that of Wang et al. (Collaborative distillation, CVPR 2020).
    """

    summary = "the small network that comes with impasto, distilled from vgg19-caffe"
    Config = LiteConfig
    config: LiteConfig

    def __init__(self, config: LiteConfig) -> None:
        super().__init__(config)
        if len(config.widths) != len(RELUS):
            raise ValueError(f"widths: give {len(RELUS)}, one a convolution, not {len(config.widths)}")

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
        return Student(self.config.widths)

    def prepare(self, data: Dataset) -> Student:
        if set(data.files) != {"photo", "painting"}:
            raise ValueError("lite learns from photographs and paintings: give both, --photos and --paintings")
        half = math.ceil(self.config.fit_pictures / 2)
        batch = data.batch(0, range(half))
        generator = torch.Generator().manual_seed(self.config.seed)
        photos = torch.stack([spoiled(each, generator) for each in batch["photo"]])
        pictures = torch.cat([photos, batch["painting"]])
        network = self.network()
        teacher = load_backbone("vgg19-caffe", dtype=pick_dtype("auto", torch.device("cpu")))
        assert isinstance(teacher, VGG19Caffe)
        picked = take_over(network, teacher.chain, _normalized(pictures), generator)
        measure(network, teacher.chain, _normalized(pictures), picked)
        return network

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(network, Student)
        config = self.config
        generators = [torch.Generator().manual_seed(int(seed)) for seed in batch["seed"]]
        photos = [spoiled(zoomed(photo, g), g) for photo, g in zip(batch["photo"], generators, strict=True)]
        styles = [zoomed(painting, g) for painting, g in zip(batch["painting"], generators, strict=True)]
        painted: list[Tensor] = []
        of: list[int] = []  # the sample that each of them belongs to
        for i, generator in enumerate(generators):
            if torch.rand((), generator=generator) < config.painted_share:
                states = self._painted(network, photos[i], styles[i], generator)
                painted += states
                of += [i] * len(states)
        pictures = torch.stack([*photos, *styles, *painted])
        terms = self._compare(network, pictures, [len(photos) + i for i in of])
        plain = 2 * len(photos)
        weight = config.painted_weight
        share = len(painted) / max(1, 3 * len(photos))  # 1 where every sample was painted
        return {
            "features": config.feature_weight * terms["features"][:plain].mean(),
            "gram": config.gram_weight * terms["gram"][:plain].mean(),
            "painted/features": weight * config.feature_weight * _mean(terms["features"][plain:]) * share,
            "painted/gram": weight * config.gram_weight * _mean(terms["gram"][plain:]) * share,
        }

    @torch.enable_grad()
    def sheet(self, network: nn.Module) -> Image:
        """A sample picture, in the manner of others."""
        assert isinstance(network, Student)
        device = pick_device(self.config.device)
        photo, *styles = (load_image(resolve(name), size=SHEET).to(device) for name in SHEET_SAMPLES)
        row = [photo]
        for style in styles:
            objective = self._objective(network, photo, style)
            row += [style, list(descend(objective, photo, steps=SHEET_STEPS))[-1].image()]
        return contact_sheet([[each.cpu() for each in row]], cell=SHEET)

    def export(self, network: nn.Module, folder: Path, facts: dict[str, str]) -> Path:
        from safetensors.torch import save

        assert isinstance(network, Student)
        state = {
            f"{layer.name}.{part}": getattr(layer, part).half().contiguous()
            for layer in network.scaled(CONTENT)
            if isinstance(layer, Convolution)
            for part in ("weight", "bias")
        }
        picked = {name: network.picked(name).tolist() for name in RELUS}
        about = {
            "license": "CC BY 4.0",
            "derived_from": "VGG-19 (Simonyan & Zisserman 2014, arXiv 1409.1556; CC BY 4.0)",
            "input": f"RGB in [0, 1] minus {Lite.mean}",
            "teacher_channels": json.dumps(picked, separators=(",", ":")),
        }
        path = folder / "lite.safetensors"
        write_atomically(path, save(state, metadata={**about, **facts}))
        return path

    def _painted(self, network: Student, photo: Tensor, style: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Three states of a picture that the network paints, from the photograph or, now and then, from noise."""
        start = photo
        if torch.rand((), generator=generator) < 0.2:
            start = torch.rand(photo.shape, generator=generator).to(photo.device)
        last = self.config.painted_steps
        wanted = {*torch.randint(1, last, (2,), generator=generator).tolist(), last}
        steps = descend(self._objective(network, photo[None], style[None]), start[None], steps=last)
        return [quantize(step.image()[0].to(photo.device)) for step in steps if step.index in wanted]

    def _objective(self, network: Student, photo: Image, style: Image) -> Objective:
        """That of the method `gatys`, with the network as it is now."""
        eye = Lite.of(network.scaled(), device=photo.device, dtype=self._dtype)
        with torch.no_grad():
            kept, matched = eye.encode(photo, eye.content_layers), eye.encode(style, eye.style_layers)
        return Objective(
            eye,
            [
                *match("content", ContentLoss(), [kept], eye.content_layers, 1.0),
                *match("style", GramLoss(), [matched], eye.style_layers, 100.0),
            ],
        )

    def _compare(self, network: Student, pictures: Tensor, style_of: list[int]) -> dict[str, Tensor]:
        """How far network and teacher are apart, `(N,)` each; of painted pictures (the last ones), the Gram term
        compares the *difference* to the picture's style: what an optimizer wants to make 0."""
        pixels = _normalized(pictures)
        with torch.no_grad():
            teacher = self._teacher.chain(pixels, RELUS)
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            student = network(pixels)
        count = len(pictures)
        features, grams = pictures.new_zeros(count), pictures.new_zeros(count)
        units = dict(zip(Lite.style_layers, network.gram_units, strict=True))
        for name in RELUS:
            ours, theirs = student[name].float(), teacher[name][:, network.picked(name)].float()
            variance = network.get_buffer(f"variance_{name}")[:, None, None]
            features = features + ((ours - theirs).square() / variance).mean((1, 2, 3)) / len(RELUS)
            if name in units:
                wrong = second_moment(ours) - second_moment(theirs)  # (N, C, C)
                if style_of:
                    first = count - len(style_of)
                    wrong = torch.cat([wrong[:first], wrong[first:] - wrong[style_of]])
                grams = grams + wrong.square().mean((1, 2)) * units[name]
        return {"features": features, "gram": grams}


def _normalized(pictures: Tensor) -> Tensor:
    return pictures - torch.tensor(Lite.mean, device=pictures.device).view(1, 3, 1, 1)


def _mean(terms: Tensor) -> Tensor:
    return terms.mean() if len(terms) else terms.sum()
