"""Install PyTorch into the environment of this interpreter: the build for the CPU unless a GPU can use the other one.

    python tools/install_torch.py [auto|cpu|cuda]

On Linux the ordinary registry has the build for NVIDIA GPUs, with several gigabytes of libraries. `auto` takes the
build for the CPU on Linux without an NVIDIA driver, if the index of PyTorch answers; `cpu` insists on it; `cuda` takes
what the ordinary registry has. macOS and Windows get their only or their small build there. Uses the standard library
alone, because nothing else is installed yet.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SECONDS = 5.0
"""Time in which the index has to answer."""
CHOICES = ("auto", "cpu", "cuda")
CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def has_nvidia_driver() -> bool:
    """Return whether this machine has an NVIDIA GPU with a driver."""
    command = shutil.which("nvidia-smi")
    return command is not None and subprocess.run([command, "-L"], capture_output=True, check=False).returncode == 0


def answers(url: str, seconds: float = SECONDS) -> bool:
    """Return whether a server sends a page within some seconds."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def pip_arguments(choice: str, index: str = CPU_INDEX) -> list[str]:
    """Return the arguments of `pip install`, and say on stderr what is installed and why.

    Args:
        choice: one of `CHOICES`.
        index: package index with builds for the CPU.

    Raises:
        SystemExit: if `cpu` is requested and the index does not answer.
    """
    arguments = ["-c", str(CONSTRAINTS), "torch"]
    if choice == "cuda" or (choice == "auto" and (sys.platform != "linux" or has_nvidia_driver())):
        return arguments
    if answers(f"{index}/torch/"):
        # The version with the suffix +cpu is higher than the same version without it, so that pip prefers it.
        return [*arguments, "--extra-index-url", index]
    if choice == "cpu":
        sys.exit(f"{index} does not answer within {SECONDS:.0f} s: try again, or use TORCH=cuda")
    print(
        f"{index} does not answer within {SECONDS:.0f} s. PyTorch comes from the ordinary registry, whose build may "
        "bring CUDA libraries of about 5 GB.",
        file=sys.stderr,
    )
    return arguments


def main(words: list[str]) -> None:
    """Install PyTorch."""
    choice = words[0] if words else "auto"
    if choice not in CHOICES:
        sys.exit(f"TORCH={choice}: choose from {', '.join(CHOICES)}")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    sys.exit(subprocess.run([*pip, *pip_arguments(choice)], check=False).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
