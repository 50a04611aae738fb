"""Test the objective: its terms, targets and gradient, and how often it encodes the image."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import pytest
import torch
from support import noise
from torch import Tensor

from impasto.backbones import Backbone
from impasto.losses import LOSSES
from impasto.objectives.objective import Objective, Term, match
from impasto.types import Features, Image

LAYERS = ("relu1_1", "relu2_1")


def recording(backbone: Backbone, calls: list[list[str]]) -> Backbone:
    """A backbone that records the layers of each encoding."""
    recorder, features = copy(backbone), backbone._features

    def record(image: Image, layers: Sequence[str]) -> Features:
        calls.append(list(layers))
        return features(image, layers)

    recorder._features = record
    return recorder


@pytest.fixture(scope="session")
def tiny(load_random) -> Backbone:
    return load_random("tiny")


def image_of(seed: int) -> Tensor:
    return noise(1, 3, 24, 32, seed=seed)


def gram_terms(tiny: Backbone, seeds: Sequence[int], weight: float = 1.0, mix: Sequence[float] = (1.0,)) -> list[Term]:
    return match("style", LOSSES["gram"](), [tiny.encode(image_of(s), LAYERS) for s in seeds], LAYERS, weight, mix)


def content_terms(tiny: Backbone, weight: float = 1.0) -> list[Term]:
    return match("content", LOSSES["content"](), [tiny.encode(image_of(0), ["relu2_1"])], ["relu2_1"], weight)


def test_the_content_features_of_a_large_image_are_stored_in_bf16(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = Objective(tiny, content_terms(tiny))
    monkeypatch.setattr("impasto.objectives.objective.LARGE", 0)
    (term,) = content_terms(tiny)
    assert term.target.dtype is torch.bfloat16
    image = image_of(2).requires_grad_()
    losses = [objective(image)["content/relu2_1"] for objective in (exact, Objective(tiny, [term]))]
    gradients = [torch.autograd.grad(loss, image)[0] for loss in losses]
    assert losses[1].dtype is gradients[1].dtype is torch.float32
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-3)
    assert (gradients[1] - gradients[0]).norm() < 0.01 * gradients[0].norm()


def test_each_term_is_its_weight_times_its_distance(tiny: Backbone) -> None:
    losses = Objective(tiny, [*content_terms(tiny, 3.0), *gram_terms(tiny, [1], weight=10.0)])(image_of(2))

    gram, content = LOSSES["gram"](), LOSSES["content"]()
    own, of_style, of_content = (tiny.encode(image_of(seed), LAYERS) for seed in (2, 1, 0))
    expected = {"content/relu2_1": 3 * content.distance(own["relu2_1"], of_content["relu2_1"])} | {
        f"style/{layer}": 10 / 2 * gram.distance(gram.statistic(own[layer]), gram.statistic(of_style[layer]))
        for layer in LAYERS
    }
    assert list(losses) == list(expected)
    for name, loss in losses.items():
        assert loss.shape == ()
        assert loss.item() == pytest.approx(expected[name].item(), rel=1e-5)


def test_the_loss_is_zero_for_the_style_image_and_positive_for_another(tiny: Backbone) -> None:
    objective = Objective(tiny, gram_terms(tiny, [1]))
    assert sum(loss.item() for loss in objective(image_of(1)).values()) < 1e-10
    assert sum(loss.item() for loss in objective(image_of(2)).values()) > 1e-5


def test_the_image_is_encoded_once_for_the_layers_of_all_terms(tiny: Backbone) -> None:
    calls: list[list[str]] = []
    objective = Objective(recording(tiny, calls), [*content_terms(tiny), *gram_terms(tiny, [1])])
    objective(image_of(2))
    assert [sorted(layers) for layers in calls] == [["relu1_1", "relu2_1"]]


def test_terms_of_weight_0_are_left_out_and_their_layers_are_not_computed(tiny: Backbone) -> None:
    calls: list[list[str]] = []
    losses = Objective(recording(tiny, calls), [*content_terms(tiny, 0.0), *gram_terms(tiny, [1])[:1]])(image_of(2))
    assert list(losses) == ["style/relu1_1"]
    assert calls == [["relu1_1"]]


def test_weights_of_zero_only_are_an_error_of_one_line(tiny: Backbone) -> None:
    with pytest.raises(ValueError, match=r"^every weight is 0, .*$"):
        Objective(tiny, content_terms(tiny, 0.0))


def test_the_image_has_a_gradient(tiny: Backbone) -> None:
    image = image_of(2).requires_grad_()
    (gradient,) = torch.autograd.grad(sum(Objective(tiny, gram_terms(tiny, [1]))(image).values()), image)
    assert gradient.shape == image.shape
    assert gradient.isfinite().all()
    assert (gradient != 0).float().mean() > 0.9


def test_targets_have_no_graph(tiny: Backbone) -> None:
    style = tiny.encode(image_of(1).requires_grad_(), LAYERS)
    terms = match("style", LOSSES["gram"](), [style], LAYERS, 1.0)
    assert not any(term.target.requires_grad for term in terms)


# Several styles


def test_statistics_that_are_spatial_means_are_averaged_into_one_target(tiny: Backbone) -> None:
    blended = gram_terms(tiny, [1, 2], mix=[0.25, 0.75])
    first, second = gram_terms(tiny, [1]), gram_terms(tiny, [2])
    assert [term.name for term in blended] == ["style/relu1_1", "style/relu2_1"]
    for i, term in enumerate(blended):
        assert torch.allclose(term.target, 0.25 * first[i].target + 0.75 * second[i].target)


def test_other_statistics_have_a_term_for_each_image_weighted_by_the_mix(tiny: Backbone) -> None:
    features = [tiny.encode(image_of(seed), LAYERS) for seed in (1, 2)]
    terms = match("content", LOSSES["content"](), features, LAYERS, 8.0, [0.25, 0.75])
    assert {term.name: term.weight for term in terms} == {
        "content/relu1_1/1": 1.0,
        "content/relu1_1/2": 3.0,
        "content/relu2_1/1": 1.0,
        "content/relu2_1/2": 3.0,
    }


def test_a_style_of_weight_0_has_no_effect(tiny: Backbone) -> None:
    alone, mixed = (Objective(tiny, gram_terms(tiny, *args)) for args in [([1],), ([1, 2], 1.0, [1.0, 0.0])])
    for first, second in zip(alone(image_of(3)).values(), mixed(image_of(3)).values(), strict=True):
        assert first.item() == pytest.approx(second.item(), rel=1e-6)


def test_another_number_of_weights_than_styles_is_an_error(tiny: Backbone) -> None:
    with pytest.raises(ValueError, match="zip"):
        gram_terms(tiny, [1, 2], mix=[1.0])
