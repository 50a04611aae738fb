"""Read, write and resize images."""

from impasto.images.base import (
    MAX_PIXELS,
    MIN_SIDE,
    Picture,
    Source,
    load_image,
    open_picture,
    read_depth_and_location,
    read_record,
)
from impasto.images.decoding import read_size
from impasto.images.encoding import (
    check_format,
    check_output,
    check_shape,
    encode_image,
    replace_record,
    save_image,
    to_pil,
    write_image,
)
from impasto.images.in_files import (
    LARGE_PIXELS,
    empty_image,
    folder_of_large_images,
    is_large,
    large_images_in,
    on_device,
    release_pages,
    space_remedy,
)
from impasto.images.luminance import luminance
from impasto.images.pixels import Bits, bicubic, bicubic_gradient, blur, fit, quantize, resize
from impasto.images.transparency import fill_hidden, flatten, visible_part

__all__ = [
    "LARGE_PIXELS",
    "MAX_PIXELS",
    "MIN_SIDE",
    "Bits",
    "Picture",
    "Source",
    "bicubic",
    "bicubic_gradient",
    "blur",
    "check_format",
    "check_output",
    "check_shape",
    "empty_image",
    "encode_image",
    "fill_hidden",
    "fit",
    "flatten",
    "folder_of_large_images",
    "is_large",
    "large_images_in",
    "load_image",
    "luminance",
    "on_device",
    "open_picture",
    "quantize",
    "read_depth_and_location",
    "read_record",
    "read_size",
    "release_pages",
    "replace_record",
    "resize",
    "save_image",
    "space_remedy",
    "to_pil",
    "visible_part",
    "write_image",
]
