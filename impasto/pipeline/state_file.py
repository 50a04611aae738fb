"""Write and read files of nested values with tensors, without a copy of the tensors in memory.

The layout is that of safetensors: the length of the header, the header as JSON, and the bytes of the tensors. The
nested values, in which names stand for the tensors, are in its metadata. To read a file executes no code from it.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from impasto.files import reason, replaced_file

TYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "I64": torch.int64, "BOOL": torch.bool}
"""Types of tensors by their names in safetensors."""
MAX_HEADER = 100_000_000
"""Largest number of bytes of a header, as in safetensors."""
REFERENCE = "tensor"
"""Key of the only value of a dictionary that stands for a tensor."""


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write nested values, completely or not at all.

    Args:
        path: the file; an existing one is replaced.
        state: tensors, JSON values, and lists and dictionaries of them. A tensor that occurs twice is written once.

    Raises:
        ValueError: if the file cannot be written.
    """
    tensors = _Tensors()
    values = json.dumps(tensors.replaced(state))
    header: dict[str, Any] = {"__metadata__": {"state": values}}
    end = 0
    for name, tensor in tensors.found.items():
        kind = next(kind for kind, dtype in TYPES.items() if dtype is tensor.dtype)
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replaced_file(path, part=part_path(path).name) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.found.values():
            file.write(_bytes_of(tensor.detach().cpu().contiguous()).data)


def part_path(path: Path) -> Path:
    """Return the path of the temporary file that becomes a file of `write_state`.

    It may be large, and remains if the process is killed: so the next one replaces it.
    """
    return path.with_name(f"{path.name}.part")


def read_state(path: Path) -> dict[str, Any]:
    """Return what `write_state` wrote, on the CPU.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if the file is not one of these, or is incomplete.
    """
    with path.open("rb") as file:
        try:
            return _read(file)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:  # the last one of PyTorch
            raise ValueError(f"{str(path)!r} is not such a file: {reason(error)}") from error


def state_size(state: dict[str, Any]) -> int:
    """Return the bytes of the tensors among nested values."""
    tensors = _Tensors()
    tensors.replaced(state)
    return sum(each.numel() * each.element_size() for each in tensors.found.values())


def _read(file: BinaryIO) -> dict[str, Any]:
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise ValueError("it has no header")
    header = json.loads(file.read(length))
    size = os.fstat(file.fileno()).st_size - 8 - length
    tensors = {}
    values = json.loads(header.pop("__metadata__")["state"])
    if sum(_size(entry) for entry in header.values()) != size:
        raise ValueError("it is incomplete")
    for name, entry in header.items():
        tensors[name] = torch.empty(entry["shape"], dtype=TYPES[entry["dtype"]])
        file.readinto(_bytes_of(tensors[name]))  # type: ignore[attr-defined]
    state: dict[str, Any] = _restored(values, tensors)
    return state


def _size(entry: dict[str, Any]) -> int:
    count: int = math.prod(entry["shape"])
    return count * TYPES[entry["dtype"]].itemsize


def _bytes_of(tensor: Tensor) -> np.ndarray:
    """Return the memory of a contiguous tensor on the CPU."""
    memory: np.ndarray = tensor.flatten().view(torch.uint8).numpy()
    return memory


@dataclass(frozen=True, eq=False)
class _Tensors:
    """The tensors among nested values, by name."""

    found: dict[str, Tensor] = field(default_factory=dict)
    names: dict[tuple[Any, ...], str] = field(default_factory=dict)

    def replaced(self, value: Any) -> Any:
        """Return nested values with a reference in place of each tensor."""
        if isinstance(value, dict):
            return {key: self.replaced(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.replaced(each) for each in value]
        return {REFERENCE: self._name(value)} if isinstance(value, Tensor) else value

    def _name(self, tensor: Tensor) -> str:
        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        name = self.names.setdefault(key, str(len(self.names)))
        self.found.setdefault(name, tensor)
        return name


def _restored(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return nested values with the tensors in place of the references."""
    if isinstance(value, dict):
        if list(value) == [REFERENCE]:
            return tensors[value[REFERENCE]]
        return {key: _restored(each, tensors) for key, each in value.items()}
    return [_restored(each, tensors) for each in value] if isinstance(value, list) else value
