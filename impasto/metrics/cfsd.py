from __future__ import annotations

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.metrics.base import METRICS, Metric, known_layers

CHUNK = 2**23
"""How many similarities are held at a time: 64 MiB in float64."""


@METRICS.add("cfsd")
class CFSD(Metric):
    """Content feature structural distance: which places resemble which (Chung, Hyun & Heo, CVPR 2024; 2312.09008).

    With features F `(C, N)`, P is the softmax of each row of FᵀF/C²; the distance is the mean over the N rows of
    KL(P_content ‖ P_output).

    Departs from the paper's code: the mean over the rows instead of the sum, so that the number does not grow with the
    picture, and features normalized as everywhere here. Its published numbers are larger by orders of magnitude.
    """

    summary = "content feature structural distance: whether the same places resemble each other"
    measures = "structure"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        return known_layers(backbone, ("relu3_1",), otherwise=backbone.content_layers)

    def compare(self, output: Tensor, reference: Tensor) -> float:
        painted, kept = (maps[0].flatten(1) / maps.shape[1] for maps in (output, reference))  # (C, N)
        places = kept.shape[1]
        total = 0.0
        for rows in torch.split(torch.arange(places), max(1, CHUNK // places)):
            log_p, log_q = (_log_similarities(columns, rows) for columns in (kept, painted))
            total += (log_p.exp() * (log_p - log_q)).sum().item()
        return max(0.0, total / places)


def _log_similarities(columns: Tensor, rows: Tensor) -> Tensor:
    """Logarithm of some rows of P, `(rows, N)`; float64, because P is nearly uniform and KL the small rest."""
    return (columns[:, rows].mT @ columns).double().log_softmax(1)
