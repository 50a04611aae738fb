"""Find, download and read pretrained weights."""

from impasto.weights.download import download, sha256_of
from impasto.weights.manifest import MANIFEST, WeightFile, Weights
from impasto.weights.store import Check, cache_folder, fetch, find, is_offline, load, local_folders, table, verify

__all__ = [
    "MANIFEST",
    "Check",
    "WeightFile",
    "Weights",
    "cache_folder",
    "download",
    "fetch",
    "find",
    "is_offline",
    "load",
    "local_folders",
    "sha256_of",
    "table",
    "verify",
]
