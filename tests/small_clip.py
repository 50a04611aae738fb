"""Make small clips for tests with PyAV."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

MILLISECOND = Fraction(1, 1000)


def moving_square(count: int = 6, height: int = 48, width: int = 64, step: int = 2) -> list[np.ndarray]:
    """Frames `(H, W, 3)` of a red square that moves to the right over brown blocks."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (height // 8 + 1, width // 8 + 1, 1)) + np.array([20, 0, -20])
    ground = coarse.repeat(8, 0).repeat(8, 1)[:height, :width].astype(np.uint8)
    frames = []
    for i in range(count):
        frame = ground.copy()
        frame[height // 4 : height // 2, 4 + step * i : 20 + step * i] = (230, 20, 20)
        frames.append(frame)
    return frames


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    milliseconds: Sequence[int] = (),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str | None = None,
    tags: Sequence[int] = (1, 1, 1, 1),
) -> Path:
    """Write a clip whose frames begin at the given times, 40 ms apart by default.

    Args:
        path: file; its suffix is the format.
        frames: frames `(H, W, 3)`, uint8.
        milliseconds: time of each frame, and the end of the last one.
        codec: video codec.
        pixels: pixel format.
        sound: codec of one second of a tone; None: no sound.
        tags: color matrix, range, primaries and transfer function.
    """
    times = list(milliseconds) or [40 * i for i in range(len(frames) + 1)]
    with av.open(str(path), "w") as file:
        options = {"crf": "10"} if codec == "libx264" else {}
        stream: Any = file.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        stream.time_base = stream.codec_context.time_base = MILLISECOND
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        track = file.add_stream(sound, rate=44100, layout="mono") if sound else None
        for i, pixels_of in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(pixels_of, format="rgb24").reformat(
                format=pixels, dst_colorspace=tags[0], src_color_range=2, dst_color_range=tags[1]
            )
            picture.pts, picture.time_base, picture.duration = times[i], MILLISECOND, times[i + 1] - times[i]
            for packet in stream.encode(picture):
                packet.duration = times[times.index(packet.pts) + 1] - packet.pts
                file.mux(packet)
        for packet in stream.encode(None):
            packet.duration = times[times.index(packet.pts) + 1] - packet.pts
            file.mux(packet)
        if track is not None:
            _write_tone(file, track)
    return path


def write_sound(path: Path, codec: str = "aac") -> Path:
    """Write a file with one second of a tone and no video."""
    with av.open(str(path), "w") as file:
        _write_tone(file, file.add_stream(codec, rate=44100, layout="mono"))
    return path


def rotate_flag(path: Path) -> Path:
    """Set the flag of an MP4 file that players rotate it clockwise by a quarter turn, as phones do."""
    data = bytearray(path.read_bytes())
    matrix = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    turned = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    place = data.index(matrix, data.index(b"tkhd"))  # the matrix of the track, not that of the movie
    data[place : place + len(matrix)] = turned
    path.write_bytes(data)
    return path


def duration_of(path: Path, kind: str) -> float:
    """Return the seconds of the video or of the sound of a file, by its packets."""
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(file.streams.get(**{kind: 0})) if p.pts is not None]
        first = min(p.pts for p in packets)
        return float((max(p.pts + (p.duration or 0) for p in packets) - first) * packets[0].time_base)


def _write_tone(file: Any, track: Any) -> None:
    samples = (8000 * np.sin(np.arange(44100) * 2 * np.pi * 440 / 44100)).astype(np.int16)[None]
    tone = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    tone.sample_rate, tone.pts, tone.time_base = 44100, 0, Fraction(1, 44100)
    resampler = av.AudioResampler(track.codec_context.format, "mono", 44100)
    for frame in resampler.resample(tone):
        file.mux(track.encode(frame))
    file.mux(track.encode(None))
