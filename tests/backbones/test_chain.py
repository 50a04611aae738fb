"""The chain of convolutions: its gradient, with fused kernels and with autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.functional import vjp
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.backbones.chain import (
    Chain,
    Convolution,
    Layer,
    Pool,
    has_fused_kernels,
    max_pool,
    max_pool_gradient,
    relu_gradient,
)
from impasto.devices import has_onednn

CPU = torch.device("cpu")
NAMES = ("a1", "a2", "pool_a", "b1", "pool_b", "c1", "c2")
WIDTHS = {"a1": 6, "a2": 8, "b1": 10, "c1": 8, "c2": 6}
RANKS = {"b1": (4, 6), "c1": (0, 5)}
"""Channels of the input and the output of the 3x3 convolutions of low rank."""
CONVOLUTIONS = {"a1": 1, "a2": 2, "pool_a": 2, "b1": 5, "pool_b": 5, "c1": 7, "c2": 8}
"""Number of convolutions up to and including each layer."""


def some_layers() -> list[Layer]:
    """Return random layers of a narrow chain; two convolutions are of low rank."""
    generator = torch.Generator().manual_seed(1)
    layers: list[Layer] = []
    channels = 3
    for name in NAMES:
        if name not in WIDTHS:
            layers.append(Pool(name))
            continue
        width = WIDTHS[name]
        rank_in, rank_out = RANKS.get(name, (0, 0))

        def kernel(outputs: int, inputs: int, side: int) -> Tensor:
            weight = torch.randn(outputs, inputs, side, side, generator=generator, dtype=torch.float64)
            return weight * (2 / (side * side * inputs)) ** 0.5

        bias = 0.1 * torch.randn(width, generator=generator, dtype=torch.float64)
        reduce = kernel(rank_in, channels, 1) if rank_in else None
        expand = kernel(width, rank_out, 1) if rank_out else None
        layers.append(Convolution(name, kernel(rank_out or width, rank_in or channels, 3), bias, reduce, expand))
        channels = width
    return layers


def complete_weight(layer: Convolution) -> Tensor:
    """Return the weight `(C_out, C_in, 3, 3)` of the one convolution that equals those of low rank."""
    weight = layer.weight
    if layer.reduce is not None:
        weight = torch.einsum("abhw,bc->achw", weight, layer.reduce[:, :, 0, 0])
    if layer.expand is not None:
        weight = torch.einsum("dahw,cd->cahw", weight, layer.expand[:, :, 0, 0])
    return weight


def some_chain(dtype: torch.dtype = torch.float32, pooling: Any = "max") -> Chain:
    return Chain(some_layers(), pooling=pooling, device=CPU, dtype=dtype)


def some_pixels(height: int = 13, width: int = 18, batch: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def activations_and_gradient(chain: Chain, pixels: Tensor, names: list[str]) -> tuple[list[Tensor], Tensor]:
    """Return the activations, and the gradient of the pixels for a fixed random gradient of each activation."""
    pixels = pixels.clone().requires_grad_()
    activations = chain(pixels, names)
    generator = torch.Generator().manual_seed(2)
    outputs = [activations[name] for name in names]
    output_gradients = [torch.randn(each.shape, generator=generator).to(chain.dtype) for each in outputs]
    (gradient,) = torch.autograd.grad(outputs, pixels, output_gradients)
    return [each.detach() for each in outputs], gradient


def difference(value: Tensor, truth: Tensor) -> float:
    """Return the relative difference in the Euclidean norm."""
    return float((value.double() - truth.double()).norm() / truth.double().norm().clamp_min(1e-9))


class CountConvolutions(TorchDispatchMode):
    """Counts the convolutions of any kernel that run inside the block."""

    count = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "convolution" in operation.name() and "weight" not in operation.name():
            self.count += 1
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("pooling", ["max", "average"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(names=st.sets(st.sampled_from(NAMES), min_size=1), batch=st.sampled_from([1, 2]), seed=st.integers(0, 99))
def test_activations_and_gradients_of_any_layers_are_near_float64(
    pooling: str, names: set[str], batch: int, seed: int
) -> None:
    requested = sorted(names)
    pixels = some_pixels(batch=batch, seed=seed)

    activations, gradient = activations_and_gradient(some_chain(pooling=pooling), pixels, requested)
    true_activations, true_gradient = activations_and_gradient(some_chain(torch.float64, pooling), pixels, requested)

    assert all(difference(a, t) < 1e-6 for a, t in zip(activations, true_activations, strict=True))
    assert difference(gradient, true_gradient) < 1e-5


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("size", [(4, 4), (5, 7), (16, 16), (31, 9)])
@pytest.mark.parametrize("batch", [1, 2])
def test_fused_kernels_equal_autograd_at_any_size(pooling: str, size: tuple[int, int], batch: int) -> None:
    fused, plain = some_chain(pooling=pooling), some_chain(pooling=pooling)
    plain._fused = False
    pixels = some_pixels(*size, batch=batch)

    activations, gradient = activations_and_gradient(fused, pixels, list(NAMES))
    plain_activations, plain_gradient = activations_and_gradient(plain, pixels, list(NAMES))

    assert all(difference(a, p) < 1e-6 for a, p in zip(activations, plain_activations, strict=True))
    assert difference(gradient, plain_gradient) < 1e-6


def test_a_convolution_of_low_rank_equals_the_product_of_its_kernels() -> None:
    complete = [
        Convolution(layer.name, complete_weight(layer), layer.bias) if isinstance(layer, Convolution) else layer
        for layer in some_layers()
    ]
    chain = Chain(complete, pooling="max", device=CPU, dtype=torch.float64)
    expected, expected_gradient = activations_and_gradient(chain, some_pixels(), list(NAMES))
    activations, gradient = activations_and_gradient(some_chain(torch.float64), some_pixels(), list(NAMES))
    assert all(difference(a, e) < 1e-12 for a, e in zip(activations, expected, strict=True))
    assert difference(gradient, expected_gradient) < 1e-12


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("size", [(13, 18), (4, 5), (4, 4)])
def test_the_encoder_mirrors_the_borders_of_every_convolution(
    size: tuple[int, int], dtype: torch.dtype, bound: float
) -> None:
    pixels = some_pixels(*size)
    x = pixels.double()
    for layer in some_layers():
        if isinstance(layer, Pool):
            x = F.max_pool2d(x, 2)
        else:
            padding = "reflect" if min(x.shape[-2:]) > 1 else "replicate"
            x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), padding), complete_weight(layer), layer.bias))
    activations = some_chain(dtype).encode(pixels.requires_grad_(), ["a1", "c2"])
    encoded = activations["c2"]
    assert list(activations) == ["a1", "c2"]
    assert difference(encoded, x) < bound
    assert not encoded.requires_grad


def test_a_kernel_is_packed_for_the_border_of_its_maps() -> None:
    """OneDNN would pack a kernel for another border again whenever it is used, in many times the time of its use."""
    chain, pixels = some_chain(), some_pixels()
    (kernel,) = chain.packed(next(each for each in chain.layers if isinstance(each, Convolution)))._kernels
    chain.encode(pixels, ["a1"])
    chain(F.pad(pixels, (1, 1, 1, 1)), ["a1"])
    assert [(size[-2:], border) for size, border in kernel._kernels] == [((15, 20), 0), ((15, 20), 1)]


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("names", [["c2"], ["a2", "b1"], list(NAMES)])
def test_bf16_is_near_float64(pooling: str, names: list[str]) -> None:
    pixels = some_pixels(24, 31)

    activations, gradient = activations_and_gradient(some_chain(torch.bfloat16, pooling), pixels, names)
    true_activations, true_gradient = activations_and_gradient(some_chain(torch.float64, pooling), pixels, names)

    assert all(a.dtype is torch.bfloat16 for a in activations)
    assert all(difference(a, t) < 0.015 for a, t in zip(activations, true_activations, strict=True))
    assert difference(gradient, true_gradient) < 0.2  # max pooling selects another pixel where two are nearly equal


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_the_gradient_equals_finite_differences(pooling: str) -> None:
    chain = some_chain(torch.float64, pooling)
    pixels = some_pixels(5, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(chain(x, ["a1", "pool_a", "c1"]).values()), pixels)


def test_activations_have_the_requested_names_and_their_shapes() -> None:
    activations = some_chain()(some_pixels(13, 18, batch=2), ["pool_b", "a1", "b1"])
    shapes = {name: tuple(each.shape) for name, each in activations.items()}
    assert shapes == {"pool_b": (2, 10, 3, 4), "a1": (2, 6, 13, 18), "b1": (2, 10, 6, 9)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_deeper_than_the_deepest_layer_is_computed(name: str, dtype: torch.dtype) -> None:
    chain = some_chain(dtype)
    with CountConvolutions() as counter:
        chain(some_pixels(), ["a1", name])
    assert counter.count == CONVOLUTIONS[name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_only_the_pixels_have_a_gradient(dtype: torch.dtype) -> None:
    layers = some_layers()
    weights = [part for layer in layers if isinstance(layer, Convolution) for part in (layer.weight, layer.bias)]
    for weight in weights:
        weight.requires_grad_()
    chain = Chain(layers, pooling="max", device=CPU, dtype=dtype)

    pixels = some_pixels().requires_grad_()
    chain(pixels, ["c2"])["c2"].sum().backward()

    assert pixels.grad is not None
    assert all(weight.grad is None for weight in weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pixels_without_gradient_give_activations_without_gradient(dtype: torch.dtype) -> None:
    activations = some_chain(dtype)(some_pixels(), ["a1", "c2"])
    assert not any(each.requires_grad for each in activations.values())


def test_a_second_pass_does_not_change_the_gradient_of_the_first() -> None:
    chain = some_chain()
    first, second = some_pixels(seed=1).requires_grad_(), some_pixels(16, 12, seed=2).requires_grad_()
    activations = chain(first, ["a2", "c1"])
    chain(second, ["a2", "c1"])["c1"].sum().backward()
    (gradient,) = torch.autograd.grad(activations["a2"].sum() + activations["c1"].sum(), first)

    (alone,) = vjp(lambda x: sum(each.sum() for each in some_chain()(x, ["a2", "c1"]).values()), first.detach())[1:]
    assert torch.equal(gradient, alone)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [(4, 4), (26, 18), (31, 9)])
def test_the_values_do_not_depend_on_the_number_of_threads(threads: int, size: tuple[int, int]) -> None:
    pixels, names = some_pixels(*size, batch=2), ["a1", "pool_a", "c2"]
    activations, gradient = activations_and_gradient(some_chain(torch.float64), pixels, names)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        many_activations, many_gradient = activations_and_gradient(some_chain(), pixels, names)
    finally:
        torch.set_num_threads(before)
    assert all(difference(m, a) < 1e-6 for m, a in zip(many_activations, activations, strict=True))
    assert difference(many_gradient, gradient) < 1e-5


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("names", [["c2"], ["pool_b"], ["a2", "pool_a", "c1"]])
def test_a_backward_pass_changes_neither_activations_nor_output_gradients(pooling: str, names: list[str]) -> None:
    chain, pixels = some_chain(pooling=pooling), some_pixels().requires_grad_()
    activations = [chain(pixels, names)[name] for name in names]
    output_gradients = [torch.randn_like(each) for each in activations]
    before = [tensor.detach().clone() for tensor in (*activations, *output_gradients)]

    first, again = (torch.autograd.grad(activations, pixels, output_gradients, retain_graph=True)[0] for _ in range(2))

    assert all(torch.equal(now, then) for now, then in zip((*activations, *output_gradients), before, strict=True))
    assert torch.equal(first, again)


def test_the_memory_layout_does_not_matter_and_the_pixels_stay_unchanged() -> None:
    chain, pixels = some_chain(), some_pixels(12, 16)
    before = pixels.clone()
    transposed = pixels.mT.contiguous().mT
    last = pixels.contiguous(memory_format=torch.channels_last)

    outputs = [chain(layout, ["c2"])["c2"] for layout in (pixels, transposed, last)]

    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_image_too_small_for_a_layer_is_an_error_of_one_line(dtype: torch.dtype) -> None:
    chain = some_chain(dtype)
    with pytest.raises(ValueError, match=r"^a picture of 9x3 pixels is too small for layer c1, .* at least 4 .*$"):
        chain(some_pixels(3, 9), ["a1", "c1"])
    assert chain(some_pixels(3, 9), ["b1"])["b1"].shape[-2:] == (1, 4)


def test_kernels_are_packed_once_for_each_of_eight_sizes() -> None:
    """oneDNN reorders a kernel packed for another size at each call, ten times as slow as the convolution."""
    packed: list[Any] = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if "reorder_convolution_weight" in function.__name__:
                packed.append(args[-1][-2:])
            return function(*args, **(kwargs or {}))

    chain, sides = some_chain(), range(16, 48, 4)  # eight, the largest number of loss scales
    with Counting():
        for _ in range(3):
            for side in sides:
                activations_and_gradient(chain, some_pixels(side, side), ["c2"])
    count = CONVOLUTIONS["c2"]
    assert len(packed) == len(sides) * 2 * count  # the kernel and the flipped one
    assert {tuple(size) for size in packed} == {(side // k, side // k) for side in sides for k in (1, 2, 4)}


# bf16 reinterpreted as integers


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("size", [(2, 2), (6, 8), (7, 9)])
def test_pooling_equals_that_of_pytorch_and_one_of_equal_inputs_has_the_gradient(
    dtype: torch.dtype, size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(3)
    few_values = torch.randint(0, 3, (2, 5, *size), generator=generator).to(dtype) * 1e-3
    x = few_values.contiguous(memory_format=torch.channels_last)
    pooled, rows = max_pool(x)
    assert torch.equal(pooled, F.max_pool2d(x, 2))
    gradient = torch.randn(pooled.shape, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
    spread = max_pool_gradient(gradient, x, rows)
    assert spread.shape == x.shape
    inner = spread[..., : size[0] // 2 * 2, : size[1] // 2 * 2]
    windows = inner.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert torch.equal(windows.sum(-1), gradient)  # all other terms are 0
    assert ((windows != 0).sum(-1) == 1).all()
    assert torch.equal(spread.count_nonzero(), torch.tensor(gradient.numel()))  # an odd last row or column has 0
    largest = F.interpolate(pooled.float(), scale_factor=2) == x[..., : inner.shape[2], : inner.shape[3]].float()
    assert largest[inner != 0].all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("in_place", [False, True])
def test_the_gradient_of_a_relu_is_zero_where_its_output_is_zero_of_either_sign(
    dtype: torch.dtype, in_place: bool
) -> None:
    output = torch.tensor([0.0, -0.0, 1e-38, 0.5, 3e38], dtype=dtype)
    gradient = torch.tensor([1.0, 2.0, -3.0, 4.0, -5.0], dtype=dtype)
    kept = relu_gradient(gradient, output, in_place=in_place)
    assert kept.tolist() == [0.0, 0.0, -3.0, 4.0, -5.0]
    assert (kept.data_ptr() == gradient.data_ptr()) == in_place


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_installed_pytorch_has_the_private_operators_of_the_fused_kernels(dtype: torch.dtype) -> None:
    assert has_fused_kernels(dtype) == has_onednn(dtype)


@pytest.mark.parametrize("problem", [AttributeError, TypeError, None])
@pytest.mark.parametrize("dtype", [each for each in (torch.float32, torch.bfloat16) if has_onednn(each)])
def test_autograd_replaces_fused_kernels_that_a_release_removed_or_changed(
    problem: type[Exception] | None, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(convolution: Any, x: Tensor) -> Tensor:
        if problem is not None:
            raise problem
        return x[:, :1].expand(-1, 16, -1, -1).relu()  # another value

    monkeypatch.setattr("impasto.backbones.chain._PackedConvolution.relu", other)
    has_fused_kernels.cache_clear()
    try:
        with pytest.warns(UserWarning, match="has no fused convolutions"):
            chain = some_chain(dtype)
        activations_and_gradient(chain, some_pixels(), ["c2"])  # not by the changed kernel
    finally:
        has_fused_kernels.cache_clear()
