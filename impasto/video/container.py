"""Read video files with PyAV, the Python interface of FFmpeg."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.images import MAX_PIXELS
from impasto.video.extra import file_url, import_av
from impasto.video.hdr import HLG, PQ, hdr_to_srgb
from impasto.video.source import (
    BT601,
    BT709,
    BT2020,
    FULL,
    LIMITED,
    SCALING,
    ColorTags,
    Shape,
    SourceFrame,
    check_pixels,
)

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

UNSPECIFIED, RGB = 2, 0
"""Numbers of color matrices in ITU-T H.273."""
HD_HEIGHT = 720
"""Rows from which a clip without a color matrix has that of HD television; most players decide like this."""
CLIPS = (
    "mov,matroska,avi,mpeg,mpegts,mpegtsraw,ogg,asf,asf_o,flv,live_flv,jpegxl_anim,yuv4mpegpipe,gif,apng,webp,mxf,mxf_opatom,gxf,nut,"
    "dv,rm,ivf,h261,h263,h264,hevc,vvc,av1,obu,vc1,mpegvideo,m4v,mjpeg,dirac,dnxhd,mlv,nuv,wtv,ivr,flic,amv,roq"
)
"""Formats of FFmpeg that are opened. Playlists (hls, concat, dash, imf, sdp) open the files that they name: a clip from
someone else would select files of this machine."""
SOUND = "aac,ac3,aiff,amr,ape,caf,flac,mp3,wav,w64,wv"
"""Formats of FFmpeg that contain only sound, and are opened to say so."""
STILL = frozenset(
    ("image2", "jpeg_pipe", "jpegxl_pipe", "tiff_pipe", "bmp_pipe", "png_pipe", "webp_pipe", "avif", "heif")
)
"""Formats of FFmpeg that contain a single picture."""


class Container:
    """A video file.

    Args:
        path: the file.

    Raises:
        ValueError: if it cannot be read, is corrupt, or has no video.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open(path, "rb") as file:
            if not file.read(1):
                raise ValueError(f"{str(path)!r}: it is empty; give a video file")
        with self._open() as container:
            stream = self._stream(container)
            frame = self._first(container, stream)
            self.time_base = Fraction(stream.time_base or Fraction(1, 90_000))
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.origin = self._time(frame, 0)
            self._rotations = round(frame.rotation / 90) % 4  # counterclockwise
            is_full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
            self._range = FULL if is_full else LIMITED
            self.color = self._color(frame)
            ratio = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
            size = (frame.height, max(1, round(frame.width * ratio)))
            self.size: Shape = (size[1], size[0]) if self._rotations % 2 else size
            self.has_audio = bool(container.streams.audio)
            self.seconds = _seconds(container, stream)

    def frames(self, start: Fraction) -> Iterator[SourceFrame]:
        """Yield the frames; the file is decoded from the key frame before `start` on."""
        av = import_av()
        with self._open() as container:
            stream = self._stream(container)
            stream.thread_type = "AUTO"
            if start > 0:
                container.seek(int((start + self.origin) / self.time_base), stream=stream)
            reformatter = av.video.reformatter.VideoReformatter()  # one for all frames keeps its tables
            for i, frame in enumerate(self._decode(container, stream)):
                time = self._time(frame, i) - self.origin
                duration = frame.duration * self.time_base if frame.duration else 1 / self.rate
                yield SourceFrame(time, Fraction(duration), partial(self._pixels, frame, reformatter))

    def _open(self) -> InputContainer:
        av = import_av()
        options = {"format_whitelist": ",".join((CLIPS, SOUND, *STILL)), "max_pixels": str(MAX_PIXELS)}
        try:
            container: InputContainer = av.open(file_url(self._path), options=options)
        except av.error.ArgumentError as error:
            raise self._error("it is a playlist, or has another format that is not read") from error
        except av.error.FFmpegError as error:
            raise self._error(f"it is not a video file, or corrupt ({error.strerror})") from error
        if container.format.name.split(",")[0] in STILL:
            container.close()
            raise self._error("it is a single picture; stylize it with `impasto stylize`")
        return container

    def _stream(self, container: InputContainer) -> VideoStream:
        av = import_av()
        cover = av.stream.Disposition.attached_pic
        for stream in container.streams.video:
            if not stream.disposition & cover:
                check_pixels(self._path, stream.width, stream.height)
                stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # where the size is not known yet
                return stream
        raise self._error("it has no video, only sound" if container.streams.audio else "it has no video")

    def _first(self, container: InputContainer, stream: VideoStream) -> VideoFrame:
        for frame in self._decode(container, stream):
            return frame
        raise self._error("it has no frame that can be decoded")

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        av = import_av()
        try:
            for packet in container.demux(stream):
                yield from packet.decode()
        except av.error.FFmpegError as error:
            cause = "" if stream.width and stream.height else f", or its frames have more than {MAX_PIXELS} pixels"
            raise self._error(f"it is corrupt ({error.strerror}){cause}") from error

    def _time(self, frame: VideoFrame, index: int) -> Fraction:
        """Return the time of a frame in seconds; in a file without times it follows from the rate."""
        return index / self.rate if frame.pts is None else frame.pts * self.time_base

    def _color(self, frame: VideoFrame) -> ColorTags:
        if frame.color_trc in (PQ, HLG):
            return ColorTags()
        matrix = frame.colorspace
        if matrix in (UNSPECIFIED, RGB):
            matrix = BT709 if frame.height >= HD_HEIGHT or matrix == RGB else BT601
        return ColorTags(matrix, self._range, frame.color_primaries, frame.color_trc)

    def _pixels(self, frame: VideoFrame, reformatter: VideoReformatter, shape: Shape) -> np.ndarray:
        height, width = shape if self._rotations % 2 == 0 else (shape[1], shape[0])
        is_hdr = frame.color_trc in (PQ, HLG)
        options: dict[str, Any] = {} if frame.format.is_rgb else {"src_color_range": self._range}
        if not frame.format.is_rgb:
            options["src_colorspace"] = sws_matrix(BT2020 if is_hdr else self.color.matrix)
        converted = reformatter.reformat(
            frame,
            width,
            height,
            "rgb48le" if is_hdr else "rgb24",
            interpolation=SCALING,
            dst_color_range=FULL,
            **options,
        ).to_ndarray()
        pixels = hdr_to_srgb(converted, frame.color_trc) if is_hdr else converted
        return np.ascontiguousarray(np.rot90(pixels, self._rotations))

    def _error(self, text: str) -> ValueError:
        return ValueError(f"{str(self._path)!r}: {text}; give a clip such as MP4, MOV, WebM, MKV or GIF")


def _seconds(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return the duration that a file states, which for some formats is that of its longest stream."""
    if stream.duration and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration, import_av().time_base) if container.duration else None


def sws_matrix(matrix: int) -> int:
    """Return the matrix of libswscale for one of ITU-T H.273."""
    return {1: BT709, 4: 4, 7: 7, 9: BT2020, 10: BT2020}.get(matrix, BT601)
