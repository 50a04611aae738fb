from __future__ import annotations

import torch

from impasto.backbones.base import BACKBONES, ChainBackbone
from impasto.backbones.chain import Convolution, block_names

WIDTHS = (16, 32, 64, 96, 96)
SEED = 1508_06576  # arXiv number of the method, so that the features never change


@BACKBONES.add("tiny")
class Tiny(ChainBackbone):
    """VGG's shape, narrow, with seeded random convolutions: nothing learned, nothing to fetch.

    Random features already carry texture (Ustyuzhaninov et al. 2016, arXiv 1606.00021).
    """

    summary = "random convolutions, nothing learned: for tests, and for a first look without any weights"
    note = "painted with random features: nothing was learned; real weights paint far better"
    blocks = (2, 2, 2, 2, 1)
    layers = block_names(blocks)
    content_layers = ("relu4_2",)
    style_layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    mean = (0.485, 0.456, 0.406)

    def convolutions(self) -> list[Convolution]:
        generator = torch.Generator().manual_seed(SEED)
        convolutions, channels = [], 3
        for block, (count, width) in enumerate(zip(self.blocks, WIDTHS, strict=True), 1):
            for i in range(1, count + 1):
                weight = torch.randn(width, channels, 3, 3, generator=generator)
                weight *= (2 / (9 * channels)) ** 0.5  # He et al. 2015
                convolutions.append(Convolution(f"relu{block}_{i}", weight, torch.zeros(width)))
                channels = width
        return convolutions
