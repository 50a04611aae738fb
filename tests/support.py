"""Functions that several tests share."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from safetensors.torch import save_file
from torch import Tensor

from impasto.backbones import Backbone
from impasto.backbones.chain import Chain, Convolution, Layer, Pool
from impasto.backbones.narrow_vgg import LAYERS, RELUS
from impasto.config import check_settings
from impasto.images import load_image, resize
from impasto.losses import FeatureLoss
from impasto.methods import METHODS
from impasto.regions.subject import Subject
from impasto.samples import resolve
from impasto.types import Image, Step
from impasto.weights import MANIFEST

TIMEOUT = 600
"""Seconds to wait for another process: far more than it takes, since other programs can slow the machine."""
VGG_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4), "vgg19-caffe": (2, 2, 4, 4, 4)}
VGG_WIDTHS = (64, 128, 256, 512, 512)
RESNET_BLOCKS = (3, 4, 6, 3)
RANDOM_SIZE = 64
"""Pixels at which mean activations of networks with random weights are measured, in place of 256, to save time."""
# Index in torchvision's `features`, channels in, squeezed and of each of the two expansions.
FIRES = (
    *((3, 64, 16, 64), (4, 128, 16, 64), (6, 128, 32, 128), (7, 256, 32, 128)),
    *((9, 256, 48, 192), (10, 384, 48, 192), (11, 384, 64, 256), (12, 512, 64, 256)),
)


def random_state(name: str) -> dict[str, Tensor]:
    """Return random weights of a network of the manifest, with the keys and shapes of the published file.

    The classifiers, which are never read, are shortened.
    """
    generator = torch.Generator().manual_seed(sum(name.encode()))
    state: dict[str, Tensor] = {}

    def normal(*shape: int, gain: float = 1.0) -> Tensor:
        return gain * torch.randn(shape, generator=generator)

    def convolution(key: str, fan_out: int, fan_in: int, size: int, *, bias: bool) -> None:
        state[f"{key}.weight"] = normal(fan_out, fan_in, size, size, gain=(2 / (fan_in * size**2)) ** 0.5)
        if bias:
            state[f"{key}.bias"] = normal(fan_out, gain=0.1)

    def norm(key: str, width: int) -> None:
        state[f"{key}.weight"] = 0.7 + normal(width, gain=0.1).abs()
        state[f"{key}.bias"] = normal(width, gain=0.1)
        state[f"{key}.running_mean"] = normal(width, gain=0.1)
        state[f"{key}.running_var"] = 1 + normal(width, gain=0.1).abs()
        state[f"{key}.num_batches_tracked"] = torch.tensor(7)

    if name in VGG_BLOCKS:
        index, below = 0, 3
        for count, width in zip(VGG_BLOCKS[name], VGG_WIDTHS, strict=True):
            for _ in range(count):
                convolution(f"features.{index}", width, below, 3, bias=True)
                index, below = index + 2, width
            index += 1
        state["classifier.6.bias"] = normal(10)
    elif name == "squeezenet1_1":
        convolution("features.0", 64, 3, 3, bias=True)
        for index, below, squeezed, expanded in FIRES:
            convolution(f"features.{index}.squeeze", squeezed, below, 1, bias=True)
            convolution(f"features.{index}.expand1x1", expanded, squeezed, 1, bias=True)
            convolution(f"features.{index}.expand3x3", expanded, squeezed, 3, bias=True)
        state["classifier.1.bias"] = normal(10)
    else:
        assert name == "resnet50"
        convolution("conv1", 64, 3, 7, bias=False)
        norm("bn1", 64)
        below = 64
        for stage, count in enumerate(RESNET_BLOCKS, 1):
            width = 32 * 2**stage
            for block in (f"layer{stage}.{i}" for i in range(count)):
                if block.endswith(".0"):
                    convolution(f"{block}.downsample.0", 4 * width, below, 1, bias=False)
                    norm(f"{block}.downsample.1", 4 * width)
                for i, (fan_out, fan_in, size) in enumerate(
                    [(width, below, 1), (width, width, 3), (4 * width, width, 1)], 1
                ):
                    convolution(f"{block}.conv{i}", fan_out, fan_in, size, bias=False)
                    norm(f"{block}.bn{i}", fan_out)
                below = 4 * width
        state["fc.bias"] = normal(10)
    return state


def write_weights(name: str, folder: Path, state: dict[str, Tensor]) -> Path:
    """Write `state` to the first file name that the manifest lists for `name`, and return the path."""
    path = folder / MANIFEST[name].files[0].filename
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


LoadRandom = Callable[..., Backbone]


def features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return smooth random activations `(B, C, H, W)`."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (maps + maps.roll(1, -1) + maps.roll(1, -2)).to(dtype)


def between(loss: FeatureLoss, maps: Tensor, others: Tensor) -> float:
    """Return the distance between the statistics of two feature maps."""
    return loss.distance(loss.statistic(maps), loss.statistic(others)).item()


def shuffled(maps: Tensor) -> Tensor:
    """Return the feature vectors `(B, C, H, W)` in a random order of their positions."""
    positions = torch.randperm(maps[0, 0].numel(), generator=torch.Generator().manual_seed(1))
    return maps.flatten(2)[..., positions].view_as(maps)


@contextmanager
def without_root() -> Iterator[None]:
    """Run the block as the user nobody if the tests run as root, which may read and write every file."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return uniform noise in [0, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


