"""Export the networks of the feed-forward methods as ONNX files."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.devices import torch_defaults
from impasto.files import check_replaceable, check_writable, clean_up_on_error, write_atomically
from impasto.images import fit, resize
from impasto.methods import METHODS
from impasto.methods.feed_forward import Code, Network
from impasto.methods.johnson import JohnsonMethod
from impasto.networks.adapted_styles import STYLE_SIZE, adapted_styles
from impasto.networks.input_noise import NOISE_SIZE, add_input_noise, coarse_noise, enlarge_noise
from impasto.networks.johnson_styles import StyleModel, find_style_models, load_johnson
from impasto.networks.sample_networks import sample_networks
from impasto.networks.statistics import measure_untiled
from impasto.types import Image

ANY_STYLE = ("adain", "micro")
"""Methods whose network takes a style image, except `wct` and `unrolled`: ONNX has no eigenvalue decomposition and no
gradient of a max pooling."""
MIN_SIDE, MAX_SIDE = 16, 32768
"""Limits of the height and width of the inputs of an exported model, in pixels."""
MIN_HALF = 256
"""Values of the smallest tensor that is stored in fp16."""


def models() -> list[str]:
    """Return the names of the models: `micro`, `adain`, and `micro-STYLE` or `johnson-STYLE` for their styles."""
    names = [*(f"micro-{name}" for name in sample_networks()), *(f"johnson-{name}" for name in _johnson_models())]
    return [*ANY_STYLE, *names]


@torch_defaults()
def export(model: str, file: Path) -> Path:
    """Write a model as an ONNX file, complete or not at all.

    The inputs are `content` and, for a network for any style, `style`: float32 `(1, 3, H, W)`, sRGB-encoded RGB in
    [0, 1], each of any size of at least 16 pixels per side; and, except for johnson, `strength`: a float32 scalar, 0 to
    100, where 50 is the style as trained. The output `stylized` has the size of the content.

    Args:
        model: a name from `models`, or a weights file of `impasto adapt` for one style.
        file: path with the suffix `.onnx`, which is returned.

    Raises:
        ValueError: for an unknown model, another suffix, or if the extra `export` is not installed.
    """
    check_replaceable(file)
    if file.suffix != ".onnx":
        raise ValueError(f"output: a model is written as .onnx, not {file.suffix or file.name!r}")
    if model not in models() and weights_file(model) is None:
        choices = f"choose from {', '.join(models())}, or give a file of `impasto adapt`"
        raise ValueError(f"unknown model {model!r}; {choices}")
    try:
        with clean_up_on_error([file]):
            check_writable(file)
            write_atomically(file, onnx_bytes(*onnx_model(model), "stylized"))
    finally:
        gc.collect()  # torch.export leaves the network in reference cycles, and so does an error
    return file


class OneStyleModel(nn.Module):
    """A network for one style, with padding and clamping: `(content) -> stylized`."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap a network without a style code."""
        super().__init__()
        self.network = network

    def forward(self, content: Image) -> Image:
        """Return the stylized image `(1, 3, H, W)` in [0, 1]."""
        network: Network = self.network  # type: ignore[assignment]
        return _run(network, content, ())


class EncoderModel(nn.Module):
    """The style encoder of a network: `(style) -> code`, a tuple of tensors."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap a network for any style."""
        super().__init__()
        self.network = network

    def forward(self, style: Image) -> Code:
        """Return the code of a style image `(1, 3, H, W)`."""
        network: Network = self.network  # type: ignore[assignment]
        return network.encode(pad_to_stride(style, network.stride), measure_untiled)


