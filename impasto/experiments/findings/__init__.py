"""Analyses over all runs of an experiment, which its file names: `findings: [texture]`."""

from __future__ import annotations

from impasto.experiments.findings.base import Find, Finding
from impasto.experiments.findings.convergence import convergence
from impasto.experiments.findings.descent import descent
from impasto.experiments.findings.texture import texture

FINDINGS: dict[str, Find] = {"convergence": convergence, "descent": descent, "texture": texture}

__all__ = ["FINDINGS", "Finding"]
