"""Clips are read upright with their times, and written with times, sound and colors."""

from __future__ import annotations

import os
import re
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from small_clip import duration_of, moving_square, rotate_flag, write_sound, write_video

from impasto.config import check_settings
from impasto.video import Clip, Frame, container, open_clip, source, write_clip
from impasto.video.encoding import FORMATS
from impasto.video.mask_clips import open_mask_clips
from impasto.video.settings import VideoSettings

VARIABLE = (0, 33, 100, 117, 300, 1000, 1037)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(int) - second).mean())


def times_of(clip: Clip) -> list[int]:
    """The times of all frames, and the end, in milliseconds."""
    frames = list(clip.frames())
    return [round(1000 * each) for each in [*(f.time for f in frames), frames[-1].time + frames[-1].duration]]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_video_file_is_read_with_its_pixels_and_its_variable_frame_times(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    clip = open_clip(write_video(tmp_path / f"a{suffix}", moving_square(), milliseconds=VARIABLE, codec=codec))
    assert clip.size == (48, 64)
    assert times_of(clip)[:-1] == list(VARIABLE[:-1])
    assert max(difference(f.pixels, x) for f, x in zip(clip.frames(), moving_square(), strict=True)) < 4


def test_a_rotation_flag_is_applied(tmp_path: Path) -> None:
    clip = open_clip(rotate_flag(write_video(tmp_path / "phone.mp4", moving_square(1))))
    assert clip.size == (64, 48)
    assert difference(next(clip.frames()).pixels, np.rot90(moving_square(1)[0], -1)) < 4


@pytest.mark.parametrize(("suffix", "options"), [(".gif", {}), (".webp", {"lossless": True}), (".apng", {})])
def test_an_animated_image_is_read_with_its_durations(tmp_path: Path, suffix: str, options: dict[str, bool]) -> None:
    pictures = [PIL.Image.fromarray(frame) for frame in moving_square(3)]
    path, durations = tmp_path / f"a{suffix}", [40, 100, 70]
    kind = {".apng": "PNG"}.get(suffix)
    pictures[0].save(path, kind, save_all=True, append_images=pictures[1:], duration=durations, **options)
    clip = open_clip(path)
    assert times_of(clip) == [0, 40, 140, 210]
    assert max(difference(f.pixels, x) for f, x in zip(clip.frames(), moving_square(3), strict=True)) < 3


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for i, frame in enumerate(moving_square(3)):
        PIL.Image.fromarray(frame).save(tmp_path / f"frame{9 + i}.png")
    clip = open_clip(tmp_path, fps=10)
    assert times_of(clip) == [0, 100, 200, 300]
    assert [difference(f.pixels, x) for f, x in zip(clip.frames(), moving_square(3), strict=True)] == [0, 0, 0]


@pytest.mark.parametrize("start", [0.09, 0.1, 0.2])
def test_a_part_has_the_frames_that_are_shown_in_it(tmp_path: Path, start: float) -> None:
    path = write_video(tmp_path / "a.mp4", moving_square(12))
    whole, part = list(open_clip(path).frames()), list(open_clip(path, start=start, duration=0.2).frames())
    first = int(start / 0.04)
    assert [difference(x.pixels, y.pixels) for x, y in zip(part, whole[first:], strict=False)] == [0] * len(part)
    assert sum(frame.duration for frame in part) == pytest.approx(0.2)


def test_a_constant_frame_rate_repeats_and_leaves_out_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_square(), milliseconds=VARIABLE)
    assert times_of(open_clip(path, fps=10)) == [*range(0, 1200, 100)]


def test_a_part_without_a_frame_gives_one_line_and_a_short_one_a_frame(tmp_path: Path) -> None:
    pictures = [PIL.Image.fromarray(frame) for frame in moving_square(2)]
    path = tmp_path / "in.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    text = "in.gif' has no frame between second 5 and its end at 0.08 s; choose an earlier start"
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        next(open_clip(path, start=5).frames())
    assert "--" not in str(caught.value)
    assert len(list(open_clip(path, start=0.05, duration=1e-6, fps=0.001).frames())) == 1


