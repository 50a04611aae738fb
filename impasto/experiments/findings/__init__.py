"""Questions that an experiment's file may ask of all its runs together: `findings: [texture]`."""

from __future__ import annotations

from impasto.experiments.findings.convergence import convergence
from impasto.experiments.findings.descent import descent
from impasto.experiments.findings.finding import Find, Finding
from impasto.experiments.findings.texture import texture

FINDINGS: dict[str, Find] = {"convergence": convergence, "descent": descent, "texture": texture}

__all__ = ["FINDINGS", "Finding"]
