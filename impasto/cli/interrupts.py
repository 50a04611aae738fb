"""Handle the signals that end a run: Ctrl-C (SIGINT), SIGTERM (schedulers) and SIGHUP (a lost terminal).

The first signal stops after the current step, and a second Ctrl-C immediately.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Literal

SIGNALS = [each for each in signal.Signals if each.name in ("SIGINT", "SIGTERM", "SIGHUP")]  # no SIGHUP on Windows
Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handle_signals(handler: Handler) -> Iterator[None]:
    """Call a function at the signals of this module; restore the handlers before when the block ends.

    A signal that is ignored, such as SIGHUP after `nohup`, remains ignored. Python handles signals in the main thread
    only; in another thread this does nothing.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for each in SIGNALS:
                if signal.getsignal(each) is not signal.SIG_IGN:
                    stack.callback(signal.signal, each, signal.signal(each, handler))
        yield


def stop_immediately(number: int, _frame: FrameType | None) -> None:
    """Raise `KeyboardInterrupt` with the number of the signal."""
    if number != signal.SIGINT:
        leave_terminal()
    raise KeyboardInterrupt(number)


def exit_status(error: KeyboardInterrupt) -> int:
    """Return the exit status of a command that a signal stopped, as in shells: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (error.args[0] if error.args else signal.SIGINT)


class Interrupts:
    """Context manager that handles the signals of this module according to the phase of a run.

    A signal raises `KeyboardInterrupt` while inputs are loaded. While an image is stylized, the first one sets
    `requested`, and Ctrl-C after it raises `KeyboardInterrupt`; schedulers may send several signals. While files are
    saved it only sets `requested`, so that every file is complete.

    Args:
        unit: what is finished after the first signal, for the message.
    """

    def __init__(self, unit: str = "step") -> None:
        self._unit = unit
        self.requested = False
        """Whether there was a signal."""
        self.status = 0
        """Exit status: 0 without a signal, else 128 and the number of the first one."""
        self.phase: Literal["loading", "running", "saving"] = "loading"
        self._stack = ExitStack()

    def __enter__(self) -> Interrupts:
        self._stack.enter_context(handle_signals(self._handle))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stop(self, status: int) -> None:
        """Note that the run was stopped, with its exit status."""
        self.requested, self.status = True, self.status or status

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_repeated = self.requested and number == signal.SIGINT
        if self.phase == "loading" or (self.phase == "running" and is_repeated):
            stop_immediately(number, frame)
        if number != signal.SIGINT:
            leave_terminal()
        if self.phase == "running" and not self.requested:
            self._print_message()
        self.stop(128 + number)

    def _print_message(self) -> None:
        newline = "\n" if os.isatty(2) else ""  # a terminal shows ^C first
        text = f"{newline}impasto: stopping after this {self._unit}; Ctrl-C again stops immediately\n"
        with suppress(OSError):
            os.write(2, text.encode())  # not print, which the signal may have interrupted


def leave_terminal() -> None:
    """Send what is written to a terminal that no longer exists to nowhere, because writing to it is an error."""
    for descriptor in (1, 2):
        try:
            os.write(descriptor, b"")
        except OSError:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
