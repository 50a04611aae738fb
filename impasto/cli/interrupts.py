"""Ctrl-C while painting: the first one stops after the step, or the picture, and keeps it; the second at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Literal


class Interrupts:
    """Listens to SIGINT inside its `with` block; `unit` is what is finished yet after the first one.

    Before the first step, and the second time, it raises `KeyboardInterrupt`. While the picture is being saved it only
    takes note, so that nothing is half written.
    """

    def __init__(self, unit: str = "step") -> None:
        self._unit = unit
        self.asked = False
        """Whether Ctrl-C was pressed."""
        self.phase: Literal["loading", "painting", "saving"] = "loading"
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # Python hears signals nowhere else
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _hear(self, _signal: int, _frame: FrameType | None) -> None:
        if self.phase == "loading" or (self.phase == "painting" and self.asked):
            raise KeyboardInterrupt
        if self.phase == "painting":  # not print: it may itself have been interrupted
            newline = b"\n" if os.isatty(2) else b""  # after the ^C that a terminal shows
            text = f"impasto: stopping after this {self._unit}; Ctrl-C again stops at once\n"
            os.write(2, newline + text.encode())
        self.asked = True
