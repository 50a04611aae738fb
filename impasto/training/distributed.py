"""One training on several processes, as torchrun starts them: each computes its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Processes:
    """The processes that train together, and which of them this one is."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """The places in a batch that this process computes. Raises `ValueError` unless all get as many."""
        if batch % self.count:
            raise ValueError(f"batch: {batch} samples cannot be shared by {self.count} processes; give a multiple")
        size = batch // self.count
        return range(self.rank * size, (self.rank + 1) * size)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Puts the mean over all processes into each tensor: all have the same ones, of one type."""
        tensors = list(tensors)
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        means = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def highest(self, number: int, device: torch.device) -> int:
        """The highest of the small numbers that the processes give."""
        if self.count == 1:
            return number
        numbers = torch.tensor(number, device=device)
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return int(numbers.item())

    def copy_from_first(self, network: nn.Module) -> None:
        """Gives every process the weights of the first."""
        if self.count > 1:
            for tensor in network.state_dict().values():
                dense = tensor.contiguous()  # a collective wants no other order in memory
                dist.broadcast(dense, 0)
                tensor.copy_(dense)


def this_process() -> Processes:
    """What torchrun says about this process; without torchrun it is the only one."""
    if not dist.is_available() or not dist.is_torchelastic_launched():
        return Processes()
    return Processes(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def own_device(name: str) -> str:
    """The device of this process: with several on `auto` or `cuda`, each takes a GPU of its own."""
    if this_process().count > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{os.environ['LOCAL_RANK']}"
    return name


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Joins the processes of a training: over NCCL on GPUs, else over Gloo."""
    processes = this_process()
    if processes.count == 1:
        yield processes
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield processes
        dist.barrier()  # all leave together
    finally:
        dist.destroy_process_group()
