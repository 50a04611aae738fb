"""Define a recipe for the tests of the training loop; as a script, run `impasto` with this recipe."""

import io
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.config import SETTINGS
from impasto.files import write_atomically
from impasto.training.recipes import RECIPES, Batch, Dataset, Recipe, TrainingConfig
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class SmallConfig(TrainingConfig):
    """Settings of the recipe `small`."""

    noise: Annotated[float, Ge(0)] = 0.1
    """Standard deviation of the noise on every sample."""
    dropout: Annotated[float, Ge(0)] = 0.0
    """Fraction of the values that dropout, which uses the global generator, sets to 0."""


class Small(Recipe):
    """A network that maps photographs to paintings pixel by pixel."""

    summary = "3x3 pixels of a noisy photograph to one pixel of a painting"
    Config = SmallConfig
    config: SmallConfig

    def prepare(self, data: Dataset) -> nn.Module:
        network = self.network()
        with torch.no_grad():
            network[2].bias.copy_(data.batch(0)["painting"].mean((0, 2, 3)))
        return network

    def network(self) -> nn.Sequential:
        if "SMALL_WARNING" in os.environ:
            warnings.warn("this is small", stacklevel=2)
        return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        time.sleep(float(os.environ.get("SMALL_PAUSE", 0)))
        assert len(batch["seed"]) == int(os.environ.get("SMALL_SAMPLES", self.config.batch))
        for _ in range(os.environ.get("SMALL_INTERRUPT", "").split().count(str(step))):
            os.kill(os.getpid(), int(os.environ.get("SMALL_SIGNAL", signal.SIGINT)))
        generators = [torch.Generator().manual_seed(int(seed)) for seed in batch["seed"]]
        photo, noise = batch["photo"], self.config.noise
        photo = torch.stack(
            [photo[i] + noise * torch.randn(3, 1, 1, generator=each) for i, each in enumerate(generators)]
        )
        output = nn.functional.dropout(network(photo), self.config.dropout)
        value = float("nan") if os.environ.get("SMALL_NAN") == str(step) else 1.0
        return {
            "match/pixels": value * (output - batch["painting"]).square().mean(),
            "size": 0.1 * output.abs().mean(),
        }

    def sheet(self, network: nn.Module) -> Image:
        assert not network.training
        return network(torch.rand(1, 3, 16, 16)).clamp(0, 1)

    def export(self, network: nn.Module, folder: Path, metadata: dict[str, str]) -> Path:
        buffer = io.BytesIO()
        torch.save({"weights": network.state_dict(), "metadata": metadata}, buffer)
        write_atomically(folder / "small.pt", buffer.getvalue())
        return folder / "small.pt"


if __name__ == "__main__":
    from impasto.cli import main

    RECIPES.add("small")(Small)
    sys.exit(main())
