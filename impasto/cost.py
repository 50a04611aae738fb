"""Count the memory of a computation and its memory traffic without carrying it out.

The code of the computation itself runs, on tensors that have a shape but no values (PyTorch's device `meta`). The count
therefore includes every network, loss, optimizer and tile as it is, and none of them needs a model of its memory.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Self, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

T = TypeVar("T")
META = torch.device("meta")
SCALAR = 0.01
"""Every number that the code reads from a tensor without values: a small area, distance or loss."""
FEW = 1024
"""Largest number of values that the code reads from a tensor at a time, such as the losses of a step."""
AUTOCAST = (torch.conv2d, torch.nn.functional.linear)
"""Functions that autocast carries out in bf16; it ignores tensors without values."""


def without_values(tensor: Tensor) -> Tensor:
    """Return a tensor with the shape, the strides and the type of another one, but without values."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)


def one_of_each(parts: Sequence[T], kind: Callable[[T], Hashable]) -> Iterator[T]:
    """Yield parts of a computation that differ in values only, such as tiles of an image: all of them.

    While costs are counted, only the first part of each kind is yielded; its memory traffic counts for all of them.

    Args:
        parts: the parts.
        kind: returns what determines the cost of a part.
    """
    counters = _active.counters[-1:]
    repetitions = Counter(map(kind, parts))
    for part in parts:
        times = repetitions[kind(part)]
        if not counters:
            yield part
        elif times:
            repetitions[kind(part)] = 0
            with counters[0].part(times, len(parts)):
                yield part


@contextmanager
def counted_as_files() -> Iterator[None]:
    """Count the tensors that the block creates as data in files, while costs are counted."""
    with ExitStack() as stack:
        for counter in _active.counters[-1:]:
            stack.enter_context(counter.files())
        yield


class CostCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context in which operations on tensors without values are counted instead of carried out.

    A tensor that is computed from one without values has none either. Every number that the code reads from such a
    tensor is small and positive, and every mask selects everything.

    Args:
        inputs: tensors without values that exist before.
        block_memory: returns the memory that a block of a number of bytes takes when it is requested now.
        parallel: number of the parts of `one_of_each` that are computed at a time.

    Raises:
        NotImplementedError, RuntimeError: in the context, for an operation that needs values.

    >>> image = without_values(torch.ones(1, 3, 100, 100))
    >>> with CostCounter([image]) as cost:
    ...     result = ((image + 1) * 2).sum()
    >>> cost.peak, cost.traffic  # the sum and its factor are both in memory for a moment
    (240000, 600004)
    """

    def __init__(
        self, inputs: Iterable[Tensor], block_memory: Callable[[int], int] = int, *, parallel: int = 1
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._block_memory, self._parallel = block_memory, parallel
        self.peak = 0
        """Largest memory of the tensors at any moment, in bytes, without the inputs."""
        self.traffic = 0
        """Bytes that the operations read and write; proportional to the time of similar computations."""
        self.part_peak = 0
        """Largest memory that one of the parts of `one_of_each` takes besides the tensors before it, in bytes."""
        self.peak_between_parts = 0
        """Largest memory of the tensors at any moment outside of these parts, in bytes."""
        self.most_parts = 0
        """Largest number of parts of one computation; 0 where there are none."""
        self.peak_in_files = 0
        """Largest size of the tensors of `counted_as_files` at any moment in bytes, which is not part of the memory."""
        self._saved_traffic = 0.0
        self._used = self._in_files = 0
        self._creates_files = False
        self._before_part: int | None = None
        self._storages: dict[int, weakref.ref[Any]] = {}
        self._inputs = [tensor.untyped_storage() for tensor in inputs]  # an identifier in use is not assigned again
        self._before = {id(storage) for storage in self._inputs}
        self._results: dict[tuple[Any, ...], Any] = {}
        self._autocast = _Autocast()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: the compiler of PyTorch is not in use, and to import it takes more than a second."""
        return False

    def __enter__(self) -> Self:
        """Begin to count."""
        super().__enter__()  # type: ignore[no-untyped-call]
        self._autocast.__enter__()  # type: ignore[no-untyped-call]
        _active.counters.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        """Carry out operations again."""
        _active.counters.remove(self)
        self._autocast.__exit__(*error)  # type: ignore[no-untyped-call]
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Count one operation."""
        if func.is_view:
            return func(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs))
        arguments = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        result = self._run(func, args, dict(kwargs or {}), arguments, leaves)
        for each in (*arguments, *_tensors(result)):
            self._add(each)
        self.peak = max(self.peak, self._used)
        if self._before_part is None:
            self.peak_between_parts = max(self.peak_between_parts, self._used)
        else:
            self.part_peak = max(self.part_peak, self._used - self._before_part)
        return result

    @property
    def elapsed_traffic(self) -> float:
        """The traffic, with that of parts which are computed at a time counted once: proportional to the time."""
        return self.traffic - self._saved_traffic

    def restart(self) -> int:
        """Count from now on only what is added to the tensors of now; return the memory of these in bytes."""
        used = self._used
        self._used = self.peak = self.peak_between_parts = self.part_peak = 0
        return used

    @contextmanager
    def part(self, times: int, parts: int) -> Iterator[None]:
        """Count the operations in the block as those of one of several equal parts.

        Args:
            times: number of equal parts, whose traffic is counted.
            parts: number of all parts of the computation.
        """
        self.most_parts = max(self.most_parts, parts)
        before, self._before_part = self.traffic, self._used
        yield
        self._before_part = None
        traffic = times * (self.traffic - before)
        self.traffic = before + traffic
        self._saved_traffic += traffic * (1 - math.ceil(parts / self._parallel) / parts)

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any], tensors: list[Tensor], leaves: list[Any]) -> Any:
        """Return the result of an operation; without values where one of its tensors has none."""
        if all(tensor.device != META for tensor in tensors):
            return func(*args, **kwargs)
        if func.name() in REPLACED:
            return REPLACED[func.name()](*args, **kwargs)
        if kwargs.get("device") is not None:
            kwargs["device"] = META
        if func._schema.is_mutable:
            return _written(func._schema, args, kwargs)
        key = (func, *map(_signature, leaves))
        if key not in self._results:
            result = func(*tree_map(_shape_only, args), **tree_map(_shape_only, kwargs))
            self._results[key] = tree_map(_factory, result)
        return tree_map(_made, self._results[key])

    def _add(self, tensor: Tensor) -> None:
        """Count the traffic of a tensor, and its storage if it is new."""
        size = tensor.numel() * tensor.element_size()
        self.traffic += size
        storage: Any = tensor if tensor.is_mkldnn else tensor.untyped_storage()  # oneDNN's own layout has no storage
        key = id(storage)
        if key not in self._storages and key not in self._before:
            size, in_file = size if tensor.is_mkldnn else storage.nbytes(), self._creates_files
            memory, data = (0, size) if in_file else (self._block_memory(size), 0)
            self._storages[key] = weakref.ref(storage, partial(self._remove, key, memory, data))
            self._used += memory
            self._in_files += data
            self.peak_in_files = max(self.peak_in_files, self._in_files)

    def _remove(self, key: int, memory: int, data: int, _: object) -> None:
        del self._storages[key]
        self._used -= memory
        self._in_files -= data

    @contextmanager
    def files(self) -> Iterator[None]:
        """Count the tensors that the block creates as data in files."""
        self._creates_files = True
        yield
        self._creates_files = False


class _Active(threading.local):
    """Counters of the current thread: other threads carry out their computations meanwhile."""

    def __init__(self) -> None:
        self.counters: list[CostCounter] = []


_active = _Active()


class _Autocast(TorchFunctionMode):
    """Convert the inputs of operations to bf16 as autocast does."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Carry out one function."""
        if func in AUTOCAST and args[0].device == META and any(map(torch.is_autocast_enabled, ("cpu", "cuda"))):
            args = (args[0].to(torch.bfloat16), *args[1:])
        return func(*args, **(kwargs or {}))


