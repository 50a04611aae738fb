"""Compute the tiles of an image in worker processes, on this machine or on a Ray cluster.

A task contains the pixels of a tile and the parts of the maps that it needs, some 20 MiB for a tile of 1024 pixels, and
its result is that of the same task in one process. So a worker needs the network only, and one that dies is replaced.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import torch

from impasto.allocator import keep_freed_memory
from impasto.backbones.base import Backbone
from impasto.backbones.tiling import ComputeTiles, TileTask, TileValue
from impasto.devices import CPU, torch_defaults
from impasto.executors import Executor, IsStopped
from impasto.executors.base import Workers

LoadNetwork = Callable[[], Backbone]
"""Loads a network in a worker, after it was pickled."""


class TileWorkers:
    """Worker processes for the tiles of one image: a context manager, which ends them.

    They are started when the first tile is computed.

    Args:
        executor: where they run.
        count: their largest number: no more are started than there are tiles.
    """

    def __init__(self, executor: Executor, count: int) -> None:
        self.executor, self.count = executor, count
        self._started: Workers | None = None
        self._stack = ExitStack()

    @property
    def local_count(self) -> int:
        """Number of the workers that share the memory of this machine."""
        return self.count if self.executor.is_local else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def compute(self, load: LoadNetwork) -> ComputeTiles:
        """Return a function that carries out the tasks of tiles in the workers.

        Args:
            load: returns the network of the tasks; each worker calls it once.
        """
        return partial(self._carry_out, pickle.dumps(load))

    def _carry_out(self, load: bytes, tasks: Iterable[TileTask]) -> Iterator[list[TileValue] | torch.Tensor]:
        """Yield the results in the order of the tasks.

        Tiles take the same time, so that few results wait for an earlier one.

        Raises:
            ValueError: if the workers cannot be started, or end while they compute a tile.
        """
        if self._started is None:
            self._started = self._stack.enter_context(self.executor.workers(_TileWork, self.count))
        waiting: dict[int, Any] = {}
        due = 0
        numbered = ((i, load, task.to(CPU, copy=True)) for i, task in enumerate(tasks))
        for outcome in self._started.run(numbered):
            if outcome.died:
                text = "two worker processes died while they computed the same tile; there may be too little memory"
                raise ValueError(f"workers: {text}: give fewer workers, or smaller tiles")
            waiting[outcome.task[0]] = outcome.value
            while due in waiting:
                yield waiting.pop(due)
                due += 1


class _TileWork:
    """Carry out tasks in a worker, which loads a network for the first task that needs it."""

    def __init__(self) -> None:
        keep_freed_memory(of_any_size=True)  # a tile requests the same blocks as the one before
        self._networks: dict[bytes, Backbone] = {}

    def __call__(self, numbered: tuple[int, bytes, TileTask], is_stopped: IsStopped) -> Iterator[Any]:
        """Yield the result of one task."""
        _, load, task = numbered
        with torch_defaults():
            if load not in self._networks:
                self._networks[load] = pickle.loads(load)()
            network = self._networks[load]
            yield _on_cpu(network.carry_out(task.to(network.device)))


def _on_cpu(result: list[TileValue] | torch.Tensor) -> list[TileValue] | torch.Tensor:
    if isinstance(result, torch.Tensor):
        return result.cpu()
    return [TileValue(each.value.cpu(), each.positions, each.shape) for each in result]
