"""Export the networks of the feed-forward methods as ONNX files."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.devices import torch_defaults
from impasto.files import check_replaceable, check_writable, clean_up_on_error, write_atomically
from impasto.methods import METHODS
from impasto.methods.feed_forward import Code, Network
from impasto.methods.johnson import JohnsonMethod
from impasto.networks.johnson_styles import StyleModel, find_style_models, load_johnson
from impasto.networks.micro import NOISE_SIZE, add_input_noise, input_noise
from impasto.networks.statistics import measure_untiled
from impasto.types import Image

ANY_STYLE = ("adain", "micro")
"""Methods whose network takes a style image. `wct` is missing because ONNX has no eigenvalue decomposition."""
MIN_SIDE, MAX_SIDE = 16, 32768
"""Limits of the height and width of the inputs of an exported model, in pixels."""


def models() -> list[str]:
    """Return the names of the models: `micro`, `adain`, and `johnson-STYLE` for every style with a network."""
    return [*ANY_STYLE, *(f"johnson-{name}" for name in _johnson_models())]


@torch_defaults()
def export(model: str, file: Path) -> Path:
    """Write a model as an ONNX file, complete or not at all.

    The inputs are `content` and, except for johnson, `style`: float32 `(1, 3, H, W)`, sRGB-encoded RGB in [0, 1], each
    of any size of at least 16 pixels per side. The output `stylized` has the size of the content.

    Args:
        model: a name from `models`.
        file: path with the suffix `.onnx`.

    Returns:
        The path.

    Raises:
        ValueError: for an unknown model, another suffix, or if the extra `export` is not installed.
    """
    check_replaceable(file)
    if file.suffix != ".onnx":
        raise ValueError(f"output: a model is written as .onnx, not {file.suffix or file.name!r}")
    if model not in models():
        raise ValueError(f"unknown model {model!r}; choose from {', '.join(models())}")
    try:
        with clean_up_on_error([file]):
            check_writable(file)
            write_atomically(file, _onnx_bytes(model))
    finally:
        gc.collect()  # torch.export leaves the network in reference cycles, and so does an error
    return file


class OnnxModel(nn.Module):
    """A network with its padding and clamping: images of any size in, an image in [0, 1] out."""

    noise: Tensor | None

    def __init__(self, network: nn.Module, noise: Tensor | None = None) -> None:
        """Wrap a network.

        Args:
            network: a network of a feed-forward method.
            noise: input noise `(1, 1, h, w)` that is added to the content image, or None.
        """
        super().__init__()
        self.network = network
        self.register_buffer("noise", noise)

    def forward(self, *images: Image) -> Image:
        """Return the stylized image `(1, 3, H, W)` for a content image and, if needed, a style image."""
        network: Network = self.network  # type: ignore[assignment]
        height, width = images[0].shape[-2:]
        content, *styles = (pad_to_stride(each, network.stride) for each in images)
        code: Code = network.encode(styles[0], measure_untiled) if styles else ()
        if self.noise is not None:
            content = add_input_noise(content, self.noise)
        return network(content, code, measure_untiled).clamp(0, 1)[..., :height, :width]


def onnx_model(model: str) -> tuple[OnnxModel, list[str]]:
    """Return the module that is exported and the names of its inputs.

    Args:
        model: a name from `models`.
    """
    if model in ANY_STYLE:
        method: Any = METHODS[model]
        network = method(method.Config(device="cpu", precision="fp32")).network
        noise = input_noise(*NOISE_SIZE, 0) if model == "micro" else None
        return OnnxModel(network, noise).eval(), ["content", "style"]
    return OnnxModel(load_johnson(_johnson_models()[model.removeprefix("johnson-")])).eval(), ["content"]


def pad_to_stride(image: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of `stride`; works for dynamic sizes."""
    height, width = image.shape[-2:]
    rows = torch.arange(stride * ((height + stride - 1) // stride)).clamp(max=height - 1)
    columns = torch.arange(stride * ((width + stride - 1) // stride)).clamp(max=width - 1)
    return image[:, :, rows][:, :, :, columns]


def _onnx_bytes(model: str) -> bytes:
    program = _onnx_program(*onnx_model(model))
    with tempfile.TemporaryDirectory() as folder:
        program.save(os.path.join(folder, "model.onnx"))
        data = (Path(folder) / "model.onnx").read_bytes()
    for weights in program.model.graph.initializers.values():
        weights.const_value = None  # the rewrite rules of onnxscript keep the last graph for the life of the process
    return data


def _onnx_program(network: OnnxModel, inputs: list[str]) -> Any:
    sides = {axis: torch.export.Dim.DYNAMIC(min=MIN_SIDE, max=MAX_SIDE) for axis in (2, 3)}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of a missing torchvision, which is not needed
    examples = tuple(torch.rand(1, 3, 120 + 32 * i, 168 + 16 * i) for i in range(len(inputs)))
    try:
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            # Tracing by torch.onnx itself takes minutes with dynamic sizes; torch.export takes seconds.
            traced = torch.export.export(network, examples, dynamic_shapes=(tuple(sides for _ in inputs),))
            return torch.onnx.export(traced, dynamo=True, input_names=inputs, output_names=["stylized"])
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}; install the extra: pip install 'impasto[export]'") from None


def _johnson_models() -> dict[str, StyleModel]:
    return {model.style: model for model in reversed(find_style_models(None, JohnsonMethod.folder))}
