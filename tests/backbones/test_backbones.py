"""Backbones: properties of every backbone, and each against an independent network with the same weights."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support import RANDOM_SIZE, VGG_BLOCKS, VGG_WIDTHS, LoadRandom, random_state, write_weights
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.backbones.chain import block_names
from impasto.backbones.normalization import REFERENCE_IMAGES
from impasto.images import load_image
from impasto.samples import resolve
from impasto.weights import MANIFEST

EVERY = sorted(BACKBONES)
STORED = [name for name in EVERY if BACKBONES[name].weights]
MEASURED = [name for name in EVERY if getattr(BACKBONES[name], "mean_activations", None) is None]
"""Backbones whose mean activations are measured on the bundled images."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def picture(height: int = 64, width: int = 72, batch: int = 1, seed: int = 0) -> Tensor:
    """Return a random image with coarse and fine detail, `(B, 3, H, W)`."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 6, 7, generator=generator)
    fine = torch.rand(batch, 3, height, width, generator=generator)
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    return (0.7 * smooth + 0.3 * fine).clamp(0, 1)


def difference(value: Tensor, truth: Tensor) -> float:
    """Return the relative difference in the Euclidean norm."""
    return float((value.double() - truth.double()).norm() / truth.double().norm())


class CountConvolutions(TorchDispatchMode):
    """Counts the convolutions of any kernel that run inside the block."""

    count = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "convolution" in operation.name() and "weight" not in operation.name():
            self.count += 1
        return operation(*args, **(kwargs or {}))


# Properties of every backbone


@pytest.mark.parametrize("name", EVERY)
def test_layers_are_finite_float32_maps_and_shrink_with_depth(name: str, load_random: LoadRandom) -> None:
    backbone = load_random(name)
    features = backbone.encode(picture(32, 64, batch=2), backbone.layers)
    assert list(features) == ["image", *backbone.layers]
    sizes = [tuple(features[layer].shape[2:]) for layer in ("image", *backbone.layers)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < (4, 8)
    for layer in backbone.layers:
        assert features[layer].shape[0] == 2
        assert features[layer].dtype is torch.float32
        assert features[layer].isfinite().all()
        assert features[layer].min() >= 0  # after a ReLU


@pytest.mark.parametrize("name", EVERY)
def test_content_and_style_layers_exist(name: str) -> None:
    backbone = BACKBONES[name]
    backbone.check_layers(backbone.content_layers)
    backbone.check_layers(backbone.style_layers)
    assert backbone.content_layers
    assert backbone.style_layers
    assert backbone.summary


@pytest.mark.parametrize("name", EVERY)
def test_the_image_itself_is_among_the_features(name: str, load_random: LoadRandom) -> None:
    backbone, image = load_random(name), picture()
    for layers in ([], ["image"], [backbone.layers[0]], ["image", backbone.layers[0]]):
        features = backbone.encode(image, layers)
        assert torch.equal(features["image"], image)
        assert set(features) == {"image", *layers}


@pytest.mark.parametrize("name", EVERY)
def test_each_image_of_a_batch_has_its_own_features(name: str, load_random: LoadRandom) -> None:
    backbone, image = load_random(name), picture(batch=2)
    layer = backbone.style_layers[-1]
    both, second = (backbone.encode(x, [layer])[layer] for x in (image, image[1:]))
    assert difference(both[1:], second) < 1e-5
    assert difference(both[:1], second) > 0.05


@pytest.mark.parametrize("name", EVERY)
def test_an_unknown_layer_is_an_error_that_lists_the_layers(name: str) -> None:
    backbone = BACKBONES[name]
    with pytest.raises(
        ValueError, match=rf"^the backbone has no layer 'relu9_9'; it has: {', '.join(backbone.layers)}$"
    ):
        backbone.check_layers([backbone.layers[0], "relu9_9"])


@pytest.mark.parametrize("name", MEASURED)
def test_the_mean_activation_over_the_bundled_images_is_one(name: str, load_random: LoadRandom) -> None:
    backbone = load_random(name)
    layers = [layer for layer in backbone.layers if not layer.startswith("pool")]
    totals = dict.fromkeys(layers, 0.0)
    for style in REFERENCE_IMAGES:
        features = backbone.encode(load_image(resolve(style), size=RANDOM_SIZE if name in MANIFEST else 256), layers)
        for layer in layers:
            totals[layer] += features[layer].mean().item() / len(REFERENCE_IMAGES)
    assert totals == pytest.approx(dict.fromkeys(layers, 1.0), rel=0.002)


@pytest.mark.parametrize("name", EVERY)
def test_no_convolution_runs_after_the_deepest_layer(name: str, load_random: LoadRandom) -> None:
    backbone, image = load_random(name), picture(32, 32)
    counts = []
    for layer in backbone.layers:
        with CountConvolutions() as counter:
            backbone.encode(image, [backbone.layers[0], layer])
        counts.append(counter.count)
    pools = [layer.startswith("pool") for layer in backbone.layers]
    assert counts[0] == 1
    for (before, now), is_pool in zip(itertools.pairwise(counts), pools[1:], strict=True):
        assert (now == before) if is_pool else (now > before)


@pytest.mark.parametrize("name", EVERY)
def test_bf16_features_are_near_fp32(name: str, load_random: LoadRandom) -> None:
    layers = BACKBONES[name].style_layers
    wide, narrow = (
        load_random(name, dtype=dtype).encode(picture(), layers) for dtype in (torch.float32, torch.bfloat16)
    )
    for layer in layers:
        assert narrow[layer].dtype is torch.bfloat16
        assert difference(narrow[layer], wide[layer]) < 0.03


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", EVERY)
def test_the_image_has_a_gradient_and_the_weights_have_none(
    name: str, dtype: torch.dtype, load_random: LoadRandom
) -> None:
    backbone, image = load_random(name, dtype=dtype), picture().requires_grad_()
    features = backbone.encode(image, backbone.style_layers)
    sum(features[layer].float().square().mean() for layer in backbone.style_layers).backward()
    assert image.grad.dtype is torch.float32
    assert image.grad.isfinite().all()
    assert (image.grad != 0).float().mean() > 0.9
    assert not backbone.encode(picture(), backbone.style_layers)[backbone.style_layers[0]].requires_grad


@pytest.mark.parametrize("name", EVERY)
def test_average_pooling_changes_only_the_layers_after_the_first_pooling(name: str, load_random: LoadRandom) -> None:
    layers = (BACKBONES[name].style_layers[0], BACKBONES[name].style_layers[-1])
    maximum, average = (load_random(name, pooling=pooling).encode(picture(), layers) for pooling in ("max", "average"))
    assert difference(average[layers[0]], maximum[layers[0]]) < 1e-6
    assert difference(average[layers[1]], maximum[layers[1]]) > 0.01


@pytest.mark.parametrize("name", ["tiny", "squeezenet1_1", "resnet50"])
@pytest.mark.parametrize("other", [{"pooling": "average"}, {"dtype": torch.bfloat16}], ids=str)
def test_features_do_not_depend_on_backbones_loaded_before(
    name: str,
    other: dict[str, Any],
    load_random: LoadRandom,
    random_weights: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    if name in MANIFEST:
        monkeypatch.setenv("IMPASTO_WEIGHTS", str(random_weights(name)))
        monkeypatch.setattr("impasto.backbones.normalization.SIZE", RANDOM_SIZE)
    load_backbone(name, **other)  # writes the empty cache
    after = load_backbone(name)
    for layer, features in after.encode(picture(), after.layers).items():
        assert torch.equal(features, load_random(name).encode(picture(), after.layers)[layer])


def test_a_backbone_loads_with_an_unwritable_cache(
    tmp_path: Path, load_random: LoadRandom, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file"))
    features = load_backbone("tiny").encode(picture(), ["relu3_1"])
    assert torch.equal(features["relu3_1"], load_random("tiny").encode(picture(), ["relu3_1"])["relu3_1"])


@pytest.mark.parametrize("name", ["tiny", "squeezenet1_1"])
def test_a_used_backbone_can_be_pickled_and_copied(name: str, load_random: LoadRandom) -> None:
    backbone, image, layer = load_random(name), picture().requires_grad_(), BACKBONES[name].layers[1]
    features = backbone.encode(image, [layer])[layer]
    features.sum().backward()  # type: ignore[no-untyped-call]
    for copied in (pickle.loads(pickle.dumps(backbone)), copy.deepcopy(backbone)):
        assert torch.equal(copied.encode(image, [layer])[layer], features)


def test_an_unknown_backbone_is_an_error_that_lists_the_backbones() -> None:
    with pytest.raises(ValueError, match=rf"^unknown backbone 'vgg99'; choose from {', '.join(EVERY)}$"):
        load_backbone("vgg99")


# Files


@pytest.mark.parametrize("name", STORED)
def test_missing_weights_are_an_error_of_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=MANIFEST[name].files[0].filename) as caught:
        load_backbone(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("vgg19-caffe", "features.28.bias"),
        ("vgg16", "features.7.weight"),
        ("squeezenet1_1", "features.9.expand3x3.weight"),
        ("squeezenet1_1", "features.9.expand3x3.bias"),
        ("resnet50", "layer3.2.bn1.running_var"),
        ("resnet50", "layer2.0.downsample.0.weight"),
    ],
)
def test_a_missing_key_is_an_error_of_one_line(
    name: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = random_state(name)
    del state[key]
    write_weights(name, tmp_path, state)
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    with pytest.raises(ValueError, match=rf"^the weights of {name} lack {key}") as caught:
        load_backbone(name)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_weights("vgg16", tmp_path, random_state("vgg19"))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    with pytest.raises(ValueError, match=r"^the weights of vgg16 .*$"):
        load_backbone("vgg16")


# Against independent networks with the same weights


class Fire(nn.Module):
    """Fire module of SqueezeNet."""

    def __init__(self, below: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(below, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


def squeezenet() -> dict[str, nn.Module]:
    """Return SqueezeNet 1.1 with torchvision's keys, as the parts between its layers."""
    pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    body = nn.Sequential(
        *(nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool, Fire(64, 16, 64), Fire(128, 16, 64), pool),
        *(Fire(128, 32, 128), Fire(256, 32, 128), pool, Fire(256, 48, 192), Fire(384, 48, 192)),
        *(Fire(384, 64, 256), Fire(512, 64, 256)),
    )
    ends = {
        "relu1": 1,
        "fire2": 3,
        "fire3": 4,
        "fire4": 6,
        "fire5": 7,
        "fire6": 9,
        "fire7": 10,
        "fire8": 11,
        "fire9": 12,
    }
    state = random_state("squeezenet1_1")
    body.load_state_dict({k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")})
    begins = [0, *(end + 1 for end in ends.values())]
    return {name: body[begin : end + 1] for (name, end), begin in zip(ends.items(), begins, strict=False)}


class Bottleneck(nn.Module):
    """Residual block of ResNet-50."""

    def __init__(self, below: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(below, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = None
        if below != 4 * width or stride > 1:
            shortcut = nn.Conv2d(below, 4 * width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn3(self.conv3(self.bn2(self.conv2(y)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


def resnet() -> dict[str, nn.Module]:
    """Return ResNet-50 with torchvision's keys, as the parts between its layers."""
    net = nn.Module()
    net.conv1, net.bn1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64)
    below = 64
    for stage, count in enumerate((3, 4, 6, 3), 1):
        width = 32 * 2**stage
        blocks = [
            Bottleneck(below if i == 0 else 4 * width, width, 2 if stage > 1 and i == 0 else 1) for i in range(count)
        ]
        setattr(net, f"layer{stage}", nn.Sequential(*blocks))
        below = 4 * width
    net.load_state_dict({k: v for k, v in random_state("resnet50").items() if not k.startswith("fc.")})
    stem = nn.Sequential(net.conv1, net.bn1, nn.ReLU())
    first = nn.Sequential(nn.MaxPool2d(3, 2, 1), net.layer1)
    return {"relu1": stem, "layer1": first, "layer2": net.layer2, "layer3": net.layer3, "layer4": net.layer4}


def vgg(name: str, pool: nn.Module) -> dict[str, nn.Module]:
    """Return a VGG with torchvision's keys, as the parts between its layers."""
    layers: list[nn.Module] = []
    ends, below = {}, 3
    for block, (count, width) in enumerate(zip(VGG_BLOCKS[name], VGG_WIDTHS, strict=True), 1):
        for i in range(1, count + 1):
            layers += [nn.Conv2d(below, width, 3, padding=1), nn.ReLU()]
            ends[f"relu{block}_{i}"], below = len(layers), width
        layers.append(pool)
        ends[f"pool{block}"] = len(layers)
    body = nn.Sequential(*layers)
    state = random_state(name)
    body.load_state_dict({k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")})
    return {layer: body[begin:end] for (layer, end), begin in zip(ends.items(), [0, *ends.values()], strict=False)}


def as_torchvision(image: Tensor) -> Tensor:
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    return (image - mean) / std


def as_caffe(image: Tensor) -> Tensor:
    """Return the pixels as BGR in [0, 255] minus the mean."""
    return 255 * image.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)


def proportional(features: Tensor, truth: Tensor) -> float:
    """Return the factor between two tensors that must be proportional."""
    factor = (features.norm() / truth.norm()).item()
    assert difference(features, factor * truth) < 1e-4
    return factor


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "reference", "prepare"),
    [
        ("squeezenet1_1", squeezenet, as_torchvision),
        ("resnet50", resnet, as_torchvision),
        ("vgg16", lambda: vgg("vgg16", nn.MaxPool2d(2)), as_torchvision),
        ("vgg19", lambda: vgg("vgg19", nn.MaxPool2d(2)), as_torchvision),
        ("vgg19-caffe", lambda: vgg("vgg19-caffe", nn.MaxPool2d(2)), as_caffe),
    ],
)
def test_features_equal_those_of_the_published_network_up_to_a_factor_per_layer(
    name: str,
    reference: Callable[[], dict[str, nn.Module]],
    prepare: Callable[[Tensor], Tensor],
    load_random: LoadRandom,
) -> None:
    parts = reference()
    assert tuple(parts) == BACKBONES[name].layers
    image, other = picture(65, 50, seed=1), picture(48, 63, seed=2)
    features, other_features = (load_random(name).encode(x, list(parts)) for x in (image, other))
    truth, other_truth = prepare(image), prepare(other)
    for layer, part in parts.items():
        truth, other_truth = part.eval()(truth), part(other_truth)
        factor = proportional(features[layer], truth)
        assert proportional(other_features[layer], other_truth) == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize("name", ["vgg16", "vgg19", "vgg19-caffe"])
def test_the_gradient_equals_that_of_the_published_network_up_to_a_factor(name: str, load_random: LoadRandom) -> None:
    prepare = as_caffe if name == "vgg19-caffe" else as_torchvision
    parts = vgg(name, nn.AvgPool2d(2))
    depth = list(parts).index("relu5_1") + 1
    network = nn.Sequential(*list(parts.values())[:depth])
    # A rounding error of the folded normalization must not change the sign of an activation: with seed 0 it changes
    # that of one activation of vgg19 for some normalizations, and with it the gradient by 1e-2. It is 2e-6 else.
    image = picture(32, 40, seed=1).requires_grad_()
    output = network(prepare(image))
    output_gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(4))

    (truth,) = torch.autograd.grad(output, image, output_gradient)
    features = load_random(name, pooling="average").encode(image, list(parts)[:depth])
    (gradient,) = torch.autograd.grad(features["relu5_1"], image, output_gradient)

    activations = prepare(image)
    for layer, part in list(parts.items())[:depth]:
        activations = part(activations)
        assert torch.equal(features[layer] > 0, activations > 0), f"{layer}: choose another seed"
    factor = (gradient.norm() / truth.norm()).item()
    assert difference(gradient, factor * truth) < 1e-5


@pytest.mark.parametrize("name", ["tiny", "vgg19"])
def test_an_image_too_small_for_a_layer_is_an_error_of_one_line(name: str, load_random: LoadRandom) -> None:
    with pytest.raises(ValueError, match=r"^a picture of 20x15 pixels is too small for layer relu5_1.*$"):
        load_random(name).encode(picture(15, 20), ["relu5_1"])
    assert load_random(name).encode(picture(16, 20), ["relu5_1"])["relu5_1"].shape[2:] == (1, 1)


def test_block_names_number_convolutions_and_poolings() -> None:
    assert block_names((1, 2)) == ("relu1_1", "pool1", "relu2_1", "relu2_2", "pool2")


def test_the_features_of_tiny_are_fixed(load_random: LoadRandom) -> None:
    """A change of its features would change every image stylized with it."""
    ramp = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    features = load_random("tiny").encode(ramp, ["relu1_1", "relu5_1"])
    assert [features[layer].std().item() for layer in ("relu1_1", "relu5_1")] == pytest.approx(TINY, rel=1e-3)


TINY = [1.45065, 0.51275]


# The real weights


def photographs() -> dict[str, Tensor]:
    """Return three photographs of scikit-image at 224 pixels."""
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    return {
        name: load_image(Image.fromarray(getattr(data, name)()), size=224)
        for name in ("astronaut", "coffee", "chelsea")
    }


@pytest.mark.shared
@pytest.mark.usefixtures("real_weights")
def test_mean_activations_of_photographs_are_near_one() -> None:
    backbone = load_backbone("vgg19-caffe", dtype=torch.bfloat16)
    layers = [layer for layer in backbone.layers if layer.startswith("relu") and layer < "relu5"]
    means = dict.fromkeys(layers, 0.0)
    for image in photographs().values():
        for layer, features in backbone.encode(image, layers).items():
            if layer in means:
                means[layer] += features.float().mean().item() / 3
    assert all(0.5 < mean < 2 for mean in means.values()), means


@pytest.mark.shared
@pytest.mark.usefixtures("real_weights")
def test_gram_matrices_in_bf16_are_within_two_percent_of_fp32() -> None:
    from impasto.losses.gram import GramLoss

    image, gram = photographs()["astronaut"], GramLoss()
    backbones: list[Backbone] = [load_backbone("vgg19-caffe", dtype=d) for d in (torch.bfloat16, torch.float32)]
    layers = backbones[0].style_layers
    narrow, wide = (backbone.encode(image, layers) for backbone in backbones)
    for layer in layers:
        assert difference(gram.statistic(narrow[layer]), gram.statistic(wide[layer])) < 0.02