@pytest.mark.parametrize(("name", "value"), [("fps", 1e-7), ("duration", 1e-9)])
def test_a_rate_or_a_duration_near_zero_gives_one_line(tmp_path: Path, name: str, value: float) -> None:
    path = write_video(tmp_path / "in.mp4", moving_square(2))
    with pytest.raises(ValueError, match=f"{name}: .* too small; give at least"):
        open_clip(path, **{name: value})
    with pytest.raises(ValueError, match=f"{name}: .* greater than or equal to"):
        check_settings(VideoSettings, "video", {name: value})


def test_ten_bits_and_full_range_are_read_with_the_right_colors(tmp_path: Path) -> None:
    ten = write_video(tmp_path / "ten.mkv", moving_square(1), codec="ffv1", pixels="yuv420p10le")
    full = write_video(tmp_path / "full.mkv", moving_square(1), codec="ffv1", pixels="yuv444p", tags=(5, 2, 1, 1))
    for path in (ten, full):
        assert difference(next(open_clip(path).frames()).pixels, moving_square(1)[0]) < 3


def test_an_hdr_clip_is_converted_to_srgb(tmp_path: Path) -> None:
    white = np.full((48, 64, 3), 148, np.uint8)  # 203 cd/m2, the white of a page, in the transfer function PQ
    path = write_video(tmp_path / "hdr.mkv", [white], codec="ffv1", pixels="yuv420p10le", tags=(9, 1, 9, 16))
    clip = open_clip(path)
    assert next(clip.frames()).pixels.mean() == pytest.approx(255, abs=8)
    assert clip.color.transfer == 1


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_written_clip_has_the_frames_and_times_of_the_clip(tmp_path: Path, suffix: str) -> None:
    clip = open_clip(write_video(tmp_path / "in.mkv", moving_square(), milliseconds=VARIABLE, codec="ffv1"))
    written = open_clip(write_clip(tmp_path / f"out{suffix}", clip.frames(), clip))
    tolerance = 5 if suffix == ".gif" else 1  # a GIF stores hundredths of a second
    assert np.abs(np.subtract(times_of(written), VARIABLE)).max() <= tolerance
    assert max(difference(a.pixels, b.pixels) for a, b in zip(written.frames(), clip.frames(), strict=True)) < 4


def test_lossless_formats_keep_every_pixel(tmp_path: Path) -> None:
    clip = open_clip(write_video(tmp_path / "in.mkv", moving_square(), codec="ffv1"))
    for name in ("out.mkv", "out.apng", "folder"):
        written = open_clip(write_clip(tmp_path / name, clip.frames(), clip))
        assert all((a.pixels == b.pixels).all() for a, b in zip(written.frames(), clip.frames(), strict=True)), name


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (6, 1, 6, 6), (5, 2, 1, 1)])
def test_the_colors_and_their_tags_are_kept(tmp_path: Path, tags: tuple[int, ...]) -> None:
    plain = np.full((48, 64, 3), (200, 60, 30), np.uint8)
    clip = open_clip(write_video(tmp_path / "in.mp4", [plain] * 3, tags=tags))
    written = open_clip(write_clip(tmp_path / "out.mp4", clip.frames(), clip))
    assert written.color == clip.color
    assert (clip.color.matrix, clip.color.range, clip.color.primaries, clip.color.transfer) == tags
    assert difference(next(written.frames()).pixels, plain) < 3


@pytest.mark.parametrize(("source", "target", "codec"), [(".mp4", ".mp4", "aac"), (".mp4", ".webm", "opus")])
def test_the_sound_is_copied_or_encoded_for_the_format(tmp_path: Path, source: str, target: str, codec: str) -> None:
    path = write_video(tmp_path / f"in{source}", moving_square(25), sound="aac")
    clip = open_clip(path)
    written = write_clip(tmp_path / f"out{target}", clip.frames(), clip)
    with av.open(str(written)) as file:
        assert file.streams.audio[0].codec_context.name == codec
    assert duration_of(written, "audio") == pytest.approx(duration_of(path, "audio"), abs=0.03)
    if codec == "aac":
        with av.open(str(path)) as before, av.open(str(written)) as after:
            packets = [[bytes(p) for p in file.demux(audio=0) if p.size] for file in (before, after)]
        assert packets[0] == packets[1]


