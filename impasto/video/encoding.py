"""Encode frames and sound into one file with PyAV."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image

from impasto.files import reason
from impasto.video.clip import Clip, Frame
from impasto.video.container import sws_matrix
from impasto.video.extra import file_url, import_av
from impasto.video.sound import Sound
from impasto.video.source import BT709, FULL, LIMITED, SCALING, SRGB, ColorTags

if TYPE_CHECKING:
    from av.container import OutputContainer


@dataclass(frozen=True)
class ClipFormat:
    """How a suffix is encoded."""

    container: str
    """Name of the container format in FFmpeg."""
    codec: str
    pixels: str
    """Pixel format: `yuv420p` has half the resolution in its colors, and needs even sides."""
    options: dict[str, str]
    """Options of the codec."""
    time_base: Fraction | None = None
    """Unit of the times in seconds; None: that of the clip."""
    sound: str | None = None
    """Codec of sound that the container cannot store as it is; None: no sound."""

    @property
    def needs_even_sides(self) -> bool:
        """Return whether height and width must be even."""
        return self.pixels == "yuv420p"


H264 = {"crf": "17", "preset": "medium", "bf": "0"}
"""MP4 stores the distances of the frames in decoding order: with B-frames, their sum is not the duration of a clip with
irregular frame times."""
VP9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
FORMATS = {
    ".mp4": ClipFormat("mp4", "libx264", "yuv420p", H264, sound="aac"),
    ".m4v": ClipFormat("mp4", "libx264", "yuv420p", H264, sound="aac"),
    ".mov": ClipFormat("mov", "libx264", "yuv420p", H264, sound="aac"),
    ".webm": ClipFormat("webm", "libvpx-vp9", "yuv420p", VP9, Fraction(1, 1000), "libopus"),
    ".mkv": ClipFormat("matroska", "ffv1", "bgr0", {"level": "3", "slices": "4"}, Fraction(1, 1000), "flac"),
    ".gif": ClipFormat("gif", "gif", "pal8", {}, Fraction(1, 100)),
    ".apng": ClipFormat("apng", "apng", "rgb24", {"pred": "mixed"}, Fraction(1, 1000)),
}
"""Formats by suffix. The qualities are visually lossless: strokes show every artifact of stronger compression."""
CONTAINER_OPTIONS = {"mp4": {"movflags": "+faststart"}, "mov": {"movflags": "+faststart"}, "apng": {"plays": "0"}}
FINEST = 1_000_000
"""Largest denominator of a time base that is kept."""


def encode(
    path: Path, suffix: str, frames: Iterable[Frame], clip: Clip, on_frame: Callable[[int], object] | None
) -> None:
    """Write a file; arguments and errors are those of `write_clip`."""
    av = import_av()
    form = FORMATS[suffix]
    try:
        with av.open(
            file_url(path), "w", format=form.container, options=CONTAINER_OPTIONS.get(form.container, {})
        ) as file:
            last = _Encoder(file, form, clip).run(frames, on_frame)
        if form.container == "apng":
            _set_last_delay(path, last)
    except av.error.FFmpegError as error:
        raise ValueError(f"the {suffix} file cannot be written: {reason(error)}; choose another format") from error


class _Encoder:
    """Encoder of one file; the streams are declared when the size of the first frame is known."""

    def __init__(self, file: OutputContainer, form: ClipFormat, clip: Clip) -> None:
        self._file, self._form, self._clip = file, form, clip
        unit = clip.source.time_base if clip.fps is None else 1 / clip.fps
        self._unit = form.time_base or (unit if unit.denominator <= FINEST else Fraction(1, 90_000))
        self._color = clip.color if form.pixels == "yuv420p" else ColorTags(BT709, FULL, BT709, SRGB)
        self._durations: dict[int, int] = {}
        self._reformatter = import_av().video.reformatter.VideoReformatter()

    def run(self, frames: Iterable[Frame], on_frame: Callable[[int], object] | None) -> int:
        """Encode all frames, and the sound up to the time of each; return the duration of the last one in units."""
        stream: Any = None
        for count, frame in enumerate(frames, 1):
            if stream is None:
                stream = self._add_stream(frame)
                sound = Sound(self._clip, self._file, self._form.sound)
                convert = _with_palette if self._form.pixels == "pal8" else self._convert
            start, end = (round(each / self._unit) for each in (frame.time, frame.time + frame.duration))
            picture = convert(frame)
            picture.pts, picture.time_base, picture.duration = start, self._unit, max(1, end - start)
            self._durations[start] = picture.duration
            self._mux(stream, picture)
            sound.write(frame.time + frame.duration)
            if on_frame is not None:
                on_frame(count)
        self._mux(stream, None)
        sound.finish()
        return int(picture.duration)

    def _add_stream(self, frame: Frame) -> Any:
        form, (height, width) = self._form, frame.pixels.shape[:2]
        if form.needs_even_sides and (height % 2 or width % 2):
            raise ValueError(f"{form.codec} needs even sides, not {width}x{height} pixels; choose .mkv or another size")
        rate = 1 / frame.duration if frame.duration else Fraction(25)
        stream: Any = self._file.add_stream(form.codec, rate=rate.limit_denominator(100_000), options=form.options)
        stream.width, stream.height, stream.pix_fmt = width, height, form.pixels
        stream.time_base = stream.codec_context.time_base = self._unit
        if form.pixels == "yuv420p":
            context = stream.codec_context
            context.color_range, context.colorspace = self._color.range, self._color.matrix
            context.color_primaries, context.color_trc = self._color.primaries, self._color.transfer
        return stream

    def _mux(self, stream: Any, picture: Any) -> None:
        for packet in stream.encode(picture):
            if packet.pts in self._durations and packet.time_base == self._unit:
                packet.duration = self._durations.pop(packet.pts)
            self._file.mux(packet)

    def _convert(self, frame: Frame) -> Any:
        picture = import_av().VideoFrame.from_ndarray(frame.pixels, format="rgb24")
        if self._form.pixels != "yuv420p":
            return self._reformatter.reformat(picture, format=self._form.pixels)
        matrix = sws_matrix(self._color.matrix)
        options = {"dst_colorspace": matrix, "src_color_range": FULL, "dst_color_range": self._color.range or LIMITED}
        picture = self._reformatter.reformat(picture, format="yuv420p", interpolation=SCALING, **options)
        picture.color_range, picture.colorspace = self._color.range, self._color.matrix
        picture.color_primaries, picture.color_trc = self._color.primaries, self._color.transfer
        return picture


def _with_palette(frame: Frame) -> Any:
    """Return a frame with 256 colors of its own; FFmpeg's encoder of GIF alone would take 256 fixed ones."""
    reduced = PIL.Image.fromarray(frame.pixels).quantize(256)
    colors = np.zeros((256, 4), np.uint8)
    used = np.array(reduced.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colors[:, 0], colors[: len(used), 1:] = 255, used  # alpha comes first
    return import_av().VideoFrame.from_ndarray((np.array(reduced), colors), format="pal8")


def _set_last_delay(path: Path, milliseconds: int) -> None:
    """Set the time that the last frame of an APNG file is shown; FFmpeg repeats that of the frame before."""
    with path.open("r+b") as file:
        position, control = 8, 0
        while head := (file.seek(position), file.read(8))[1]:
            if head[4:] == b"fcTL":
                control = position
            position += 12 + int.from_bytes(head[:4], "big")
        if not control:  # a single frame is not an animation
            return
        file.seek(control + 4)
        chunk = bytearray(file.read(30))
        chunk[24:28] = struct.pack(">HH", min(milliseconds, 65535), 1000)
        file.seek(control + 4)
        file.write(chunk + struct.pack(">I", zlib.crc32(chunk)))
