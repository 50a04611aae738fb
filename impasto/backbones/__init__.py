"""Frozen networks that compute features of pictures."""

from impasto.backbones.base import BACKBONES, Backbone, ChainBackbone, load_backbone, load_chain

__all__ = ["BACKBONES", "Backbone", "ChainBackbone", "load_backbone", "load_chain"]
