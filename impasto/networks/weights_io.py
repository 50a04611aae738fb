"""Write and read the weights of a trained network: a safetensors file in fp16 with metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from impasto.files import write_atomically


def save_weights(network: nn.Module, file: Path, metadata: dict[str, str]) -> Path:
    """Write the weights in fp16 with metadata; the file appears complete or not at all.

    Returns:
        The path of the file.
    """
    return save_tensors(network.state_dict(), file, metadata)


def save_tensors(tensors: Mapping[str, Tensor], file: Path, metadata: dict[str, str]) -> Path:
    """Write some weights as `save_weights` does."""
    halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    write_atomically(file, _with_sorted_header(save(halves, metadata=metadata)))
    return file


def _with_sorted_header(data: bytes) -> bytes:
    """Return a safetensors file with a sorted header: the library writes the metadata in a random order."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors are aligned to 8 bytes
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def load_weights(network: nn.Module, file: Path, base: Path | None = None) -> None:
    """Load the weights of a network from a safetensors file.

    Args:
        network: the network.
        file: the file.
        base: file of the tensors that are not in `file`.

    Raises:
        ValueError: in one line, for a file that is missing or corrupt, or that contains the weights of another network.
    """
    state = {name: tensor.float() for each in (base, file) if each for name, tensor in read_tensors(each)}
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != expected:
        raise ValueError(
            f"weights: {str(file)!r} contains another network, not {type(network).__name__}; "
            "give a file that `impasto train` wrote for this method"
        )
    network.load_state_dict(state)


def read_tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    """Return the weights of a file in fp16 with their names, one at a time. Raises the errors of `load_weights`."""
    with _opened(file) as opened:
        for name in opened.keys():  # noqa: SIM118
            yield name, opened.get_tensor(name)


def read_metadata(file: Path) -> dict[str, str]:
    """Return the metadata of a weights file. Raises the errors of `load_weights`."""
    with _opened(file) as opened:
        return dict(opened.metadata() or {})


def backbone_of(file: Path) -> str:
    """Return the name of the backbone that the network of a weights file was trained with.

    Raises the errors of `load_weights`.
    """
    return read_metadata(file).get("backbone", "lite")


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    if file.is_dir():
        raise ValueError(f"weights: {str(file)!r} cannot be read (it is a folder); give a file of `impasto train`")
    try:
        with safe_open(file, framework="pt") as opened:
            yield opened
    except (OSError, SafetensorError) as error:
        raise ValueError(f"weights: {str(file)!r} cannot be read ({error}); give a file of `impasto train`") from None
