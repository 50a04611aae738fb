"""The loop: a batch, the recipe's loss, a step of AdamW, and the average of the weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from impasto.devices import pick_dtype
from impasto.training.curve import Curve
from impasto.training.distributed import Processes
from impasto.training.recipes import Dataset, Recipe, TrainingConfig


class NotFiniteError(ValueError):
    """A loss or a gradient is NaN or infinite; the weights are those before it."""


class Run:
    """A training on its way: weights, optimizer, averaged weights and curve, after `step` steps."""

    def __init__(self, recipe: Recipe, network: nn.Module, device: torch.device, processes: Processes) -> None:
        """Takes the network, on the CPU, of the first process; the others' weights are replaced by its."""
        config: TrainingConfig = recipe.config
        self.recipe, self.config, self.device, self.processes = recipe, config, device, processes
        self.network = network.to(device).train()
        processes.copy_from_first(self.network)
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
        """All of it, for a checkpoint. Random numbers need no state: every step seeds the generators anew."""
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
        """Goes on from what `state` returned."""
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"]
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.curve.load(state["curve"])

    def go(self, data: Dataset) -> Iterator[int]:
        """Trains; yields the number of steps done after each. Raises `NotFiniteError`."""
        share = self.processes.share(self.config.batch)
        began = time.perf_counter() - self.seconds
        for batch in data.batches(self.step, self.config.steps, share):
            self._train({name: samples.to(self.device) for name, samples in batch.items()})
            self.step += 1
            self.seconds = time.perf_counter() - began
            self.curve.add(self.step, self.seconds, self.losses)
            yield self.step

    def _train(self, batch: dict[str, Tensor]) -> None:
        """One step."""
        config, step = self.config, self.step
        torch.manual_seed((config.seed + step * 0x9E3779B9) % 2**63)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
            terms = self.recipe.loss(self.network, batch, step)
        self._optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        figures = torch.stack([term.detach().float() for term in terms.values()])
        self.processes.average([figures])
        self.processes.average(weight.grad for weight in self._weights if weight.grad is not None)
        losses = dict(zip(terms, figures.tolist(), strict=True))
        length = float(nn.utils.clip_grad_norm_(self._weights, config.clip or math.inf))
        figures_of = {**losses, "gradient": length}
        wrong = [f"{name} {figure}" for name, figure in figures_of.items() if not math.isfinite(figure)]
        if wrong:
            raise NotFiniteError(f"step {step + 1}: the loss is not finite any more ({', '.join(wrong)})")
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        self._optimizer.step()
        average(self.averaged, self.network, min(config.ema, (1 + step) / (10 + step)))
        self.losses = losses


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Linear up to `lr` over `warmup` steps, then down to 0 along half a cosine; steps count from 0.

    >>> config = TrainingConfig(steps=100, warmup=10, lr=1.0)
    >>> [round(learning_rate(config, step), 2) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr * (1 + math.cos(math.pi * done)) / 2


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves the averaged weights and statistics towards those of the network: `decay` of them stays."""
    for kept, new in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)
