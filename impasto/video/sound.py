"""Copy the sound of a clip into the file that is written."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from impasto.video.clip import Clip
from impasto.video.extra import file_url, import_av

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

OPUS_RATES = (48_000, 24_000, 16_000, 12_000, 8_000)
"""Samples per second that Opus can store."""


class Sound:
    """The sound of a clip, written in small parts between the frames.

    Args:
        clip: the clip; its first sound track is copied where the container can store its codec.
        file: container that is written; nothing is written yet.
        codec: codec that other sound is encoded with; None writes no sound.
    """

    def __init__(self, clip: Clip, file: OutputContainer, codec: str | None) -> None:
        self._clip, self._file = clip, file
        self._packets: Iterator[tuple[Fraction, Any]] = iter(())
        self._next: tuple[Fraction, Any] | None = None
        self._source: InputContainer | None = None
        if codec is None or not clip.source.has_audio:
            return
        self._source = import_av().open(file_url(clip.path))
        stream = self._source.streams.audio[0]
        if stream.codec_context.codec.canonical_name in file.supported_codecs:
            self._packets = self._copied(stream, file.add_stream_from_template(stream))
        else:
            self._packets = self._encoded(stream, codec)
        self._next = next(self._packets, None)

    def write(self, until: Fraction) -> None:
        """Write the sound until a time in seconds."""
        while self._next is not None and self._next[0] <= until:
            self._file.mux(self._next[1])
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write the rest of the sound."""
        end = self._clip.duration
        self.write(Fraction(10**9) if end is None else end)
        if self._source is not None:
            self._source.close()

    def _copied(self, source: Any, target: Any) -> Iterator[tuple[Fraction, Any]]:
        """Yield the packets as they are, with their times in seconds."""
        shift = round(self._begin / source.time_base)
        for packet in self._demuxed(source):
            time = packet.pts * packet.time_base - self._begin
            if self._clip.start > 0 and time + (packet.duration or 0) * packet.time_base <= 0:
                continue
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = target
            yield time, packet

    def _encoded(self, source: Any, codec: str) -> Iterator[tuple[Fraction, Any]]:
        """Yield the packets of another codec, with their times in seconds."""
        rate = source.codec_context.sample_rate
        if codec == "libopus":
            rate = next((each for each in reversed(OPUS_RATES) if each >= rate), OPUS_RATES[0])
        target: Any = self._file.add_stream(codec, rate=rate)
        target.layout = source.codec_context.layout
        target.codec_context.open()
        form = target.codec_context.format
        resampler = import_av().AudioResampler(form, target.layout, rate, target.codec_context.frame_size or None)
        yield from self._encoded_frames(source, target, resampler)

    def _encoded_frames(self, source: Any, target: Any, resampler: Any) -> Iterator[tuple[Fraction, Any]]:
        unit = Fraction(1, target.codec_context.sample_rate)
        samples = 0
        for packet in [*self._demuxed(source), None]:
            frames = source.codec_context.decode(packet) if packet is not None else [None]
            for frame in frames:
                if frame is not None and frame.pts is not None and frame.pts * frame.time_base < self._begin:
                    continue
                for resampled in resampler.resample(frame):
                    resampled.pts, resampled.time_base = samples, unit
                    samples += resampled.samples
                    yield from self._timed(target.encode(resampled))
        yield from self._timed(target.encode(None))

    def _timed(self, packets: Any) -> Iterator[tuple[Fraction, Any]]:
        for packet in packets:
            yield Fraction(packet.pts or 0) * packet.time_base, packet

    def _demuxed(self, source: Any) -> Iterator[Any]:
        """Yield the packets of the sound from the start of the clip to its end."""
        assert self._source is not None
        end = None if self._clip.duration is None else self._begin + self._clip.duration
        if self._clip.start > 0:
            self._source.seek(int(self._begin / source.time_base), stream=source)
        for packet in self._source.demux(source):
            if packet.pts is None:
                continue
            if end is not None and packet.pts * packet.time_base >= end:
                return
            yield packet

    @property
    def _begin(self) -> Fraction:
        """Time of the start of the clip in seconds, on the clock of its file."""
        return self._clip.source.origin + self._clip.start
