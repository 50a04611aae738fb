"""Keep the finished frames of a clip in a folder until the clip is complete, so that a run can be resumed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from impasto.files import check_shared, reason, write_atomically
from impasto.video.extra import import_cv2
from impasto.video.frames import Content, Stylized
from impasto.video.shots import Shot

RUN_FILE = "run.json"
"""File that describes the run; it is written first."""


class WorkFolder:
    """The finished frames of a run, and values that later frames of a shot need.

    Every file appears complete or not at all: a run that is killed continues with the first frame that is missing.

    Args:
        path: the folder, created if missing.
        run: JSON values that determine the frames.
        restart: remove the frames of a run with other values, which are an error otherwise.

    Raises:
        ValueError: if the folder contains something else, or cannot be written.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, restart: bool = False) -> None:
        self.path = path
        try:
            if path.exists():
                self._check(run, restart)
            path.mkdir(parents=True, exist_ok=True)
            if not (path / RUN_FILE).exists():
                write_atomically(path / RUN_FILE, json.dumps(run, indent=1).encode())
        except OSError as error:
            raise ValueError(f"cannot write {str(path)!r}: {reason(error)}; give another output") from error

    @property
    def done(self) -> int:
        """Return the number of finished frames, of all shots and passes together."""
        return count_frames(self.path)

    def frames(self, number: int) -> StoredFrames:
        """Return the finished frames of a pass, the first one being 0."""
        return StoredFrames(self.path / f"pass-{number + 1}" if number else self.path)

    @property
    def contents(self) -> KeptContents:
        """Return the frames of the clip that are kept for later passes."""
        return KeptContents(self.path / "contents")

    def has_pass(self, shot: Shot, number: int) -> bool:
        """Return whether all frames of a shot are finished in a pass, the first one being 0."""
        return self.frames(number).first_missing(shot.first, shot.end) == shot.end

    def check_shared(self) -> None:
        """Raise `ValueError` if this machine does not see the folder that another one has made."""
        check_shared(self.path / RUN_FILE)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _check(self, run: Mapping[str, Any], restart: bool) -> None:
        """Check that the folder is one of the same run, or remove it if it is one of another run."""
        file, hint = self.path / RUN_FILE, "give another output, or remove it"
        if not file.is_file():
            if self.path.is_dir() and not os.listdir(self.path):
                return
            raise ValueError(f"{str(self.path)!r} is not the work folder of a clip; {hint}")
        stored = _stored(file)
        names = {*run, *stored}
        changed = sorted(name for name in names if stored.get(name) != json.loads(json.dumps(run.get(name))))
        if not changed:
            return
        if not restart:
            text = f"{self.done} frames in {str(self.path)!r} were stylized with another {', '.join(changed)}"
            raise ValueError(f"restart: {text}; allow to discard them, or give another output")
        self.remove()


class StoredFrames:
    """The finished frames of one pass.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self._frame(index).exists()

    def first_missing(self, first: int, end: int) -> int:
        """Return the first index from `first` on without a frame, at most `end`."""
        return next((index for index in range(first, end) if index not in self), end)

    def write(self, index: int, stylized: Stylized) -> None:
        """Store a frame and what later ones need; `index` is its number, from 0."""
        self._path.mkdir(exist_ok=True)
        if stylized.state is not None:
            write_atomically(self._state(index), _encoded(stylized.state))
        if stylized.values:
            write_atomically(self._values(index), json.dumps(stylized.values).encode())
        write_atomically(self._frame(index), _encoded(stylized.pixels))

    def read(self, index: int) -> np.ndarray:
        """Return a frame, `(H, W, 3)` uint8."""
        return _decoded(self._frame(index))

    def stylized(self, index: int) -> Stylized:
        """Return a frame with its state, without its values and losses."""
        return Stylized(self.read(index), _decoded(self._state(index)) if self._state(index).exists() else None)

    def read_state(self, index: int) -> np.ndarray:
        """Return the image that the next frames continue, `(H, W, 3)` uint8."""
        return _decoded(self._state(index)) if self._state(index).exists() else self.read(index)

    def values(self, index: int) -> dict[str, Any]:
        """Return the values of a frame."""
        if not self._values(index).exists():
            return {}
        return _parsed(self._values(index))

    def _frame(self, index: int) -> Path:
        return self._path / f"{index + 1:06d}.png"

    def _state(self, index: int) -> Path:
        return self._path / f"{index + 1:06d}-state.png"

    def _values(self, index: int) -> Path:
        return self._path / f"{index + 1:06d}.json"


class KeptContents:
    """Frames of the clip and of its masks, without loss, for passes that do not read them in the order of the clip.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self._facts(index).exists()

    def write(self, index: int, content: Content) -> None:
        """Store a frame unless it is stored; `index` is its number, from 0."""
        if index in self:
            return
        self._path.mkdir(exist_ok=True)
        for number, pixels in enumerate((content.pixels, *content.masks)):
            write_atomically(self._image(index, number), _encoded(pixels))
        facts = {"seconds": content.seconds, "masks": len(content.masks)}
        write_atomically(self._facts(index), json.dumps(facts).encode())

    def read(self, index: int) -> Content:
        """Return a frame."""
        facts = _parsed(self._facts(index))
        pixels, *masks = (_decoded(self._image(index, number)) for number in range(1 + facts["masks"]))
        return Content(pixels, facts["seconds"], tuple(masks))

    def remove(self, shot: Shot) -> None:
        """Delete the frames of a shot."""
        for pattern in ("*-facts.json", "*.png"):  # a frame without the first file is not stored
            for file in self._path.glob(pattern):
                if int(file.name.split("-")[0]) - 1 in shot:
                    file.unlink(missing_ok=True)

    def _image(self, index: int, number: int) -> Path:
        return self._path / f"{index + 1:06d}-{number}.png"

    def _facts(self, index: int) -> Path:
        return self._path / f"{index + 1:06d}-facts.json"


def count_frames(path: Path) -> int:
    """Return the number of finished frames in a work folder."""
    return sum(file.stem.isdigit() for file in path.rglob("*.png"))


def _stored(file: Path) -> dict[str, Any]:
    try:
        stored = json.loads(file.read_text("utf-8"))
    except (ValueError, OSError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _parsed(file: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except ValueError:
        raise _corrupt(file) from None
    return values


def _corrupt(file: Path) -> ValueError:
    """Return the error for a file that cannot be read."""
    files = str(file.with_name(f"{file.stem.split('-')[0]}*"))
    return ValueError(f"{str(file)!r} is corrupt; remove the files {files!r}; the same command computes them again")


def _encoded(pixels: np.ndarray) -> bytes:
    cv2 = import_cv2()
    strategy = cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY  # faster than others, and smaller for painted images
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, strategy]
    data = cv2.imencode(".png", pixels[..., ::-1], options)[1]
    encoded: bytes = data.tobytes()
    return encoded


def _decoded(file: Path) -> np.ndarray:
    cv2 = import_cv2()
    data = np.fromfile(file, np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if pixels is None:
        raise _corrupt(file)
    return np.ascontiguousarray(pixels[..., ::-1])
