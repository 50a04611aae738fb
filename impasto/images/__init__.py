"""Read, write and resize pictures."""

from impasto.files import write_atomically
from impasto.images.base import MAX_PIXELS, MIN_SIDE, Picture, Source, decoding, load_image, open_picture, read_record
from impasto.images.encoding import check_output, save_image
from impasto.images.pixels import Bits, blur, fit, quantize, resize

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "Bits",
    "Picture",
    "Source",
    "blur",
    "check_output",
    "decoding",
    "fit",
    "load_image",
    "open_picture",
    "quantize",
    "read_record",
    "resize",
    "save_image",
    "write_atomically",
]
