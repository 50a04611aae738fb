"""Make the objectives of one run at all of its sizes, with one style weight per loss scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from impasto.backbones import Backbone
from impasto.losses import LOSSES
from impasto.objectives.balance import strength_factor
from impasto.objectives.matching import MatchingObjective, ObjectiveSettings
from impasto.objectives.multiscale import MultiscaleObjective, ScaleObjective, near_scale_shapes
from impasto.objectives.objective import Objective
from impasto.regions.subject import Subject

Shape = tuple[int, int]

COARSE_WEIGHT = 0.5
"""Weight of the objective at each coarser loss scale, relative to that at the output size."""
MIDDLE = 0.35
"""Factor on the style weight of each loss scale between the coarsest and the output size where there are several: an
output of 1024 pixels has two, which together would remove more of the content than the one at 512 pixels does."""
LARGE_OUTPUT = 1024
"""Longer side of an output in pixels above which the coarse sizes decide the strokes: they have the style weight of an
output of that size, and a near scale, which takes little of the time there."""
COARSE_SIZE = 0.25
"""Largest of these sizes, relative to the output."""


class MatchingScales:
    """The objectives of one run with one loss network; each size is encoded once.

    The same style weight changes more at a coarser scale, where a layer sees whole objects. So the style weight of a
    coarser scale is the one that balances style and content there, times a factor that was chosen by grade and by eye
    (docs/measurements/large-forms.md), times the style weight of the output size relative to its default. The style
    weight of the output size is the limit, because a loss that was given a small weight needs one at each scale.

    The coarser scales have content terms, too, so that content counts more at the output size than in a loss of one
    size. With a complete VGG, whose style loss decreases to a hundredth, the style weight of the output size is larger
    for that reason (`Backbone.output_style`, `FeatureLoss.output_style`); a small network ends at its difference from
    VGG before.

    Args:
        backbone: loss network.
        coarse: network for the coarse scales, with the same layers; None: the loss network.
        subject: images and masks at their own sizes, on the CPU.
        resized: returns a subject at a size, on the device.
        settings: losses, layers and weights.
        shapes: height and width of each loss scale, that of the output first.
        coarse_style: factor on the style weight at the coarser loss scales.
        near_scales: number of scales near the size of the image, its own included.
        style_factor: style weight of the settings, relative to the default of the method.
        strength: from 0 to 100; replaces the style weight of the settings.
    """

    def __init__(
        self,
        backbone: Backbone,
        coarse: Backbone | None,
        subject: Subject,
        resized: Callable[[Subject, Shape], Subject],
        settings: ObjectiveSettings,
        shapes: Sequence[Shape],
        *,
        coarse_style: float = 1.0,
        near_scales: int = 1,
        style_factor: float = 1.0,
        strength: float | None = None,
    ) -> None:
        self._backbone, self._coarse, self._loss = backbone, coarse, LOSSES[settings.style_loss]
        self._subject, self._resized, self._settings = subject, resized, settings
        self._shapes, self._coarse_style, self._near_scales = shapes, coarse_style, near_scales
        self._is_balanced = strength is not None
        self._objectives: dict[Shape, MatchingObjective] = {}
        self._balanced: dict[Shape, float] = {}
        self._style_factor = style_factor if strength is None else strength_factor(strength)
        self._style_weight = settings.style_weight
        if strength is not None:
            self._unweighted(shapes[0])
            self._style_weight = self._style_factor * self._balanced[shapes[0]]

    def objective(self, shape: Shape) -> MultiscaleObjective:
        """Return the objective of a stage: at its own size, at near scales and at the coarser loss scales.

        The images are resized once for each loss scale. For a near scale, those at the size of the stage are resized
        again: resized from their own size, they would have finer details than an enlarged output can have, and the
        output would become grainy to match them (docs/measurements/lite.md).
        """
        near_shapes = self._near_shapes(shape)
        weight = 1 / (1 + len(near_shapes))
        nearby = []
        if near_shapes:
            own = self._resized(self._subject, shape)
            self._unweighted(shape, own)
            nearby = [
                MatchingObjective(self._network(shape), self._resized(own, each), self._settings)
                for each in near_shapes
            ]
        scales = [ScaleObjective(shape, self._weighted(shape), weight)]
        for each, near in zip(near_shapes, nearby, strict=True):
            scales.append(ScaleObjective(each, near.weighted(self._weight(shape)), weight))
        coarser = [each for each in self._shapes if max(each) < max(shape)]
        return MultiscaleObjective(
            scales + [ScaleObjective(each, self._weighted(each), COARSE_WEIGHT) for each in coarser]
        )

    def _near_shapes(self, shape: Shape) -> list[Shape]:
        """Return the near scales of a stage; one that has strokes has the smaller one, which costs less, unless set."""
        if self._has_strokes(shape) and self._near_scales == 1:
            return near_scale_shapes(shape, 3)[1:]
        return near_scale_shapes(shape, self._near_scales)

    def _has_strokes(self, shape: Shape) -> bool:
        """Return whether a size decides the strokes of a larger output."""
        output = max(self._shapes[0])
        return output > LARGE_OUTPUT and max(shape) <= COARSE_SIZE * output

    def _weighted(self, shape: Shape) -> Objective:
        return self._unweighted(shape).weighted(self._weight(shape))

    def _weight(self, shape: Shape) -> float:
        """Return the style weight at a size."""
        if self._is_finest(shape):
            factor = max(self._backbone.output_style, self._loss.output_style)
            return self._style_weight * (factor if len(self._shapes) > 1 else 1.0)
        self._unweighted(shape)
        balanced = self._balanced[shape]
        limited = min(self._style_factor * balanced, self._style_weight) if balanced else self._style_weight
        return self._coarse_style * limited * self._middle_factor(shape)

    def _middle_factor(self, shape: Shape) -> float:
        """Return the factor on the style weight of a size below that of the output for the scales between."""
        has_several, is_coarsest = len(self._shapes) > 3, max(shape) <= max(self._shapes[-1])
        return MIDDLE if has_several and not is_coarsest and not self._has_strokes(shape) else 1.0

    def _unweighted(self, shape: Shape, subject: Subject | None = None) -> MatchingObjective:
        """Return the objective of a size with the style weight of the settings; it keeps no images of that size.

        Args:
            shape: height and width of the size.
            subject: images at that size, where they are resized already.
        """
        if shape not in self._objectives:
            subject = subject or self._resized(self._subject, shape)
            objective = MatchingObjective(self._network(shape), subject, self._settings)
            if self._is_balanced or not self._is_finest(shape):
                self._balanced[shape] = objective.balanced_style_weight(subject)
            self._objectives[shape] = objective
        return self._objectives[shape]

    def _network(self, shape: Shape) -> Backbone:
        """Return the loss network of a size."""
        is_coarse = max(shape) <= self._loss.largest_coarse and not self._is_finest(shape)
        return self._coarse if is_coarse and self._coarse is not None else self._backbone

    def _is_finest(self, shape: Shape) -> bool:
        return max(shape) >= max(self._shapes[0])
