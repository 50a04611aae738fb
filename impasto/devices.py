"""Set up a computation: the device, the precision, the settings of PyTorch, and the measurement of peak memory."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from impasto.config import Precision

CPU = torch.device("cpu")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
"""Folder of the control groups of Linux."""
PRECISION_NAMES: dict[torch.dtype, Precision] = {torch.float32: "fp32", torch.bfloat16: "bf16"}


_GPUS: dict[str, Callable[[], bool]] = {
    "cuda": lambda: torch.cuda.is_available(),
    "mps": lambda: torch.backends.mps.is_available(),
    "xpu": lambda: torch.xpu.is_available(),
}
"""Whether there is a GPU of each kind, in the order of `auto`."""


def pick_device(name: str | torch.device) -> torch.device:
    """Return the device of a name.

    Args:
        name: `cpu`, `cuda`, `cuda:1`, `mps`, `xpu` (Intel), `auto` (the first of CUDA, MPS, XPU and CPU that is
            available), or a device.

    Raises:
        ValueError: if the name is unknown or the device is not available.
    """
    name = str(name)
    if name == "auto":
        name = next((kind for kind, is_available in _GPUS.items() if is_available()), "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device: unknown device {name!r}; choose auto, cpu, cuda, cuda:1, mps or xpu") from None
    counts = {"cuda": torch.cuda.device_count, "xpu": torch.xpu.device_count}
    available = [kind for kind, is_available in _GPUS.items() if is_available()]
    is_missing = device.type in counts and (device.index or 0) >= counts[device.type]()
    if device.type != "cpu" and (device.type not in available or is_missing):
        choices = ", ".join(["auto", "cpu", *(kind for kind in available if kind != device.type)])
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
    if dtype is torch.bfloat16 and hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported"):  # a private operator
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype is torch.float32


@contextmanager
def torch_defaults(seed: int = 0, device: torch.device = CPU) -> Iterator[None]:
    """Compute with the default settings of PyTorch; a context manager, or a decorator of a function.

    Gradients are enabled, inference mode and autocast are disabled, and new tensors are float32 on the CPU. The global
    random generators of the CPU and of the device are seeded. At the end, the caller's settings and random state are
    restored.

    Args:
        seed: seed of the generators.
        device: device of the computation.

    >>> with torch.inference_mode(), torch_defaults():
    ...     torch.ones(1, requires_grad=True).exp().requires_grad
    True
    """
    with ExitStack() as stack:
        stack.enter_context(_caller)
        stack.enter_context(_seeded(seed, device))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device() != CPU:  # a device context slows down every function of PyTorch
            stack.enter_context(CPU)
        for kind in ("cpu", *_GPUS):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


class _Caller:
    """The settings that all threads share: saved by the first computation and restored by the last one.

    A process that was forked after a computation lacks the threads of OpenMP, and PyTorch would wait for them forever:
    it computes with one thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._dtype = torch.float32
        self._random = torch.empty(0)
        self._process: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._process not in (None, os.getpid()):
                torch.set_num_threads(1)
                self._running = 0
            self._process = os.getpid()
            if self._running == 0:
                self._dtype, self._random = torch.get_default_dtype(), torch.get_rng_state()
                torch.set_default_dtype(torch.float32)
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            if self._running == 0:
                torch.set_default_dtype(self._dtype)
                torch.set_rng_state(self._random)


_caller = _Caller()


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators of the CPU and of the device, and restore their state at the end."""
    generators = [torch.default_generator, *_generators(device)]
    states = [generator.get_state() for generator in generators]
    seed_generators(seed, device)
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed the global random generators of the CPU and of one device; `torch.manual_seed` seeds all devices."""
    for generator in [torch.default_generator, *_generators(device)]:
        generator.manual_seed(seed)


