"""The objective: every term under its name, the picture encoded once and no deeper than needed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.losses import LOSSES
from impasto.objectives.objective import Objective, Term, match
from impasto.types import Features, Image

LAYERS = ("relu1_1", "relu2_1")


class Recorder:
    """A backbone that notes which layers it was asked for."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.asked: list[list[str]] = []

    def encode(self, image: Image, layers: Sequence[str]) -> Features:
        self.asked.append(list(layers))
        return self.backbone.encode(image, layers)


@pytest.fixture(scope="session")
def tiny(load_random) -> Backbone:
    return load_random("tiny")


def picture(seed: int, height: int = 24, width: int = 32) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def gram_terms(tiny: Backbone, seeds: Sequence[int], weight: float = 1.0, mix: Sequence[float] = (1.0,)) -> list[Term]:
    return match("style", LOSSES["gram"](), [tiny.encode(picture(s), LAYERS) for s in seeds], LAYERS, weight, mix)


def content_terms(tiny: Backbone, weight: float = 1.0) -> list[Term]:
    return match("content", LOSSES["content"](), [tiny.encode(picture(0), ["relu2_1"])], ["relu2_1"], weight)


def test_every_term_is_named_and_is_its_weight_times_its_distance(tiny: Backbone) -> None:
    losses = Objective(tiny, [*content_terms(tiny, 3.0), *gram_terms(tiny, [1], weight=10.0)])(picture(2))

    gram, content = LOSSES["gram"](), LOSSES["content"]()
    now, style, kept = (tiny.encode(picture(seed), LAYERS) for seed in (2, 1, 0))
    expected = {"content/relu2_1": 3 * content.distance(now["relu2_1"], kept["relu2_1"])} | {
        f"style/{layer}": 10 / 2 * gram.distance(gram.statistic(now[layer]), gram.statistic(style[layer]))
        for layer in LAYERS
    }
    assert list(losses) == list(expected)
    for name, loss in losses.items():
        assert loss.shape == ()
        assert loss.item() == pytest.approx(expected[name].item(), rel=1e-5)


def test_the_loss_is_zero_at_the_picture_it_was_made_from_and_nowhere_near(tiny: Backbone) -> None:
    objective = Objective(tiny, gram_terms(tiny, [1]))
    assert sum(loss.item() for loss in objective(picture(1)).values()) < 1e-10
    assert sum(loss.item() for loss in objective(picture(2)).values()) > 1e-5


def test_the_picture_is_encoded_once_for_the_layers_of_all_terms(tiny: Backbone) -> None:
    recorder = Recorder(tiny)
    objective = Objective(recorder, [*content_terms(tiny), *gram_terms(tiny, [1])])
    objective(picture(2))
    assert [sorted(layers) for layers in recorder.asked] == [["relu1_1", "relu2_1"]]


def test_terms_of_weight_zero_are_left_out_and_their_layers_not_computed(tiny: Backbone) -> None:
    recorder = Recorder(tiny)
    losses = Objective(recorder, [*content_terms(tiny, 0.0), *gram_terms(tiny, [1])[:1]])(picture(2))
    assert list(losses) == ["style/relu1_1"]
    assert recorder.asked == [["relu1_1"]]


def test_weights_of_zero_only_are_refused_in_one_line(tiny: Backbone) -> None:
    with pytest.raises(ValueError, match=r"^every weight is 0, .*$"):
        Objective(tiny, content_terms(tiny, 0.0))


def test_the_gradient_reaches_the_picture(tiny: Backbone) -> None:
    image = picture(2).requires_grad_()
    (gradient,) = torch.autograd.grad(sum(Objective(tiny, gram_terms(tiny, [1]))(image).values()), image)
    assert gradient.shape == image.shape
    assert gradient.isfinite().all()
    assert (gradient != 0).float().mean() > 0.9


def test_targets_carry_no_graph(tiny: Backbone) -> None:
    style = tiny.encode(picture(1).requires_grad_(), LAYERS)
    terms = match("style", LOSSES["gram"](), [style], LAYERS, 1.0)
    assert not any(term.target.requires_grad for term in terms)


# Several pictures


def test_spatial_means_of_several_pictures_are_blended_into_one_target(tiny: Backbone) -> None:
    blended = gram_terms(tiny, [1, 2], mix=[0.25, 0.75])
    first, second = gram_terms(tiny, [1]), gram_terms(tiny, [2])
    assert [term.name for term in blended] == ["style/relu1_1", "style/relu2_1"]
    for i, term in enumerate(blended):
        assert torch.allclose(term.target, 0.25 * first[i].target + 0.75 * second[i].target)


def test_another_statistic_gets_a_term_for_each_picture_weighted_by_the_mix(tiny: Backbone) -> None:
    pictures = [tiny.encode(picture(seed), LAYERS) for seed in (1, 2)]
    terms = match("content", LOSSES["content"](), pictures, LAYERS, 8.0, [0.25, 0.75])
    assert {term.name: term.weight for term in terms} == {
        "content/relu1_1/1": 1.0,
        "content/relu1_1/2": 3.0,
        "content/relu2_1/1": 1.0,
        "content/relu2_1/2": 3.0,
    }


def test_a_picture_with_no_part_in_the_mix_does_not_matter(tiny: Backbone) -> None:
    alone, mixed = (Objective(tiny, gram_terms(tiny, *args)) for args in [([1],), ([1, 2], 1.0, [1.0, 0.0])])
    for one, other in zip(alone(picture(3)).values(), mixed(picture(3)).values(), strict=True):
        assert one.item() == pytest.approx(other.item(), rel=1e-6)


def test_as_many_parts_as_pictures_are_needed(tiny: Backbone) -> None:
    with pytest.raises(ValueError, match="zip"):
        gram_terms(tiny, [1, 2], mix=[1.0])
