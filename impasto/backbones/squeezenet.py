"""Define the backbone `squeezenet1_1`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto import weights
from impasto.backbones.base import BACKBONES, TorchvisionBackbone
from impasto.backbones.chain import Pooling

FIRES = {"fire2": 3, "fire3": 4, "fire4": 6, "fire5": 7, "fire6": 9, "fire7": 10, "fire8": 11, "fire9": 12}
POOLED_BEFORE = ("fire2", "fire4", "fire6")


@BACKBONES.add("squeezenet1_1")
class SqueezeNet(TorchvisionBackbone):
    """SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360) with torchvision's weights and keys.

    The layers are the first ReLU and the eight fire modules, named as in the paper.
    """

    summary = "SqueezeNet 1.1 as trained by torchvision; 5 MB, fast, coarse results"
    weights = "squeezenet1_1"
    layers = ("relu1", *FIRES)
    content_layers = ("fire4",)
    style_layers = ("relu1", "fire2", "fire4", "fire6", "fire7")

    def __init__(self, *, pooling: Pooling, device: torch.device, dtype: torch.dtype) -> None:
        state = weights.load("squeezenet1_1", prefix="features.")
        self._state = {
            key: tensor.to(device, dtype).contiguous(memory_format=torch.channels_last)
            if tensor.ndim == 4
            else tensor.to(device, dtype)
            for key, tensor in state.items()
        }
        super().__init__(pooling=pooling, device=device, dtype=dtype)

    def parameters(self) -> list[Tensor]:
        """Return all weights and biases."""
        return list(self._state.values())

    def activations(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the output of the first ReLU and of each fire module."""
        x = F.relu(self._convolve(x, "features.0", stride=2))  # (B, 64, H/2, W/2)
        yield x
        for name, index in FIRES.items():
            if name in POOLED_BEFORE:
                x = self._pool(x, ceil_mode=True)
            x = self._fire(x, f"features.{index}")
            yield x

    def _fire(self, x: Tensor, name: str) -> Tensor:
        x = F.relu(self._convolve(x, f"{name}.squeeze"))
        expanded = [self._convolve(x, f"{name}.expand1x1"), self._convolve(x, f"{name}.expand3x3", padding=1)]
        return F.relu(torch.cat(expanded, dim=1))

    def _convolve(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        for key in (f"{name}.weight", f"{name}.bias"):
            if key not in self._state:
                raise ValueError(
                    f"the weights of squeezenet1_1 lack {key}: they are not those of a SqueezeNet 1.1; "
                    "run `impasto weights verify`"
                )
        return F.conv2d(x, self._state[f"{name}.weight"], self._state[f"{name}.bias"], stride=stride, padding=padding)
