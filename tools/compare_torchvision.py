"""Compare the networks with published weights with those of torchvision, on random weights: no download is needed.

Needs torchvision, which impasto itself does not: `pip install torchvision`, then `python tools/compare_torchvision.py`.
Features are scaled to a mean of 1, so that two maps are equal if they are proportional. The exit status is 1 if a layer
differs by more than 1e-4.
"""

from __future__ import annotations

import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

NETWORKS = ("vgg19", "vgg16", "squeezenet1_1", "resnet50")
TOLERANCE = 1e-4
SIZE = 64
"""Pixels at which the mean activations are measured, which only sets the factor of each layer."""


def main() -> int:
    try:
        models = import_module("torchvision").models  # not a dependency, not even of the tests
    except ImportError:
        print("compare_torchvision: not run, because torchvision is not installed: pip install torchvision")
        return 2
    worst = {name: compare(name, models) for name in NETWORKS}
    for name, difference in worst.items():
        print(f"{name}: largest relative difference {difference:.2g}")
    return int(max(worst.values()) > TOLERANCE)


@torch.no_grad()
def compare(name: str, models: Any) -> float:
    """Return the largest relative difference between the layers of both implementations of a network."""
    torch.manual_seed(0)
    network = randomized(getattr(models, name)(weights=None))
    image = torch.rand(1, 3, 70, 90)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    truth = outputs(network, name, (image - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1))
    features = features_of(name, network, image)
    assert len(features) == len(truth), f"{name}: {len(features)} layers, and {len(truth)} of torchvision"
    return max(difference(one, other) for one, other in zip(features, truth, strict=True))


def randomized(network: nn.Module) -> nn.Module:
    """Return a network in evaluation mode whose normalizations are not the identity."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                nn.init.uniform_(values, 0.7, 1.3)
            for values in (module.bias, module.running_mean):
                nn.init.normal_(values, std=0.1)
    return network.eval()


def modules_of(network: Any, name: str) -> list[nn.Module]:
    """Return the modules whose outputs are the layers of impasto, in order."""
    if name == "resnet50":
        return [network.relu, network.layer1, network.layer2, network.layer3, network.layer4]
    kinds: tuple[type[nn.Module], ...] = (nn.ReLU, nn.MaxPool2d)
    if name == "squeezenet1_1":
        fire = type(network.features[3])
        return [network.features[1], *(module for module in network.features if isinstance(module, fire))]
    return [module for module in network.features if isinstance(module, kinds)]


def outputs(network: nn.Module, name: str, image: Tensor) -> list[Tensor]:
    """Return the outputs of the layers of a network of torchvision for an image `(1, 3, H, W)`."""
    found: list[Tensor] = []
    hooks = [each.register_forward_hook(lambda _, __, x: found.append(x.clone())) for each in modules_of(network, name)]
    network(image)
    for hook in hooks:
        hook.remove()
    return found


def features_of(name: str, network: nn.Module, image: Tensor) -> list[Tensor]:
    """Return the features of impasto with the weights of a network of torchvision."""
    from impasto.backbones import BACKBONES, load_backbone, normalization
    from impasto.weights import MANIFEST

    normalization.SIZE = SIZE
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(IMPASTO_WEIGHTS=folder, IMPASTO_CACHE=folder, IMPASTO_OFFLINE="1")
        state = {key: value for key, value in network.state_dict().items() if not key.startswith(("classifier", "fc"))}
        torch.save(state, Path(folder) / MANIFEST[name].files[0].filename)
        backbone = load_backbone(name, dtype=torch.float32)
        features = backbone.encode(image, list(BACKBONES[name].layers))
    return [features[layer] for layer in BACKBONES[name].layers]


def difference(features: Tensor, truth: Tensor) -> float:
    """Return the relative difference of two tensors up to a factor."""
    factor = features.norm() / truth.norm()
    return ((features - factor * truth).norm() / features.norm()).item()


if __name__ == "__main__":
    sys.exit(main())
