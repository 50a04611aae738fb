"""Test the receptive fields of backbones: those computed from the layers and those traced from the operations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from impasto.backbones.receptive_field import ReceptiveField, margins, traced_receptive_fields

CPU = torch.device("cpu")
NETWORKS = ("tiny", "lite", "resnet50", "squeezenet1_1")


def dependence(backbone, layer: str, position: int, axis: int) -> tuple[int, int]:
    """The first and the last row or column of pixels that change the features of one position."""
    shape = [160, 160]
    shape[1 - axis] = 96
    image = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    maps = backbone.encode(image, [layer])[layer].movedim(2 + axis, 0)
    (gradient,) = torch.autograd.grad(maps[position].sum(), image)
    used = gradient.abs().sum((0, 1, 3 - axis)).nonzero()
    return int(used.min()), int(used.max())


@pytest.mark.parametrize("name", NETWORKS)
def test_no_pixel_outside_the_receptive_field_changes_a_position(name: str, load_random) -> None:
    backbone = load_random(name, pooling="average")  # each pixel of a pool counts
    for layer in backbone.style_layers[:3]:
        field = backbone.receptive_fields([layer])[layer]
        position = 80 // field.stride
        for axis in (0, 1):
            first, last = dependence(backbone, layer, position, axis)
            assert (first, last) == (position * field.stride + field.first, position * field.stride + field.last)


def test_the_traced_receptive_fields_of_a_chain_are_those_of_its_layers(load_random) -> None:
    backbone = load_random("lite", dtype=torch.float64)  # has no fused kernels, which cannot be traced
    layers = ("relu1_1", "pool1", "relu3_1", "relu5_1")
    assert traced_receptive_fields(backbone._features, layers, CPU) == backbone.receptive_fields(layers)
    assert backbone.receptive_fields(["relu5_1"]) == {"relu5_1": ReceptiveField(16, -70, 85)}
    assert margins(backbone.receptive_fields(layers).values()) == (70, 70, 16)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(60, 33), (205, 150)])
def test_the_shapes_of_features_are_computed_without_them(name: str, shape: tuple[int, int], load_random) -> None:
    backbone = load_random(name)
    layers = backbone.style_layers
    maps = backbone.encode(torch.zeros(1, 3, *shape), layers)
    assert backbone.map_shapes(shape, layers) == {layer: tuple(maps[layer].shape[-2:]) for layer in layers}


def test_a_layer_that_depends_on_the_whole_image_is_refused() -> None:
    def encode(image, layers):
        return {"norm": F.instance_norm(image), "local": F.relu(image)}

    assert traced_receptive_fields(encode, ["local"], CPU) == {"local": ReceptiveField()}
    with pytest.raises(ValueError, match=r"^tile: layer norm depends on the whole image.*$"):
        traced_receptive_fields(encode, ["local", "norm"], CPU)
