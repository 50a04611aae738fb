"""List the pretrained weights: files, URLs, hashes, licenses, and the input that each network expects."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20
"""Bytes in a mebibyte; sizes are displayed in MiB."""

VGG_PAPER = "Simonyan & Zisserman, Very Deep Convolutional Networks (arXiv 1409.1556)"
CAFFE_INPUT = "BGR in [0, 255], minus (103.939, 116.779, 123.680)"
TORCHVISION_INPUT = "RGB in [0, 1], minus (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225)"
TORCHVISION_LICENSE = "BSD-3-Clause"


@dataclass(frozen=True)
class WeightFile:
    """A weight file: its name, size, URLs and hash.

    Raises:
        ValueError: if neither `sha256` nor `hash_prefix` is given.
    """

    filename: str
    """Name of the file, in the cache and in local folders."""
    size: int
    """Size in bytes; exact if `sha256` is given, otherwise to about 0.1 %, from the published size in MiB."""
    urls: tuple[str, ...] = ()
    """URLs, tried in this order; empty if the file is not published."""
    sha256: str | None = None
    """Complete hash in lower-case hexadecimal digits, if known."""
    hash_prefix: str | None = None
    """First digits of the SHA-256, as published in the names of `torch.hub` files."""

    def __post_init__(self) -> None:
        if not (self.sha256 or self.hash_prefix):
            raise ValueError(f"{self.filename}: give sha256 or hash_prefix")

    @property
    def expected(self) -> str:
        """Return the known digits of the SHA-256."""
        return self.sha256 or self.hash_prefix or ""

    def accepts(self, digest: str) -> bool:
        """Return whether a file with this SHA-256 (hexadecimal) is the right one."""
        return digest == self.sha256 if self.sha256 else digest.startswith(self.expected)


@dataclass(frozen=True)
class Weights:
    """A trained network and the files that contain it."""

    name: str
    """Name in settings and on the command line."""
    summary: str
    """Description in one line."""
    files: tuple[WeightFile, ...]
    """Interchangeable files with the same keys and input, best first; the first one available is used."""
    license: str
    """License of the weights."""
    reference: str
    """Paper of the network."""
    input_convention: str
    """Channel order, range, mean and scale of the input."""

    @property
    def to_fetch(self) -> WeightFile:
        """Return the file that is downloaded: the first published one, else the first one."""
        return next((file for file in self.files if file.urls), self.files[0])


def _torchvision(name: str, filename: str, mib: float, summary: str, reference: str) -> Weights:
    """Return the entry of a network of torchvision; its file name contains the first digits of its hash."""
    url = f"https://download.pytorch.org/models/{filename}"
    prefix = filename.removesuffix(".pth").rpartition("-")[2]
    file = WeightFile(filename, round(mib * MIB), (url,), hash_prefix=prefix)
    return Weights(name, summary, (file,), TORCHVISION_LICENSE, reference, TORCHVISION_INPUT)


_VGG19_CAFFE = Weights(
    name="vgg19-caffe",
    summary="VGG-19 as released by Oxford: used by Gatys et al. and most style transfer since",
    files=(
        # Convolutions only, in fp16. conv1_1..conv3_4 are exact; conv4_1..conv5_4 carry an 8-bit rounding
        # (relative weight error about 6 %), so results differ slightly from those of the file below.
        WeightFile(
            "vgg19-caffe.safetensors",
            40_051_944,
            sha256="d8c1acc09b65f261e250068020a204066ed9783d3888ca4d6463e115d25fc513",
        ),
        WeightFile(
            "vgg19-d01eb7cb.pth",
            round(548.1 * MIB),
            ("https://web.eecs.umich.edu/~justincj/models/vgg19-d01eb7cb.pth",),
            hash_prefix="d01eb7cb",
        ),
    ),
    license="CC BY 4.0",
    reference=VGG_PAPER,
    input_convention=CAFFE_INPUT,
)

MANIFEST: dict[str, Weights] = {
    weights.name: weights
    for weights in (
        _VGG19_CAFFE,
        _torchvision("vgg19", "vgg19-dcbb9e9d.pth", 548.1, "VGG-19 trained on ImageNet by torchvision", VGG_PAPER),
        _torchvision("vgg16", "vgg16-397923af.pth", 527.8, "VGG-16 trained on ImageNet by torchvision", VGG_PAPER),
        _torchvision(
            "squeezenet1_1",
            "squeezenet1_1-b8a52dc0.pth",
            4.7,
            "SqueezeNet 1.1: small and fast",
            "Iandola et al., SqueezeNet (arXiv 1602.07360)",
        ),
        _torchvision(
            "resnet50",
            "resnet50-11ad3fa6.pth",
            97.8,
            "ResNet-50, torchvision's second recipe (IMAGENET1K_V2)",
            "He et al., Deep Residual Learning (arXiv 1512.03385)",
        ),
    )
}
"""All known weights, under the names that settings and the command line use."""
