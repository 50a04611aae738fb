"""The weights of a network as a file: fp16, and what one must know of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from impasto.files import write_atomically


def save_weights(network: nn.Module, file: Path, facts: dict[str, str]) -> Path:
    """Writes the weights and the facts, whole or not at all; returns the path."""
    state = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    write_atomically(file, save(state, metadata=facts))
    return file


def load_weights(network: nn.Module, file: Path) -> None:
    """Fills the network from a safetensors file.

    Raises `ValueError`, in one line, for a file that is missing, damaged, or of another network.
    """
    with _opened(file) as opened:
        state = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != wanted:
        raise ValueError(f"weights: {str(file)!r} holds another network, no {type(network).__name__}")
    network.load_state_dict(state)


def facts_of(file: Path) -> dict[str, str]:
    """What a file of weights says of itself. Errors as for `load_weights`."""
    with _opened(file) as opened:
        return dict(opened.metadata() or {})


def trained_for(file: Path) -> str:
    """The backbone that a file of weights belongs to. Errors as for `load_weights`."""
    return facts_of(file).get("backbone", "lite")


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with safe_open(file, framework="pt") as opened:
            yield opened
    except (OSError, SafetensorError) as error:
        raise ValueError(f"weights: {str(file)!r} cannot be read ({error}); give a file of `impasto train`") from None
