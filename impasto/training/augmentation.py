"""What happens to training pictures, beyond being cropped: each takes its chances from a generator of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def zoomed(picture: Tensor, generator: torch.Generator) -> Tensor:
    """`(3, S, S)`: half the time a piece of it, enlarged up to twice: large pictures are smoother than small ones."""
    side = picture.shape[-1]
    if torch.rand((), generator=generator) < 0.5:
        return picture
    piece = int(torch.randint(side // 2, side, (), generator=generator))
    top, left = (int(torch.randint(side - piece + 1, (), generator=generator)) for _ in range(2))
    cut = picture[None, :, top : top + piece, left : left + piece]
    large: Tensor = F.interpolate(cut, size=(side, side), mode="bicubic", align_corners=False)[0]
    return large.clamp(0, 1)


def spoiled(picture: Tensor, generator: torch.Generator) -> Tensor:
    """`(3, S, S)`: at times noisy or over-sharpened, as pictures are while they are painted."""
    chance, amount = torch.rand(2, generator=generator).tolist()
    if chance < 0.3:
        picture = picture + 0.3 * amount * torch.randn(picture.shape, generator=generator).to(picture.device)
    elif chance < 0.5:
        soft = F.avg_pool2d(picture[None], 3, 1, 1, count_include_pad=False)[0]
        picture = picture + (1 + 3 * amount) * (picture - soft)
    return picture.clamp(0, 1)


def shifted(pictures: Sequence[Tensor], seeds: Tensor, stride: int) -> list[Tensor]:
    """The same pieces `(B, C, S - stride, S - stride)` of several `(B, C, S, S)`, at a random offset in each sample."""
    side = pictures[0].shape[-1] - stride
    chances = [torch.Generator().manual_seed(int(seed) ^ 1) for seed in seeds]
    places = [torch.randint(stride + 1, (2,), generator=chance).tolist() for chance in chances]
    return [
        torch.stack([each[:, y : y + side, x : x + side] for each, (y, x) in zip(batch, places, strict=True)])
        for batch in pictures
    ]
