"""Reproduce the table of the published implementations: Adam and L-BFGS, from noise and from the content image.

Adam: 900 steps with lr 0.1 in ImageNet-normalized units (0.0226 of the pixel range). L-BFGS: 200 iterations of impasto
with lr 1; and 200 calls of the L-BFGS of PyTorch with up to 20 iterations each, as many programs call it. The losses
are those of the image saved with 8 bits, in fp32. Noise starts are averaged over several seeds.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/paper_table.py [torch]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch
from common import Pictures, gatys_objective, graded, load_chain, machine, pair, table
from torch import Tensor

from impasto.devices import pick_dtype
from impasto.objectives.objective import Objective
from impasto.optim.descent import descend, evaluate
from impasto.types import Image

IMAGENET_STD = 0.226
Optimizer = Callable[[Objective, Image], Image]


def adam(objective: Objective, start: Image) -> Image:
    """Return the image after 900 steps with lr 0.1 in ImageNet-normalized units."""
    lr = 0.1 * IMAGENET_STD
    return list(descend(objective, start, optimizer="adam", lr=lr, steps=900))[-1].image()


def lbfgs(objective: Objective, start: Image) -> Image:
    """Return the image after 200 iterations of impasto with lr 1."""
    return list(descend(objective, start, optimizer="lbfgs", lr=1.0, steps=200))[-1].image()


def torch_lbfgs(objective: Objective, start: Image) -> Image:
    """Return the image after 200 calls of torch.optim.LBFGS of up to 20 iterations; the closure clamps the pixels."""
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([pixels], lr=1)

    def closure() -> Tensor:
        with torch.no_grad():
            pixels.clamp_(0, 1)
        losses, gradient = evaluate(objective, pixels)
        pixels.grad = gradient
        return torch.tensor(sum(losses.values()))

    for _ in range(200):
        optimizer.step(closure)
    return pixels.detach().clamp(0, 1)


OPTIMIZERS: dict[str, Optimizer] = {
    "Adam, 900 steps": adam,
    "L-BFGS, 200 iterations": lbfgs,
    "torch L-BFGS, 200 calls of 20": torch_lbfgs,
}


def noise(like: Image, seed: int) -> Image:
    return torch.rand(like.shape, generator=torch.Generator().manual_seed(seed))


def row(
    name: str, start: str, objective: Objective, evaluator: Objective, pictures: Pictures, seeds: int
) -> tuple[list[str], float]:
    """Return a row of the table and its mean total loss."""
    starts = [pictures[0]] if start == "content" else [noise(pictures[0], seed) for seed in range(seeds)]
    losses, seconds = [], []
    for first in starts:
        started = time.perf_counter()
        image = OPTIMIZERS[name](objective, first)
        seconds.append(time.perf_counter() - started)
        losses.append(graded(evaluator, image))
    means = {kind: statistics.mean(each[kind] for each in losses) for kind in ("content", "style", "total")}
    totals = [each["total"] for each in losses]
    spread = f" ({min(totals):.2f} to {max(totals):.2f})" if len(totals) > 1 else ""
    cells = [f"{means['content']:.2f}", f"{means['style']:.2f}", f"{means['total']:.2f}{spread}"]
    return [name, start, *cells, f"{statistics.mean(seconds):.0f}"], means["total"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", default="tubingen")
    parser.add_argument("--style", default="starry_night")
    parser.add_argument("--backbone", default="vgg19-caffe")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "also", nargs="?", choices=["torch"], help="include torch.optim.LBFGS: 4000 evaluations per run"
    )
    options = parser.parse_args()
    pictures = pair(options.content, options.style, options.size)
    fast = load_chain(options.backbone, pick_dtype("auto", torch.device("cpu")))
    objective = gatys_objective(fast, pictures, 100.0)
    evaluator = gatys_objective(load_chain(options.backbone, torch.float32), pictures, 100.0)
    print(machine(), f"; {options.content} x {options.style}, {pictures[0].shape[-1]}x{pictures[0].shape[-2]}", sep="")
    names = [name for name in OPTIMIZERS if options.also or not name.startswith("torch")]
    rows, totals = [], {}
    for name in names:
        for start in ("noise", "content"):
            cells, totals[name, start] = row(name, start, objective, evaluator, pictures, options.seeds)
            rows.append(cells)
            print(" ".join(cells), flush=True)
    print(table(["optimizer", "start", "content", "style", "total", "seconds"], rows))
    for name in names:
        print(f"{name}: content start below noise start: {totals[name, 'content'] < totals[name, 'noise']}")
    for name, start in itertools.product(names[1:], ("noise", "content")):
        below = totals[name, start] < totals["Adam, 900 steps", start]
        print(f"{start} start: {name} below Adam: {below}")


if __name__ == "__main__":
    main()
