"""Handle Ctrl-C during a run: the first one stops after the current step or picture, the second one immediately."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Literal


class Interrupts:
    """Context manager that handles SIGINT according to the phase of a run.

    Ctrl-C raises `KeyboardInterrupt` while inputs are loaded. While an image is stylized, the first one sets
    `requested` and the second one raises `KeyboardInterrupt`. While files are saved it only sets `requested`, so that
    every file is complete.

    Args:
        unit: what is finished after the first Ctrl-C, for the message.
    """

    def __init__(self, unit: str = "step") -> None:
        self._unit = unit
        self.requested = False
        """Whether Ctrl-C was pressed."""
        self.phase: Literal["loading", "running", "saving"] = "loading"
        self._previous: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # Python handles signals only there
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if self.phase == "loading" or (self.phase == "running" and self.requested):
            raise KeyboardInterrupt
        if self.phase == "running":  # os.write, because the signal may have interrupted a print
            newline = b"\n" if os.isatty(2) else b""  # a terminal shows ^C first
            text = f"impasto: stopping after this {self._unit}; Ctrl-C again stops immediately\n"
            os.write(2, newline + text.encode())
        self.requested = True