class CodeModel(nn.Module):
    """A network for any style, which receives the code of the style: `(content, code, strength) -> stylized`.

    Args:
        network: a network for any style.
        noise: random numbers of the input noise (`coarse_noise`). The enlarged map would be most of a file.
        fade_noise: as for `stylize_cascade`.
    """

    noise: Tensor

    def __init__(self, network: nn.Module, noise: Sequence[Tensor], *, fade_noise: bool) -> None:
        super().__init__()
        self.encoder = EncoderModel(network)
        self._shapes, self._fade_noise = [each.shape for each in noise], fade_noise
        # One tensor: small ones would be enlarged by the optimizer of the export.
        self.register_buffer("noise", torch.cat([each.flatten() for each in noise]))

    def forward(self, content: Image, code: Code, strength: Tensor) -> Image:
        """Return the stylized image `(1, 3, H, W)` in [0, 1], for a strength of 0 to 100 as a scalar."""
        fraction = torch.minimum(strength / 50, 0.5 + strength / 100)  # `style_fraction`
        own = self.encoder(content)
        mixed = tuple(mine * (1 - fraction) + given * fraction for mine, given in zip(own, code, strict=True))
        network: Network = self.encoder.network  # type: ignore[assignment]
        noise = self._enlarged_noise()
        return _run(network, content, mixed, noise * fraction.clamp(max=1) if self._fade_noise else noise)

    def _enlarged_noise(self) -> Tensor:
        parts = torch.split(self.noise, [shape.numel() for shape in self._shapes])
        return enlarge_noise([part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)])


class AnyStyleModel(nn.Module):
    """A network for any style: `(content, style, strength) -> stylized`."""

    def __init__(self, model: CodeModel) -> None:
        """Compose the model that takes a code with its own encoder."""
        super().__init__()
        self.model = model

    def forward(self, content: Image, style: Image, strength: Tensor) -> Image:
        """Return the stylized image `(1, 3, H, W)` in [0, 1], for a strength of 0 to 100 as a scalar."""
        stylized: Image = self.model(content, self.model.encoder(style), strength)
        return stylized


class AdaptedModel(nn.Module):
    """A network that was adapted to styles, which receives the code of one: `(content, code, strength) -> stylized`."""

    def __init__(self, model: CodeModel) -> None:
        """Wrap the model that takes a code."""
        super().__init__()
        self.model = model

    @property
    def encoder(self) -> EncoderModel:
        """Return the style encoder."""
        return self.model.encoder

    def forward(self, content: Image, code: Code, strength: Tensor) -> Image:
        """Return the stylized image `(1, 3, H, W)` in [0, 1], for a strength of 0 to 100 as a scalar."""
        stylized: Image = self.model(content, code, strength.clamp(min=50))
        return torch.lerp(content, stylized, (strength / 50).clamp(max=1))


class FixedStyleModel(nn.Module):
    """An adapted network with the code of its style: `(content, strength) -> stylized`."""

    fixed: Tensor

    def __init__(self, model: AdaptedModel, code: Code) -> None:
        """Compose the model that takes a code with the code of the style."""
        super().__init__()
        self.model = model
        (code_of_style,) = code
        self.register_buffer("fixed", code_of_style)

    def forward(self, content: Image, strength: Tensor) -> Image:
        """Return the stylized image `(1, 3, H, W)` in [0, 1], for a strength of 0 to 100 as a scalar."""
        stylized: Image = self.model(content, (self.fixed,), strength)
        return stylized


def onnx_model(model: str) -> tuple[nn.Module, list[str]]:
    """Return the module that is exported and the names of its inputs.

    Args:
        model: a name from `models`, or a weights file of `impasto adapt`.

    Raises:
        ValueError: in one line, for a weights file that cannot be read or was not adapted to one style.
    """
    if (file := weights_file(model)) is not None:
        return _fixed_style_model(file).eval(), ["content", "strength"]
    if model in ANY_STYLE:
        return AnyStyleModel(code_model(model)).eval(), ["content", "style", "strength"]
    return OneStyleModel(load_johnson(_johnson_models()[model.removeprefix("johnson-")])).eval(), ["content"]


def weights_file(model: str) -> Path | None:
    """Return the weights file of a network of `micro` for certain styles; None where `model` is another name.

    >>> weights_file("my-style.safetensors").name, weights_file("micro-mosaic").name, weights_file("micro")
    ('my-style.safetensors', 'micro-mosaic.safetensors', None)
    """
    if Path(model).suffix == ".safetensors":
        return Path(model)
    return sample_networks().get(model.removeprefix("micro-")) if model.startswith("micro-") else None


@torch.no_grad()
def _fixed_style_model(weights: Path) -> FixedStyleModel:
    styles = adapted_styles(weights)
    if len(styles) != 1:
        names = f"{len(styles)} styles" if styles else "any style"
        raise ValueError(f"{str(weights)!r} is a network for {names}; adapt one to one style with `impasto adapt`")
    model, style = code_model("micro", weights), styles[0].image
    if max(style.shape[-2:]) > STYLE_SIZE:  # that of a sample; `impasto adapt` stores reduced images
        style = resize(style, fit((style.shape[-2], style.shape[-1]), STYLE_SIZE))
    return FixedStyleModel(AdaptedModel(model), model.encoder(style))