RED = torch.tensor([0.8, 0.2, 0.1]).view(1, 3, 1, 1)
BLUE = torch.tensor([0.1, 0.2, 0.8]).view(1, 3, 1, 1)


def sample(name: str = "mosaic", size: int | None = 96) -> Image:
    """Return a bundled image with a longer side of `size` pixels, or in its own size."""
    return load_image(resolve(name), size=size)


def smooth_image(height: int, width: int, seed: int = 1) -> Image:
    """Return an image of large random areas of color."""
    return resize(noise(1, 3, 4, 5, seed=seed), (height, width))


def nearly_uniform(color: Tensor, height: int, width: int) -> Image:
    """Return an image of one color `(1, 3, 1, 1)` with a little noise."""
    return (color + 0.05 * noise(1, 3, height, width, seed=2)).clamp(0, 1)


def run_method(name: str, subject: Subject, **settings: Any) -> list[Step]:
    """Return all steps of a method with these settings on a subject."""
    method = METHODS[name]
    return list(method(check_settings(method.Config, name, settings)).run(subject))


def best_step(steps: Sequence[Step]) -> Step:
    """Return the step of the last stage with the smallest loss."""
    return min((step for step in steps if step.stage == steps[-1].stage), key=lambda step: step.loss)


def write_pictures(folder: Path, count: int = 4) -> Path:
    """Write pictures of smooth noise, 64x48 pixels each, as training data; return the new folder."""
    folder.mkdir()
    for i in range(count):
        levels = (noise(6, 8, 3, seed=i) * 255).to(torch.uint8).numpy()
        PIL.Image.fromarray(levels).resize((64, 48), PIL.Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


@contextmanager
def no_network_in_a_cycle() -> Iterator[None]:
    """Fail if the block leaves a network or weights, in a reference cycle or in a variable of a module."""
    before = {id(network) for network in _live_networks()}
    gc.disable()
    try:
        yield
        new = [network for network in _live_networks() if id(network) not in before]
        left = sorted(type(network).__name__ for network in new if not _is_without_weights(network))
    finally:
        gc.enable()
    assert left == [], left


def _live_networks() -> list[object]:
    kinds = Backbone | torch.nn.Module | torch.nn.Parameter
    return [each for each in gc.get_objects() if issubclass(type(each), kinds)]


def _is_without_weights(network: object) -> bool:
    """Return whether the object is a graph of operations: PyTorch keeps the last one that it traced, and no other."""
    return isinstance(network, torch.fx.GraphModule) and not [*network.parameters(), *network.buffers()]


def accessibility_faults(page: Any) -> dict[str, str]:
    """Return an element for each rule of axe-core that a page breaks.

    The classes of its package read the script in the encoding of the locale, which is ASCII in the C locale.
    """
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations)))
    page.evaluate((folder / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return {each["id"]: each["nodes"][0]["html"][:200] for each in found}


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["impasto.cli.folders", "impasto.experiments.runner", "impasto.training"])


def start_forks() -> None:
    """Start the process that `ForkedProcess` forks, so that workers of the package are forks of it, too."""
    multiprocessing.forkserver.ensure_running()


def workers_of(pid: int) -> list[int]:
    """Return the workers of a command on this machine: the children of the process that forks them."""
    servers = [child for child in children(pid) if "forkserver" in title(child)]
    return [worker for server in servers for worker in children(server)]


def children(pid: int) -> list[int]:
    """Return the processes that a process started, without those that end meanwhile."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found += map(int, file.read_text(encoding="ascii").split())
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process and its descendants started."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def title(pid: int) -> str:
    """Return the title of a process, as `ps` shows it; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").replace("\0", " ").strip()
    except OSError:
        return ""


class ForkedProcess:
    """`python -c CODE WORDS` with one thread, in a session of its own, as a fork of a process that imported PyTorch.

    To import PyTorch takes two seconds of CPU time in every other process. The methods are those of `Popen`.
    """

    def __init__(self, folder: Path, code: str, *words: str | Path, **environment: str) -> None:
        self._outputs = folder / "stdout.txt", folder / "stderr.txt"
        arguments = (code, [str(word) for word in words], {**os.environ, **environment}, self._outputs)
        self._process = FORKS.Process(target=_run_code, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end of the process; return its stdout and stderr."""
        self._process.join(timeout)
        assert self.returncode is not None, f"the process did not end within {timeout} s"
        out, err = (path.read_text() for path in self._outputs)
        return out, err


def _run_code(code: str, words: list[str], environment: dict[str, str], outputs: tuple[Path, Path]) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    for descriptor, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["-c", *words]
    exec(code, {"__name__": "__main__"})


def wide_chain(width: int = 8, seed: int = 0) -> Chain:
    """Return a teacher: random convolutions with the layer names of VGG-19 and `width` channels each."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[Layer] = []
    below = 3
    for name in LAYERS:
        if name in RELUS:
            weight = torch.randn(width, below, 3, 3, generator=generator) * (2 / (9 * below)) ** 0.5
            layers.append(Convolution(name, weight, torch.randn(width, generator=generator) * 0.1))
            below = width
        else:
            layers.append(Pool(name))
    return Chain(layers, pooling="max", device=torch.device("cpu"), dtype=torch.float32)
