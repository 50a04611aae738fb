"""Select the device and the precision of the computation, and measure peak memory."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import torch

from impasto.config import Precision

PRECISION_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


def pick_device(name: str) -> torch.device:
    """Return the device of a name.

    Args:
        name: `cpu`, `cuda`, `cuda:1`, `mps` or `auto` (the first of CUDA, MPS and CPU that is available).

    Raises:
        ValueError: if the name is unknown or the device is not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device: unknown device {name!r}; choose auto, cpu, cuda, cuda:1 or mps") from None
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        choices = ", ".join(["auto", *(kind for kind in available if available[kind] and kind != device.type)])
        raise ValueError(f"device: this machine has no device {name!r}; choose {choices}")
    return device


def pick_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the number type of the convolutions.

    Args:
        precision: `fp32`, `bf16` or `auto` (bf16 if the processor computes in it natively, else fp32).
        device: the device that will compute.
    """
    if precision == "auto":
        return torch.bfloat16 if _has_native_bf16(device) else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _has_native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu" and has_onednn(torch.bfloat16):
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # newer than torch 2.9
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def has_onednn(dtype: torch.dtype) -> bool:
    """Return whether oneDNN convolves this number type on this CPU; PyTorch's own kernels are many times slower."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype is torch.float32 or (dtype is torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def reset_peak_memory() -> None:
    """Restart the measurement of `peak_memory_mib` where the system supports it (CUDA, Linux)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory in MiB: allocated memory of a CUDA device, else resident memory of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, other systems KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