def _generators(device: torch.device) -> list[torch.Generator]:
    """Return the global generator of a GPU."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        return [torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]]
    if device.type == "xpu":
        torch.xpu.init()
        return [torch.xpu.default_generators[torch.xpu.current_device() if device.index is None else device.index]]
    has_generator = device.type == "mps" and hasattr(torch.mps, "_get_default_mps_generator")  # a private function
    return [torch.mps._get_default_mps_generator()] if has_generator else []


def reset_peak_memory() -> None:
    """Restart the measurement of `peak_memory_mib` where the system supports it (CUDA, Linux)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory in MiB: allocated memory of a CUDA device, else resident memory of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    # Linux keeps the peak of the parent process in `ru_maxrss` of a new program, so the process's own is read.
    with suppress(OSError):
        return _field("/proc/self/status", "VmHWM") / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, other systems KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def memory_in_use_mib(device: torch.device) -> float:
    """Return the current memory in MiB: allocated memory of a CUDA device, else resident memory of this process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    with suppress(OSError):
        return _field("/proc/self/status", "VmRSS") / 2**20
    return peak_memory_mib(device)


_T = TypeVar("_T")


@dataclass(frozen=True)
class MemoryShare:
    """The part of the memory of a machine that a worker process may use: with its own, those of all workers fit."""

    main: int | None = None
    """Bytes of the main memory; None: all that is free."""
    gpu: float = 1.0
    """Fraction of the memory of each GPU."""

    @classmethod
    def of(cls, workers: int) -> MemoryShare:
        """Return the share of one of several workers of this machine, of what is free before they start.

        It is not a fraction of what is free later: then a worker would have less while another one is at its peak.
        """
        free = free_memory(CPU)
        return cls(None if free is None else free // workers, 1 / workers)

    def start(self, function: Callable[[], _T]) -> _T:
        """Limit `free_memory` of this process to the share, then call a function."""
        global _share
        _share = self
        return function()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Limit `free_memory` of this process to the share within the block."""
        global _share
        before, _share = _share, self
        try:
            yield
        finally:
            _share = before


_share = MemoryShare()


def free_memory(device: torch.device) -> int | None:
    """Return the memory in bytes that the process can still use without swapping; None where it is not known.

    This is the smallest of what the system has, what the control groups of the process leave (containers, schedulers),
    what its own limit of address space leaves (`ulimit -v`), and what is left of its share, if it is one of several
    workers. A CUDA device has memory of its own.
    """
    if device.type == "cuda":
        allocated = torch.cuda.memory_allocated(device)
        free, total = torch.cuda.mem_get_info(device)
        left = min(free + torch.cuda.memory_reserved(device), int(_share.gpu * total)) - allocated
        return max(0, left)
    found: list[int] = []
    with suppress(OSError):
        found.append(_field("/proc/meminfo", "MemAvailable"))
    found += [_left_in_group(folder) for folder in _control_groups()]
    with suppress(ImportError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            found.append(limit - _field("/proc/self/status", "VmSize"))
    if _share.main is not None:
        found.append(_share.main - int(memory_in_use_mib(CPU) * 2**20))
    return max(0, min(found)) if found else None


def _field(path: str, name: str) -> int:
    """Return a value of a file of /proc in bytes; raise `OSError` where there is none."""
    for line in _system_file(path).splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{path} has no {name}")


def _system_file(path: str) -> str:
    """Return the text of a file of /proc; names of programs and groups in it may be in any encoding."""
    return Path(path).read_text(encoding="utf-8", errors="surrogateescape")


def _control_groups() -> list[Path]:
    """Return the folders of the control groups of this process with a limit of memory, and of those above them."""
    folders = []
    with suppress(OSError):
        for line in _system_file("/proc/self/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in ("", "memory"):  # version 2 has no name
                continue
            root = CONTROL_GROUPS / controllers
            group = root / path.lstrip("/")
            folders += [folder for folder in (group, *group.parents) if folder.is_relative_to(root)]
    return folders


def _left_in_group(folder: Path) -> int:
    """Return the bytes that the limit of a control group leaves, without the file cache, which can be given up."""
    for limit, usage, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):  # ValueError: the limit is "max"
            allowed, used = (int((folder / name).read_text()) for name in (limit, usage))
            statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return allowed - used + int(statistics.get(cache, 0))
    return sys.maxsize
