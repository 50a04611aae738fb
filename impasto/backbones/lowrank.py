"""Define the backbone `lowrank`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from impasto.backbones.base import BACKBONES
from impasto.backbones.chain import Convolution
from impasto.backbones.distilled import DistilledBackbone

FILE = Path(str(files("impasto"))) / "assets" / "weights" / "lowrank.safetensors"
"""Path of the bundled weights in int8, fitted by `impasto train lowrank`."""
KERNELS = ("reduce", "weight", "expand")
"""Kernels of a convolution; the first or the last may be missing."""
LEVELS = 127
"""Largest integer that is stored."""


@BACKBONES.add("lowrank")
class LowRank(DistilledBackbone):
    """VGG-19 up to relu5_1 with convolutions of low rank, distilled from VGG-19.

    From relu2_1 on, its layers have all channels of VGG-19. As many multiply-adds as `lite`, but three times the memory
    traffic.
    """

    summary = "VGG-19 in convolutions of low rank; closer to it than lite; bundled with impasto, no download"
    bundled: ClassVar[Path] = FILE

    @classmethod
    def stored(cls, layer: Convolution) -> dict[str, Tensor]:
        """Return the kernels in int8 with a scale for each output channel, and the bias in fp16."""
        tensors = {f"{layer.name}.bias": layer.bias.half()}
        for part in KERNELS:
            if (kernel := getattr(layer, part)) is not None:
                name = f"{layer.name}.{part}"
                tensors[name], tensors[f"{name}.scale"] = to_int8(kernel)
        return tensors

    @classmethod
    def restored(cls, name: str, tensors: dict[str, Tensor]) -> Convolution:
        """Return a layer in float32 from the tensors of the file."""
        kernels = {
            part: from_int8(tensors[f"{name}.{part}"], tensors[f"{name}.{part}.scale"])
            for part in KERNELS
            if f"{name}.{part}" in tensors
        }
        return Convolution(name, bias=tensors[f"{name}.bias"].float(), **kernels)


def to_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rounded weights and the scale of each output channel.

    Args:
        weight: `(C_out, C_in, k, k)`.

    Returns:
        The integers in int8, and the scales `(C_out, 1, 1, 1)` in float32. A rounding error is at most half a scale.
    """
    scale = (weight.abs().amax((1, 2, 3), keepdim=True) / LEVELS).clamp_min(1e-30)
    return (weight / scale).round().char(), scale


def from_int8(integers: Tensor, scale: Tensor) -> Tensor:
    """Return the weights in float32."""
    return integers.float() * scale
