from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto import weights
from impasto.backbones import BACKBONES, Backbone
from impasto.chain import Pooling
from impasto.normalisation import mean_activations
from impasto.types import Features, Image

FIRES = {"fire2": 3, "fire3": 4, "fire4": 6, "fire5": 7, "fire6": 9, "fire7": 10, "fire8": 11, "fire9": 12}
POOLED_BEFORE = ("fire2", "fire4", "fire6")


@BACKBONES.add("squeezenet1_1")
class SqueezeNet(Backbone):
    """SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360), torchvision's weights and keys.

    Its layers are the first ReLU and the eight fire modules, named as in the paper.
    """

    summary = "SqueezeNet 1.1 as trained by torchvision: 5 MB, quick, coarse"
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
        self._dtype = dtype
        self._mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(1, 3, 1, 1)
        self._deviation = torch.tensor([0.229, 0.224, 0.225], device=device).view(1, 3, 1, 1)
        self._pooling: Pooling = "max"  # the means are measured with max pooling, whatever is painted with
        self._means = dict.fromkeys(self.layers, 1.0)
        self._means = mean_activations(
            lambda image: self._features(image.to(device), self.layers), [t.float() for t in self._state.values()]
        )
        self._pooling = pooling

    def _features(self, image: Image, layers: Sequence[str]) -> Features:
        wanted = set(layers)
        if not wanted:
            return {}
        x = ((image - self._mean) / self._deviation).to(self._dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        features = {}
        x = F.relu(self._convolve(x, "features.0", stride=2))  # (B, 64, H/2, W/2)
        for name in self.layers:
            if name in POOLED_BEFORE:
                x = self._pool(x)
            if name in FIRES:
                x = self._fire(x, f"features.{FIRES[name]}")
            if name in wanted:
                features[name] = x / self._means[name]
                wanted.remove(name)
            if not wanted:
                break
        return features

    def _fire(self, x: Tensor, name: str) -> Tensor:
        x = F.relu(self._convolve(x, f"{name}.squeeze"))
        both = [self._convolve(x, f"{name}.expand1x1"), self._convolve(x, f"{name}.expand3x3", padding=1)]
        return F.relu(torch.cat(both, dim=1))

    def _pool(self, x: Tensor) -> Tensor:
        pool = F.max_pool2d if self._pooling == "max" else F.avg_pool2d
        return pool(x, 3, stride=2, ceil_mode=True)

    def _convolve(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        for key in (f"{name}.weight", f"{name}.bias"):
            if key not in self._state:
                raise ValueError(f"the weights of squeezenet1_1 lack {key}: they are not those of a SqueezeNet 1.1")
        return F.conv2d(x, self._state[f"{name}.weight"], self._state[f"{name}.bias"], stride=stride, padding=padding)