def _tensors(result: Any) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        return iter((result,))
    return (each for each in tree_leaves(result) if isinstance(each, Tensor))


def _shape_only(value: Any) -> Any:
    return without_values(value) if isinstance(value, Tensor) and value.device != META else value


def _written(schema: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Return the tensors that an operation writes to, as they are."""
    values = {**{each.name: value for each, value in zip(schema.arguments, args, strict=False)}, **kwargs}
    written = [
        values[each.name] for each in schema.arguments if each.alias_info is not None and each.alias_info.is_write
    ]
    return written[0] if len(schema.returns) == 1 else tuple(written)


def _signature(value: Any) -> Any:
    """Return what determines the shape of a result."""
    if not isinstance(value, Tensor):
        return type(value), value
    return value.shape, value.stride(), value.dtype


def _factory(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return partial(torch.empty_strided, value.shape, value.stride(), dtype=value.dtype, device=META)


def _made(value: Any) -> Any:
    return value() if isinstance(value, partial) else value


def _scalar(tensor: Tensor) -> float | int | bool:
    if tensor.dtype is torch.bool:
        return True
    return SCALAR if tensor.is_floating_point() else 1


def _copy(tensor: Tensor, *, device: torch.device | None = None, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    """Return a copy; the code is about to read one with few values on the CPU, which has values."""
    dtype = dtype or tensor.dtype
    if device is not None and device.type == "cpu" and tensor.numel() <= FEW:
        return torch.full(tensor.shape, SCALAR).to(dtype)
    return torch.empty_like(tensor, dtype=dtype, device=META)


def _reordered(weight: Tensor, *_: Any) -> Tensor:
    """Return a kernel in the memory layout of oneDNN."""
    return without_values(weight)


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: list[int], *_: Any) -> Tensor:
    """Return the output of a fused convolution of stride 1."""
    sides = zip(x.shape[-2:], weight.shape[-2:], padding, strict=True)
    height, width = (side + 2 * border - kernel + 1 for side, kernel, border in sides)
    shape = (len(x), len(weight), height, width)
    return torch.empty(shape, dtype=x.dtype, device=META, memory_format=torch.channels_last)


def _convolution_and_addend(x: Tensor, _: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    return _convolution(x, weight, *rest)


def _index(tensor: Tensor, indices: list[Tensor | None]) -> Tensor:
    positions: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype is torch.bool:
            positions += [torch.empty(index.numel(), dtype=torch.int64, device=META)] * index.ndim
        else:
            positions.append(_shape_only(index))
    return torch.ops.aten.index.Tensor(_shape_only(tensor), positions)  # type: ignore[no-any-return]


def _index_put(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


def _nonzero(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.numel(), tensor.ndim, dtype=torch.int64, device=META)


def _upsample(tensor: Tensor, size: list[int], *_: Any) -> Tensor:
    """Return a resized tensor; PyTorch derives the shape from 30 other operations, which takes 10 ms."""
    return torch.empty((*tensor.shape[:2], *size), dtype=tensor.dtype, device=META)


REPLACED: dict[str, Callable[..., Any]] = {
    "aten::_local_scalar_dense": _scalar,
    "aten::_to_copy": _copy,
    "aten::index.Tensor": _index,
    "aten::index_put_": _index_put,
    "aten::nonzero": _nonzero,
    "aten::_upsample_bicubic2d_aa": _upsample,
    "aten::upsample_bilinear2d": _upsample,
    "aten::upsample_linear1d": _upsample,
    "mkldnn::_reorder_convolution_weight": _reordered,
    "mkldnn::_convolution_pointwise": _convolution,
    "mkldnn::_convolution_pointwise.binary": _convolution_and_addend,
}
"""Operations that need values, that PyTorch does not carry out on shapes, or only slowly."""
