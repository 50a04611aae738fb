"""The command line: finds the command, and turns whatever goes wrong into one line and an exit status."""

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

from impasto.cli.memory import keep_freed_memory

DONE, WRONG, INTERRUPTED = 0, 2, 130
"""Exit statuses: 0; 2 for what the user can mend; 130 after Ctrl-C, as shells have it."""

COMMANDS = {
    "stylize": (
        "CONTENT STYLE [STYLE ...] -o OUT",
        "paint a photograph, or a folder of them, in the manner of pictures",
        "stylize:stylize",
    ),
    "replay": ("PICTURE -o OUT", "paint a picture again from its record", "stylize:replay"),
    "compare": ("CONTENT STYLE -o FOLDER", "paint by several methods, judge, and report", "experiment:compare"),
    "experiment run": ("FILE|NAME -o FOLDER", "paint and judge what an experiment asks for", "experiment:run"),
    "experiment report": ("FOLDER", "write the report of an experiment again", "experiment:report"),
    "experiment export": ("FOLDER --mlflow URI", "file the runs of an experiment with MLflow", "experiment:export"),
    "experiment list": ("[--json]", "list the experiments that come with the package", "experiment:list_bundled"),
    "metrics": ("CONTENT STYLE OUTPUT [--json]", "tell how near a painting is to both", "metrics:metrics"),
    "train": (
        "NAME --photos DIR --paintings DIR -o DIR",
        "train a network by a recipe, or go on with a training",
        "train:train",
    ),
    "export": ("MODEL -o FILE.onnx", "write a model of one pass for other programs", "export:export"),
    "studio": ("[--port 7860]", "open the web page: paint, watch, steer and compare", "studio:studio"),
    "demo": ("[-o demo]", "paint the sample photographs, and a sheet of them", "demo:demo"),
    "methods": ("[--json]", "list the ways to paint", "listing:methods"),
    "backbones": ("[--json]", "list the networks whose features judge a picture", "listing:backbones"),
    "losses": ("[--json]", "list the losses", "listing:losses"),
    "weights list": ("[--json]", "list the pretrained weights and where they lie", "listing:weights_list"),
    "weights fetch": ("NAME", "see that weights are at hand: download what is missing", "listing:weights_fetch"),
    "weights verify": ("[NAME]", "compare the hashes of the weights at hand", "listing:weights_verify"),
    "doctor": ("[--json]", "tell what this machine can do, and what is missing", "doctor:doctor"),
}
"""Usage, summary, and the function that takes the other arguments and returns the exit status."""


def run() -> NoReturn:
    """The command itself: `main`, and then the process ends at once.

    To have Python take torch apart lasts a quarter of a second.
    """
    statuses: list[int] = []
    atexit.register(lambda: [_leave(status) for status in statuses])  # first in, so the last to be called
    statuses.append(main())
    sys.exit(statuses[0])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status. A bug keeps its traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    _hear_interrupts()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no failure
    try:
        with _one_line_warnings():
            status = _dispatch(words)
            sys.stdout.flush()
            if argv is None and "TORCHELASTIC_RUN_ID" in os.environ:
                _leave(status)  # one in a hundred such processes was seen to abort in its ending, all work done
            return status
    except SystemExit as end:  # --help
        return int(end.code or DONE)
    except KeyboardInterrupt:
        _say("stopped; nothing was written")
        return INTERRUPTED
    except BrokenPipeError:  # `impasto methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        _say(str(error))
        return WRONG
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        _say("not enough memory: paint a smaller picture (--size), or free some")
        return WRONG


def _leave(status: int) -> NoReturn:
    """Ends the process without Python's shutdown."""
    with suppress(OSError):  # where nobody listens any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _dispatch(words: list[str]) -> int:
    if not words:
        print(_help())
        return WRONG
    if words[0] in ("-h", "--help"):
        print(_help())
        return DONE
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"impasto {version('impasto')}")
        return DONE
    several = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if several and (len(words) == 1 or words[1] in ("-h", "--help")):
        print(_help(several))
        return DONE if len(words) > 1 else WRONG
    name = " ".join(words[: 2 if several else 1])
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f"; did you mean {close[0]}?" if close else f"; choose from {', '.join(several or COMMANDS)}"
        raise ValueError(f"unknown command {name!r}{meant}")
    module, _, function = COMMANDS[name][2].partition(":")
    run: Callable[[list[str]], int] = getattr(import_module(f"impasto.cli.{module}"), function)
    keep_freed_memory()
    return run(words[len(name.split()) :])


def _help(names: Sequence[str] = tuple(COMMANDS)) -> str:
    usages = {name: f"impasto {name} {COMMANDS[name][0]}" for name in names}
    width = max(len(usage) for usage in usages.values())
    rows = [f"  {usage:{width}}  {COMMANDS[name][1]}" for name, usage in usages.items()]
    return "\n".join(
        [
            "impasto: paint a photograph in the manner of a picture, offline.",
            "",
            *rows,
            "",
            "impasto COMMAND --help tells all about a command, impasto --version the version.",
            "A CONTENT or STYLE is a file or the name of a sample. Weights are looked for in the folders that",
            "IMPASTO_WEIGHTS names; IMPASTO_OFFLINE=1 never downloads them.",
        ]
    )


def _hear_interrupts() -> None:
    """Ctrl-C must work even where a script's `&` had it ignored: only then does `kill -INT` reach us."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        _say(f"warning: {message}", file)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _say(message: str, file: TextIO | None = None) -> None:
    """One line on stderr."""
    print(f"impasto: {' '.join(message.split())}", file=file or sys.stderr, flush=True)


def _is_out_of_memory(error: Exception) -> bool:
    says_so = re.search(r"not enough memory|can't allocate memory|out of memory", str(error), re.IGNORECASE)
    return isinstance(error, MemoryError) or says_so is not None
