"""Define the backbone `tiny`."""

from __future__ import annotations

import torch

from impasto.backbones.base import BACKBONES, ChainBackbone
from impasto.backbones.chain import Convolution, block_names

WIDTHS = (16, 32, 64, 96, 96)
SEED = 1508_06576  # arXiv number of Gatys et al.; fixed, so that the features never change


@BACKBONES.add("tiny")
class Tiny(ChainBackbone):
    """Narrow VGG with seeded random convolutions: no training and no weights file.

    Random features already represent texture (Ustyuzhaninov et al. 2016, arXiv 1606.00021).
    """

    summary = "narrow VGG with random weights, for tests and first experiments without any download"
    note = "stylized with random features of an untrained network; trained weights give far better results"
    blocks = (2, 2, 2, 2, 1)
    layers = block_names(blocks)
    content_layers = ("relu4_2",)
    style_layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    mean = (0.485, 0.456, 0.406)

    def convolutions(self) -> list[Convolution]:
        """Return random convolutions with the initialization of He et al. 2015."""
        generator = torch.Generator().manual_seed(SEED)
        convolutions, channels = [], 3
        for block, (count, width) in enumerate(zip(self.blocks, WIDTHS, strict=True), 1):
            for i in range(1, count + 1):
                weight = torch.randn(width, channels, 3, 3, generator=generator)
                weight *= (2 / (9 * channels)) ** 0.5
                convolutions.append(Convolution(f"relu{block}_{i}", weight, torch.zeros(width)))
                channels = width
        return convolutions