def test_the_sound_of_a_part_begins_with_the_part(tmp_path: Path) -> None:
    path = write_video(tmp_path / "in.mp4", moving_square(25), sound="aac")
    clip = open_clip(path, start=0.4, duration=0.4)
    written = write_clip(tmp_path / "out.mp4", clip.frames(), clip)
    assert duration_of(written, "audio") == pytest.approx(0.4, abs=0.05)
    assert duration_of(written, "video") == pytest.approx(0.4, abs=0.001)


def test_odd_sides_are_kept_by_the_formats_that_can_store_them(tmp_path: Path) -> None:
    clip = open_clip(write_video(tmp_path / "in.mkv", moving_square(2, 47, 63), codec="ffv1", pixels="bgr0"))
    assert open_clip(write_clip(tmp_path / "out.mkv", clip.frames(), clip)).size == (47, 63)
    with pytest.raises(ValueError, match="needs even sides, not 63x47"):
        write_clip(tmp_path / "out.mp4", clip.frames(), clip)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["in.mkv", "out.mkv"]


def bad_clips(folder: Path) -> dict[str, Path]:
    """Files that are not clips, by what the error says about them."""
    good = write_video(folder / "good.mp4", moving_square()).read_bytes()
    (folder / "empty.mp4").touch()
    (folder / "noise.mp4").write_bytes(b"no video at all " * 100)
    (folder / "cut.mp4").write_bytes(good[: len(good) // 3])
    (folder / "cut.gif").write_bytes(b"GIF89a")
    PIL.Image.new("RGB", (64, 64)).save(folder / "photo.jpg")
    (folder / "folder").mkdir()
    return {
        "it is empty": folder / "empty.mp4",
        "not a video file, or corrupt": folder / "noise.mp4",
        "corrupt \\(": folder / "cut.mp4",
        "not a GIF, WebP or PNG file": folder / "cut.gif",
        "no video, only sound": write_sound(folder / "sound.m4a"),
        "single picture": folder / "photo.jpg",
        "contains no images": folder / "folder",
        "is 8x8 pixels": write_video(folder / "tiny.mkv", moving_square(1, 8, 8), codec="ffv1", pixels="bgr0"),
        "cannot be read": folder / "absent.mp4",
    }


def test_a_file_that_is_not_a_clip_gives_one_line_that_says_why(tmp_path: Path) -> None:
    for text, path in bad_clips(tmp_path).items():
        with pytest.raises(ValueError, match=text) as caught:
            open_clip(path)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile 'pipe.ts'\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npipe.ts\n"),
    ],
)
def test_a_playlist_is_refused_before_a_file_that_it_names_is_opened(tmp_path: Path, name: str, text: str) -> None:
    """Opening the pipe would wait for a program that writes to it."""
    os.mkfifo(tmp_path / "pipe.ts")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="it is a playlist"):
        open_clip(tmp_path / name)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".avi", "mpeg4"),
        (".mpg", "mpeg2video"),
        (".ts", "mpeg2video"),
        (".flv", "flv"),
        (".y4m", "wrapped_avframe"),
        (".ogv", "libvpx"),
        (".wmv", "wmv2"),
        (".m4v", "mpeg4"),
        (".mxf", "mpeg2video"),
    ],
)
def test_every_usual_format_is_read(tmp_path: Path, suffix: str, codec: str) -> None:
    with av.open(str(tmp_path / f"in{suffix}"), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for pixels in moving_square(12):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")))
        file.mux(stream.encode(None))
    assert len(list(open_clip(tmp_path / f"in{suffix}").frames())) == 12


@pytest.mark.skipif(os.name == "nt", reason="no colons in names")
def test_a_name_with_a_colon_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "in.mp4", moving_square(2), sound="aac")
    Path("in.mp4").rename("2026-11-26T12:30:00.mp4")
    clip = open_clip("2026-11-26T12:30:00.mp4")
    write_clip("2026-11-26T12:31:00.mp4", clip.frames(), clip)
    assert len(list(open_clip("2026-11-26T12:31:00.mp4").frames())) == 2


