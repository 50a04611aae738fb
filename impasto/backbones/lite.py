"""Define the backbone `lite`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from impasto.backbones.base import BACKBONES
from impasto.backbones.chain import Convolution
from impasto.backbones.distilled import DistilledBackbone

FILE = Path(str(files("impasto"))) / "assets" / "weights" / "lite.safetensors"
"""Path of the bundled weights in fp16, trained by `impasto train lite`."""


@BACKBONES.add("lite")
class Lite(DistilledBackbone):
    """Narrow network with VGG-19's topology up to relu5_1, distilled from VGG-19.

    Each channel corresponds to one channel of VGG-19 and is derived from its weights.
    """

    summary = "small network distilled from VGG-19 for style transfer; bundled with impasto, no download"
    bundled: ClassVar[Path] = FILE
    coarse: ClassVar[str | None] = "lowrank"

    @classmethod
    def stored(cls, layer: Convolution) -> dict[str, Tensor]:
        """Return weight and bias in fp16."""
        return {f"{layer.name}.{part}": getattr(layer, part).half().contiguous() for part in ("weight", "bias")}

    @classmethod
    def restored(cls, name: str, tensors: dict[str, Tensor]) -> Convolution:
        """Return a layer in float32 from the tensors of the file."""
        return Convolution(name, tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float())
