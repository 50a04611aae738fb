"""Write a clip: a video file, an animated image or a folder of PNG files."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import PIL.Image

from impasto.files import check_replaceable, check_writable, reason
from impasto.video.clip import Clip, Frame
from impasto.video.encoding import FORMATS, encode

FOLDER = "a folder of PNG files"


def check_clip_output(path: str | os.PathLike[str]) -> None:
    """Check, before a run, that a clip can be written.

    Args:
        path: file or folder, as for `write_clip`.

    Raises:
        ValueError: in one line, if it cannot be written.
    """
    output = Path(os.fsdecode(path))
    if not output.suffix:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise ValueError(f"cannot write {str(output)!r}: it exists and is not an empty folder; give another name")
        check_writable(output.absolute().parent / f".{secrets.token_hex(8)}")
        return
    if output.suffix.lower() not in FORMATS:
        suffixes = ", ".join(FORMATS)
        raise ValueError(
            f"cannot write {str(output)!r}: its suffix is not that of a clip; choose {suffixes}, or no suffix for "
            f"{FOLDER}"
        )
    check_replaceable(output)
    check_writable(output)


def write_clip(
    path: str | os.PathLike[str],
    frames: Iterable[Frame],
    clip: Clip,
    *,
    on_frame: Callable[[int], object] | None = None,
) -> Path:
    """Write frames with their times, the sound and the color encoding of a clip.

    The output appears complete or not at all; the frames are not collected in memory.

    Args:
        path: `.mp4`, `.mov` or `.m4v` (H.264), `.webm` (VP9), `.mkv` (FFV1, lossless), `.gif` or `.apng`; without a
            suffix a folder of PNG files. An existing file is replaced.
        frames: all of one size; H.264 and VP9 need even sides.
        clip: the clip that the frames come from; its sound is copied, or encoded again where the format needs it.
        on_frame: called with the number of frames after each one.

    Raises:
        ValueError: in one line, if it cannot be written.
    """
    output = Path(os.fsdecode(path))
    check_clip_output(output)
    temporary = Path(os.path.realpath(output)).with_name(f".{secrets.token_hex(8)}.part")
    try:
        if output.suffix:
            encode(temporary, output.suffix.lower(), frames, clip, on_frame)
        else:
            _write_folder(temporary, frames, on_frame)
            with suppress(OSError):
                output.rmdir()
        os.replace(temporary, os.path.realpath(output))
    except OSError as error:
        raise ValueError(f"cannot write {str(output)!r}: {reason(error)}; give another path") from error
    finally:
        with suppress(OSError):
            shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink(missing_ok=True)
    return output


def _write_folder(folder: Path, frames: Iterable[Frame], on_frame: Callable[[int], object] | None) -> None:
    folder.mkdir()
    for number, frame in enumerate(frames, 1):
        PIL.Image.fromarray(frame.pixels).save(folder / f"{number:06d}.png")
        if on_frame is not None:
            on_frame(number)
