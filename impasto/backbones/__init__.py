"""Frozen networks that compute features of images."""

from impasto.backbones.base import BACKBONES, Backbone, ChainBackbone, load_backbone, load_chain

__all__ = ["BACKBONES", "Backbone", "ChainBackbone", "load_backbone", "load_chain"]
