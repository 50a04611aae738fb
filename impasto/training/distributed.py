"""Train on several processes started by torchrun; each computes its part of every batch."""

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
    """The processes of a training, and the rank of this one."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Return whether this process writes files and messages."""
        return self.rank == 0

    def samples(self, batch: int) -> range:
        """Return the indices of the samples of a batch that this process computes.

        Args:
            batch: number of samples over all processes together.

        Raises:
            ValueError: if the batch is not a multiple of the number of processes.
        """
        if batch % self.count:
            raise ValueError(f"batch: {batch} samples cannot be divided by {self.count} processes; give a multiple")
        size = batch // self.count
        return range(self.rank * size, (self.rank + 1) * size)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace every tensor by its mean over all processes, which have the same tensors, of one dtype."""
        tensors = list(tensors)
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        means = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def maximum(self, number: int, device: torch.device) -> int:
        """Return the maximum of a small number over all processes."""
        if self.count == 1:
            return number
        numbers = torch.tensor(number, device=device)
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return int(numbers.item())

    def broadcast(self, network: nn.Module) -> None:
        """Give every process the weights of the first one."""
        if self.count > 1:
            for tensor in network.state_dict().values():
                dense = tensor.contiguous()  # collectives do not accept other memory formats
                dist.broadcast(dense, 0)
                tensor.copy_(dense)


def this_process() -> Processes:
    """Return the rank of this process as set by torchrun; without torchrun it is the only one."""
    if not dist.is_available() or not dist.is_torchelastic_launched():
        return Processes()
    return Processes(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def local_device(name: str) -> str:
    """Return the device of this process: of several processes on `auto` or `cuda`, each has its own GPU."""
    if this_process().count > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{os.environ['LOCAL_RANK']}"
    return name


@contextmanager
def process_group(device: torch.device) -> Iterator[Processes]:
    """Join the processes of a training, over NCCL on GPUs and over Gloo on CPUs."""
    processes = this_process()
    if processes.count == 1:
        yield processes
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield processes
        dist.barrier()  # the first process may still write files
    finally:
        dist.destroy_process_group()