def code_model(model: str, weights: Path | None = None) -> CodeModel:
    """Return the module of a model in `ANY_STYLE` that takes the code of a style.

    Args:
        model: a name from `ANY_STYLE`.
        weights: file of the network; None is the bundled one.

    Raises:
        ValueError: in one line, for a file that is missing or contains another network.
    """
    method: Any = METHODS[model]
    network = method(method.Config(device="cpu", precision="fp32", weights=weights)).network
    return CodeModel(network, coarse_noise(*NOISE_SIZE, 0), fade_noise=model != "micro").eval()


def _run(network: Network, content: Image, code: Code, noise: Tensor | None = None) -> Image:
    """Return the stylized image in [0, 1] for a content image of any size."""
    height, width = content.shape[-2:]
    padded = pad_to_stride(content, network.stride)
    if noise is not None:
        padded = add_input_noise(padded, noise)
    return network(padded, code, measure_untiled).clamp(0, 1)[..., :height, :width]


def pad_to_stride(image: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of `stride`; works for dynamic sizes."""
    height, width = image.shape[-2:]
    rows = torch.arange(stride * ((height + stride - 1) // stride)).clamp(max=height - 1)
    columns = torch.arange(stride * ((width + stride - 1) // stride)).clamp(max=width - 1)
    return image[:, :, rows][:, :, :, columns]


def onnx_bytes(network: nn.Module, inputs: Sequence[str], output: str) -> bytes:
    """Return a module as the bytes of an ONNX file.

    Args:
        network: a module of this file.
        inputs: names of its inputs: `content`, `style`, `code`, `strength`.
        output: name of its output.

    Raises:
        ValueError: if the extra `export` is not installed.
    """
    try:
        program = _onnx_program(network, inputs, output)
        data = _compacted(program.model_proto).SerializeToString()
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}; install the extra: pip install 'impasto[export]'") from None
    for weights in program.model.graph.initializers.values():
        weights.const_value = None  # the rewrite rules of onnxscript keep the last graph for the life of the process
    return bytes(data)


def _onnx_program(network: nn.Module, inputs: Sequence[str], output: str) -> Any:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of a missing torchvision, which is not needed
    examples = tuple(_example(network, name) for name in inputs)
    sides = {axis: torch.export.Dim.DYNAMIC(min=MIN_SIDE, max=MAX_SIDE) for axis in (2, 3)}
    shapes = {"content": sides, "style": sides, "code": (None,), "strength": None}
    with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        # Tracing by torch.onnx itself takes minutes with dynamic sizes; torch.export takes seconds.
        traced = torch.export.export(network, examples, dynamic_shapes=tuple(shapes[name] for name in inputs))
        return torch.onnx.export(traced, dynamo=True, input_names=list(inputs), output_names=[output])


def _example(network: nn.Module, name: str) -> Any:
    """Return a value of an input; the sizes of content and style differ, so that they are traced independently."""
    if name == "strength":
        return torch.tensor(50.0)
    if name == "code":
        return network.encoder(torch.rand(1, 3, 64, 64))  # type: ignore[operator]
    return torch.rand(1, 3, 120, 168) if name == "content" else torch.rand(1, 3, 152, 184)


def _compacted(model: Any) -> Any:
    """Return a model with weights in fp16 where that is exact, and without the stack traces of the export."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts, weights = [], []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        half = values.astype(np.float16) if values.dtype == np.float32 else values
        if half.size < MIN_HALF or half.dtype == values.dtype or not np.array_equal(half.astype(np.float32), values):
            weights.append(weight)
            continue
        weights.append(numpy_helper.from_array(half, f"{weight.name}.half"))
        casts.append(helper.make_node("Cast", [f"{weight.name}.half"], [weight.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    for field in ("initializer", "node", "value_info", "metadata_props"):
        graph.ClearField(field)
    graph.initializer.extend(weights)
    graph.node.extend(nodes)
    for node in graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    return model


def _johnson_models() -> dict[str, StyleModel]:
    return {model.style: model for model in reversed(find_style_models(None, JohnsonMethod.folder))}