@pytest.mark.parametrize(("codec", "pixels"), [("libx264", "yuv420p"), ("png", "rgb24")])
def test_frames_over_the_limit_are_refused_before_one_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, pixels: str
) -> None:
    path = write_video(tmp_path / "in.mov", moving_square(1), codec=codec, pixels=pixels)
    for module in (container, source):
        monkeypatch.setattr(module, "MAX_PIXELS", 64 * 48 - 1)
    monkeypatch.setattr(container.Container, "_time", lambda *_: pytest.fail("a frame was decoded"))
    with pytest.raises(ValueError, match=r"over the limit of 3071|more than 3071 pixels"):
        open_clip(path)


@pytest.mark.parametrize(("side", "is_read"), [(12_000, True), (20_000, False)])
def test_a_large_animation_gives_no_warning_and_one_line_over_the_limit(
    tmp_path: Path, side: int, is_read: bool
) -> None:
    frames = [PIL.Image.fromarray(frame) for frame in moving_square(2)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    data = bytearray((tmp_path / "in.gif").read_bytes())
    data[6:10] = struct.pack("<HH", side, side)
    (tmp_path / "in.gif").write_bytes(data)
    if is_read:
        assert open_clip(tmp_path / "in.gif").size == (side, side)
        return
    with pytest.raises(ValueError, match=r"in\.gif': its frames have too many pixels; give smaller frames"):
        open_clip(tmp_path / "in.gif")
    small = open_clip(write_video(tmp_path / "small.mp4", moving_square(2)))
    with pytest.raises(ValueError, match=r"mask: .*in\.gif': its frames have too many pixels"):
        open_mask_clips(str(tmp_path / "in.gif"), small)


def test_a_clip_that_is_damaged_in_the_middle_gives_the_frames_before_or_one_line(tmp_path: Path) -> None:
    path = write_video(tmp_path / "in.mkv", moving_square(12), codec="ffv1")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    assert 0 < len(list(open_clip(path).frames())) < 12


def test_a_clip_of_one_frame_stays_one(tmp_path: Path) -> None:
    clip = open_clip(write_video(tmp_path / "in.mp4", moving_square(1)))
    written = write_clip(tmp_path / "out.mp4", clip.frames(), clip)
    assert times_of(open_clip(written)) == [0, 40]


def test_an_error_between_two_frames_leaves_the_old_file(tmp_path: Path) -> None:
    def broken(frames: Iterator[Frame]) -> Iterator[Frame]:
        yield next(frames)
        raise ValueError("broken")

    clip = open_clip(write_video(tmp_path / "in.mp4", moving_square()))
    (tmp_path / "out.mp4").write_bytes(b"old")
    with pytest.raises(ValueError, match="broken"):
        write_clip(tmp_path / "out.mp4", broken(clip.frames()), clip)
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["in.mp4", "out.mp4"]


def test_an_unknown_suffix_is_refused_with_the_choices(tmp_path: Path) -> None:
    clip = open_clip(write_video(tmp_path / "in.mp4", moving_square(1)))
    with pytest.raises(ValueError, match=r"choose \.mp4, .*no suffix for a folder of PNG files"):
        write_clip(tmp_path / "out.avi", clip.frames(), clip)


def test_reading_and_writing_keep_few_frames_in_memory(tmp_path: Path) -> None:
    """Fails if the 60 frames, 550 KB, are collected in memory."""
    path = write_video(tmp_path / "in.mkv", moving_square(60, step=0), codec="ffv1")
    clip = open_clip(path)
    write_clip(tmp_path / "warm.gif", clip.frames(), clip)
    for name in ("out.mkv", "out.gif"):
        tracemalloc.start()
        write_clip(tmp_path / name, clip.frames(), clip)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 250_000, name
