"""Find the command and turn every error that a user can fix into one line and an exit status."""

from __future__ import annotations

import atexit
import difflib
import io
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, NoReturn, TextIO

from impasto.allocator import keep_freed_memory
from impasto.cli.commands import COMMANDS
from impasto.cli.interrupts import exit_status, handle_signals, stop_immediately
from impasto.cli.streams import prepare_streams

SUCCESS, USER_ERROR = 0, 2
"""Exit statuses: success, and an error that the user can fix."""

HELP = """\
impasto: neural style transfer on a laptop, offline.

{commands}

`impasto COMMAND --help` describes a command, `impasto --version` prints the version.
CONTENT and STYLE are files or names of bundled samples. The environment variable IMPASTO_WEIGHTS
names the folders of pretrained weights; IMPASTO_OFFLINE=1 disables downloads.
"""


def run() -> NoReturn:
    """Run `main` on the arguments of the process and end the process.

    The process ends without the shutdown of Python, which takes 0.25 s to unload torch.
    """
    prepare_streams()
    statuses: list[int] = []
    atexit.register(lambda: [_exit_now(status) for status in statuses])  # registered first, therefore called last
    statuses.append(main())
    sys.exit(statuses[0])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the name of the program; by default those of the process.

    Returns:
        The exit status. An unexpected exception is not caught: a bug keeps its traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _accept_interrupts()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot encode is not an error
    try:
        with _one_line_warnings(), handle_signals(stop_immediately):
            status = _run_command(words)
            sys.stdout.flush()
            if argv is None and "TORCHELASTIC_RUN_ID" in os.environ:
                _exit_now(status)  # about 1 in 100 such processes aborted in the shutdown of Python
            return status
    except SystemExit as end:  # --help
        return int(end.code or SUCCESS)
    except KeyboardInterrupt as error:
        _print_message("stopped; nothing was written")
        return exit_status(error)
    except BrokenPipeError:  # `impasto methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        _print_message(_message_of(error))
        return USER_ERROR
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        _print_message("not enough memory: choose a smaller --size, or free some memory")
        return USER_ERROR


def _exit_now(status: int) -> NoReturn:
    """End the process without the shutdown of Python."""
    with suppress(OSError):  # the reader of a pipe may have ended
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _run_command(words: list[str]) -> int:
    if not words:
        print(_help(), end="")
        return USER_ERROR
    if words[0] in ("-h", "--help"):
        print(_help(), end="")
        return SUCCESS
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"impasto {version('impasto')}")
        return SUCCESS
    subcommands = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if subcommands and (len(words) == 1 or words[1] in ("-h", "--help")):
        print(_help(subcommands), end="")
        return SUCCESS if len(words) > 1 else USER_ERROR
    name = " ".join(words[: 2 if subcommands else 1])
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; choose from {', '.join(subcommands or COMMANDS)}"
        raise ValueError(f"unknown command {name!r}{hint}")
    _check_current_folder()
    module, _, function = COMMANDS[name].function.partition(":")
    command: Callable[[list[str]], int] = getattr(import_module(f"impasto.cli.{module}"), function)
    keep_freed_memory()
    return command(words[len(name.split()) :])


def _check_current_folder() -> None:
    """Check that the current folder exists: without it, the libraries of PyTorch end the process when they load."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ValueError("the current folder was removed; change to another one, as with cd") from None


def _help(names: Sequence[str] = tuple(COMMANDS)) -> str:
    usages = {name: f"impasto {name} {COMMANDS[name].usage}" for name in names}
    width = max(len(usage) for usage in usages.values())
    rows = [f"  {usage:{width}}  {COMMANDS[name].summary}" for name, usage in usages.items()]
    return HELP.format(commands="\n".join(rows))


def _accept_interrupts() -> None:
    """Restore the default handler of SIGINT where a shell script started the process with `&`, which ignores it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        _print_message(f"warning: {message}", file)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _print_message(message: str, file: TextIO | None = None) -> None:
    print(f"impasto: {' '.join(message.split())}", file=file or sys.stderr, flush=True)


def _message_of(error: ValueError | OSError) -> str:
    """Return the message of an error for people: an `OSError` begins with a number and ends with the file."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return error.strerror if error.filename is None else f"cannot use {str(error.filename)!r}: {error.strerror}"


def _is_out_of_memory(error: Exception) -> bool:
    pattern = r"not enough memory|can't allocate memory|out of memory"
    return isinstance(error, MemoryError) or re.search(pattern, str(error), re.IGNORECASE) is not None
