"""Run the training loop: a batch, the loss of the recipe, a step of AdamW, and the average of the weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from impasto.devices import pick_dtype, seed_generators
from impasto.training.curve import Curve
from impasto.training.distributed import Processes
from impasto.training.recipes import Dataset, Recipe, TrainingConfig


class NotFiniteError(ValueError):
    """A loss or a gradient is NaN or infinite; the weights are those before the step."""


class TrainingRun:
    """Weights, optimizer, averaged weights and curve of a training after `step` steps."""

    def __init__(self, recipe: Recipe, network: nn.Module, device: torch.device, processes: Processes) -> None:
        """Move a network to its device and set up the optimizer.

        Args:
            recipe: what is trained.
            network: network on the CPU; the weights of the first process replace those of the others.
            device: where to compute.
            processes: the processes that train together.
        """
        config: TrainingConfig = recipe.config
        self.recipe, self.config, self.device, self.processes = recipe, config, device, processes
        self.network = network.to(device).train()
        processes.broadcast(self.network)
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        self._weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, lr=config.lr, weight_decay=config.weight_decay)
        dtype = pick_dtype(config.precision, device)
        self._autocast = recipe.autocast and dtype is torch.bfloat16
        self.curve = Curve(config.steps, config.crop)
        self.step = 0
        self.seconds = 0.0
        self.losses: dict[str, float] = {}

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint. Random generators need none, because every step seeds them."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "curve": self.curve.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"]
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.curve.load(state["curve"])

    def train(self, data: Dataset) -> Iterator[int]:
        """Train to the last step.

        Yields:
            The number of steps done, after each step.

        Raises:
            NotFiniteError: if a loss or a gradient is NaN or infinite.
        """
        samples = self.processes.samples(self.config.batch)
        began = time.perf_counter() - self.seconds
        for batch in data.batches(self.step, self.config.steps, samples):
            self._train_step({name: tensor.to(self.device) for name, tensor in batch.items()})
            self.step += 1
            self.seconds = time.perf_counter() - began
            self.curve.add(self.step, self.seconds, self.losses)
            yield self.step

    def _train_step(self, batch: dict[str, Tensor]) -> None:
        config, step = self.config, self.step
        seed_generators((config.seed + step * 0x9E3779B9) % 2**63, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
            terms = self.recipe.loss(self.network, batch, step)
        self._optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        values = torch.stack([term.detach().float() for term in terms.values()])
        self.processes.average([values])
        self.processes.average(weight.grad for weight in self._weights if weight.grad is not None)
        losses = dict(zip(terms, values.tolist(), strict=True))
        norm = float(nn.utils.clip_grad_norm_(self._weights, config.clip or math.inf))
        checked = {**losses, "gradient": norm}
        wrong = [f"{name} {value}" for name, value in checked.items() if not math.isfinite(value)]
        if wrong:
            raise NotFiniteError(f"step {step + 1}: the loss is not finite any more ({', '.join(wrong)})")
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        self._optimizer.step()
        update_average(self.averaged, self.network, min(config.ema, (1 + step) / (10 + step)))
        self.losses = losses


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the learning rate: linear up to `lr` over `warmup` steps, then down to 0 along half a cosine.

    Args:
        config: the settings `steps`, `warmup` and `lr`.
        step: index of the step, from 0.

    >>> config = TrainingConfig(steps=100, warmup=10, lr=1.0)
    >>> [round(learning_rate(config, step), 2) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr * (1 + math.cos(math.pi * progress)) / 2


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move averaged weights and statistics toward those of the network.

    Args:
        averaged: network that is changed.
        network: network with the current weights.
        decay: fraction of the average that stays, 0 to 1.
    """
    for average, new in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if average.is_floating_point():
            average.lerp_(new, 1 - decay)
        else:
            average.copy_(new)
