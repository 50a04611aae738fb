"""Examine the machine and the installation: `impasto doctor`."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from impasto.cli.flags import CommandParser, add_json
from impasto.cli.tables import text_of
from impasto.devices import PRECISION_NAMES, pick_device, pick_dtype
from impasto.weights import cache_folder, is_offline, table


def doctor(arguments: list[str]) -> int:
    """Run `impasto doctor`."""
    parser = CommandParser("doctor")
    add_json(parser)
    options = parser.parse(arguments)
    facts = examine()
    if options.json:
        print(json.dumps(facts, indent=1))
        return 0
    for name, value in facts.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for i, (key, each) in enumerate(rows):
            print(f"{'' if i else name.replace('_', ' '):14}  {f'{key}: ' if key else ''}{text_of(each)}")
    return 0


def examine() -> dict[str, Any]:
    """Return versions, device, speed, local weights, extras and cache of this machine, as JSON values."""
    device = pick_device("auto")
    return {
        "versions": {
            "impasto": importlib.metadata.version("impasto"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "system": platform.platform(),
        },
        "device": str(device),
        "native_bf16": pick_dtype("auto", device) is torch.bfloat16,
        "threads": torch.get_num_threads(),
        "gflops": {name: round(_gflops(device, dtype)) for dtype, name in PRECISION_NAMES.items()},
        "weights": {str(row["name"]): row["path"] for row in table()},
        "extras": _extras(),
        "cache": {"folder": str(cache_folder()), "writable": _is_writable(cache_folder())},
        "offline": is_offline(),
    }


@torch.inference_mode()
def _gflops(device: torch.device, dtype: torch.dtype, seconds: float = 0.3) -> float:
    """Measure the speed of a channels-last 3x3 convolution of 128 channels as in VGG, in 10^9 operations per second."""
    x = torch.ones(1, 128, 128, 128, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    kernel = torch.ones(128, 128, 3, 3, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    F.conv2d(x, kernel, padding=1)  # warm up
    _synchronize(device)
    started, runs = time.perf_counter(), 0
    while runs < 3 or time.perf_counter() - started < seconds:
        F.conv2d(x, kernel, padding=1)
        _synchronize(device)
        runs += 1
    return 2e-9 * runs * x.numel() * 128 * 9 / (time.perf_counter() - started)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _extras() -> dict[str, str]:
    """Return for each extra of the metadata of the package `installed`, or the command that installs it."""
    is_missing: dict[str, bool] = {}
    for requirement in importlib.metadata.requires("impasto") or ():
        if found := re.match(r"([\w.-]+).*extra == ['\"](\w+)", requirement):
            package, extra = found.groups()
            is_missing[extra] = is_missing.get(extra, False) or not _is_installed(package)
    is_missing.pop("dev", None)
    return {extra: f"pip install impasto[{extra}]" if lacks else "installed" for extra, lacks in is_missing.items()}


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _is_writable(folder: Path) -> bool:
    """Return whether files can be created in a folder or in its first existing parent; creates one for a moment."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:  # permissions alone do not tell: a file system may be read-only or full, and root passes every check of them
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".impasto-") as file:
            file.write(b" ")
    except OSError:
        return False
    return True
