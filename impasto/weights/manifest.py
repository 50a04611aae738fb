"""Which pretrained weights there are: files, addresses, hashes, licenses, and the input each expects."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20
"""Bytes in a mebibyte; sizes shown to people are in MiB."""

VGG_PAPER = "Simonyan & Zisserman, Very Deep Convolutional Networks (arXiv 1409.1556)"
CAFFE_INPUT = "BGR in [0, 255], minus (103.939, 116.779, 123.680)"
TORCHVISION_INPUT = "RGB in [0, 1], minus (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225)"
TORCHVISION_LICENSE = "BSD-3-Clause"


@dataclass(frozen=True)
class WeightFile:
    """One file, where it is published, and how to know it again. `ValueError` without any hash."""

    filename: str
    size: int
    """Bytes; from the published MiB (so good to about 0.1 %), except where `sha256` is given: then exact."""
    urls: tuple[str, ...] = ()
    """Tried in this order; empty where the file is not published."""
    sha256: str | None = None
    """The whole hash in lower-case hex, where it is known."""
    hash_prefix: str | None = None
    """First hex digits of the SHA-256, as published in the names of `torch.hub` files."""

    def __post_init__(self) -> None:
        if not (self.sha256 or self.hash_prefix):
            raise ValueError(f"{self.filename} needs a sha256 or a hash_prefix")

    @property
    def expected(self) -> str:
        """As much of the SHA-256 as is known, in hex."""
        return self.sha256 or self.hash_prefix or ""

    def accepts(self, digest: str) -> bool:
        """Whether a file with this SHA-256 (hex) is the one that is meant."""
        return digest == self.sha256 if self.sha256 else digest.startswith(self.expected)


@dataclass(frozen=True)
class Weights:
    """One trained network under our name for it."""

    name: str
    summary: str
    files: tuple[WeightFile, ...]
    """Interchangeable: same keys, same input. The first that is at hand is used, so the best comes first."""
    license: str
    reference: str
    input_convention: str

    @property
    def to_fetch(self) -> WeightFile:
        """The file that a download brings: the first that is published (else the first)."""
        return next((file for file in self.files if file.urls), self.files[0])


def _torchvision(name: str, filename: str, mib: float, summary: str, reference: str) -> Weights:
    """Torchvision's release of a network; its file name carries the start of its hash."""
    url = f"https://download.pytorch.org/models/{filename}"
    prefix = filename.removesuffix(".pth").rpartition("-")[2]
    file = WeightFile(filename, round(mib * MIB), (url,), hash_prefix=prefix)
    return Weights(name, summary, (file,), TORCHVISION_LICENSE, reference, TORCHVISION_INPUT)


_VGG19_CAFFE = Weights(
    name="vgg19-caffe",
    summary="VGG-19 as Oxford released it: what Gatys et al. and most style transfer since have used",
    files=(
        # Convolutions only, in fp16. conv1_1..conv3_4 are exact; conv4_1..conv5_4 carry an 8-bit rounding
        # (relative weight error about 6 %), so a picture differs a little from one made with the file below.
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
        _torchvision("vgg19", "vgg19-dcbb9e9d.pth", 548.1, "VGG-19 as torchvision trained it on ImageNet", VGG_PAPER),
        _torchvision("vgg16", "vgg16-397923af.pth", 527.8, "VGG-16 as torchvision trained it on ImageNet", VGG_PAPER),
        _torchvision(
            "squeezenet1_1",
            "squeezenet1_1-b8a52dc0.pth",
            4.7,
            "SqueezeNet 1.1: small and quick",
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
"""All weights we know how to find, under the names that settings and the command line use."""
