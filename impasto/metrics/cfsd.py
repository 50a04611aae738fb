"""Compute the metric `cfsd`."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.metrics.base import METRICS, Metric, available_layers

CHUNK = 2**23
"""Number of similarities in memory at a time: 64 MiB in float64."""


@METRICS.add("cfsd")
class CFSD(Metric):
    """Content feature structural distance: the self-similarity of positions (Chung, Hyun & Heo, CVPR 2024; 2312.09008).

    With features F `(C, N)`, P is the softmax of each row of FᵀF/C²; the distance is the mean over the N rows of
    KL(P_content ‖ P_output).

    Departs from the paper's code: the mean over the rows instead of the sum, so that the value does not grow with the
    size of the image, and features normalized as in every backbone here. The published values are larger by orders of
    magnitude.
    """

    summary = "content feature structural distance: whether the same positions resemble each other"
    measures = "structure"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        """Return relu3_1, or the content layers of a backbone without it."""
        return available_layers(backbone, ("relu3_1",), fallback=backbone.content_layers)

    def compare(self, output: Tensor, reference: Tensor) -> float:
        """Return the mean Kullback-Leibler divergence, for `(1, C, H, W)` each."""
        own, target = (maps[0].flatten(1) / maps.shape[1] for maps in (output, reference))  # (C, N)
        positions = target.shape[1]
        total = 0.0
        for rows in torch.split(torch.arange(positions), max(1, CHUNK // positions)):
            log_p, log_q = (_log_similarities(columns, rows) for columns in (target, own))
            total += (log_p.exp() * (log_p - log_q)).sum().item()
        return max(0.0, total / positions)


def _log_similarities(columns: Tensor, rows: Tensor) -> Tensor:
    """Return the logarithm of some rows of P, `(rows, N)`; float64, because P is nearly uniform and KL is small."""
    return (columns[:, rows].mT @ columns).double().log_softmax(1)
