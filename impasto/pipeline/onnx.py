"""Models of one pass as ONNX files, for programs without Python: `impasto export`."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.files import write_atomically
from impasto.methods import METHODS
from impasto.methods.feed_forward import Code, Network
from impasto.methods.johnson import JohnsonMethod
from impasto.networks.johnson_styles import StyleModel, find_style_models, load_johnson
from impasto.networks.micro import NOISE_SIZE, add_input_noise, input_noise
from impasto.networks.statistics import measure_untiled
from impasto.types import Image

ANY_STYLE = ("adain", "micro")
"""Methods whose network takes a style beside the photograph. (Those of `wct` need eigenvalues, which ONNX lacks.)"""
SMALLEST, LARGEST = 16, 32768
"""Sides of the pictures that an exported model takes, in pixels."""


def models() -> list[str]:
    """What can be exported: `micro`, `adain`, and `johnson-STYLE` for every style there is a network for."""
    return [*ANY_STYLE, *(f"johnson-{name}" for name in _styles())]


def export(model: str, file: Path) -> Path:
    """Writes a model as ONNX, whole or not at all; returns the path.

    Inputs: `content` and, but for johnson, `style`: float32 `(1, 3, H, W)`, sRGB values in [0, 1], each of any size
    from 16 pixels a side. Output: `painted`, as large as the content.

    Raises `ValueError` for a model that there is not, a suffix other than `.onnx`, or a missing extra `export`.
    """
    if file.suffix != ".onnx":
        raise ValueError(f"output: a model is written as .onnx, not {file.suffix or file.name!r}")
    if model not in models():
        raise ValueError(f"unknown model {model!r}; choose from {', '.join(models())}")
    network, inputs = _network(model)
    sides = {
        2: torch.export.Dim.DYNAMIC(min=SMALLEST, max=LARGEST),
        3: torch.export.Dim.DYNAMIC(min=SMALLEST, max=LARGEST),
    }
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of a torchvision that nobody needs
    pictures = tuple(torch.rand(1, 3, 120 + 32 * i, 168 + 16 * i) for i in range(len(inputs)))
    try:
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            # torch.onnx would trace the network itself, but takes minutes over the sizes, and this seconds.
            traced = torch.export.export(network, pictures, dynamic_shapes=(tuple(sides for _ in inputs),))
            program: Any = torch.onnx.export(traced, dynamo=True, input_names=inputs, output_names=["painted"])
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}; install the extra: pip install 'impasto[export]'") from None
    with tempfile.TemporaryDirectory() as folder:
        program.save(os.path.join(folder, "model.onnx"))
        write_atomically(file, (Path(folder) / "model.onnx").read_bytes())
    return file


class Whole(nn.Module):
    """A network with all that is around it: pictures of any size in, a picture in [0, 1] out."""

    grain: Tensor | None

    def __init__(self, network: nn.Module, grain: Tensor | None = None) -> None:
        """`grain` is what is added to the photograph, `(1, 1, h, w)`."""
        super().__init__()
        self.network = network
        self.register_buffer("grain", grain)

    def forward(self, *pictures: Image) -> Image:
        network: Network = self.network  # type: ignore[assignment]
        height, width = pictures[0].shape[-2:]
        content, *styles = (filled(each, network.stride) for each in pictures)
        code: Code = network.encode(styles[0], measure_untiled) if styles else ()
        if self.grain is not None:
            content = add_input_noise(content, self.grain)
        return network(content, code, measure_untiled).clamp(0, 1)[..., :height, :width]


def filled(picture: Tensor, stride: int) -> Tensor:
    """The picture, its last column and row repeated until the sides are multiples of `stride`, whatever it is."""
    height, width = picture.shape[-2:]
    rows = torch.arange(stride * ((height + stride - 1) // stride)).clamp(max=height - 1)
    columns = torch.arange(stride * ((width + stride - 1) // stride)).clamp(max=width - 1)
    return picture[:, :, rows][:, :, :, columns]


def _network(model: str) -> tuple[Whole, list[str]]:
    if model in ANY_STYLE:
        kind: Any = METHODS[model]
        network = kind(kind.Config(device="cpu", precision="fp32")).network
        noise = input_noise(*NOISE_SIZE, 0) if model == "micro" else None
        return Whole(network, noise).eval(), ["content", "style"]
    return Whole(load_johnson(_styles()[model.removeprefix("johnson-")])).eval(), ["content"]


def _styles() -> dict[str, StyleModel]:
    return {model.style: model for model in reversed(find_style_models(None, JohnsonMethod.folder))}
