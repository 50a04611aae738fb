"""Write a checkpoint of a long run every few minutes, from which the same run continues after it was killed."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.files import reason
from impasto.pipeline.state_file import part_path, read_state, write_state
from impasto.types import State, Step

INTERVAL = 300.0
"""Seconds between two checkpoints, and before the first one: a shorter run writes none."""
WRITING_FRACTION = 0.05
"""Largest fraction of the time of a run that its checkpoints may take."""
FORMAT = 2
"""Version of the content of a checkpoint: increased whenever the state of a method or an optimizer changes."""


Identity = Callable[[], dict[str, Any]]
"""Returns what must be the same for a run to continue, as JSON values: settings, inputs, weights, versions.

They are not computed for a run without a checkpoint: to read a file of weights takes time.
"""


def checkpoint_path(output: str | os.PathLike[str]) -> Path:
    """Return the path of the checkpoint of a run with this output file."""
    return Path(f"{os.fspath(output)}.checkpoint")


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint that is not needed any more, and one that a killed process has not completed.

    A failure is a warning: the output is saved, and another program may have the file open.
    """
    for each in (path, part_path(path)):
        try:
            each.unlink(missing_ok=True)
        except OSError as error:
            warnings.warn(f"cannot remove {str(each)!r}: {reason(error)}; remove it later", stacklevel=3)
            return


@dataclass(frozen=True, eq=False)
class Interrupted:
    """A run that ended before it was complete."""

    settings: dict[str, Any]
    """Every setting as JSON values, including those that the free memory determined."""
    curve: list[Step]
    """The steps before that of the state."""
    state: State
    """What `Method.resume` needs."""


def read_checkpoint(path: Path, identity: Identity) -> Interrupted | None:
    """Return the run to continue; None without a file.

    Args:
        path: the file.
        identity: returns what must be the same for a run to continue.

    Raises:
        ValueError: if the file is that of another run, also of another version, or anything else: it would be lost.
    """
    if not path.exists():
        return None
    expected = {"format": FORMAT, **identity()}
    advice = "give another output, or remove the file"
    try:
        found = read_state(path)
        other = difference(found["identity"], expected)
        if other is None:
            return Interrupted(found["settings"], [_point(each) for each in found["curve"]], found["state"])
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {reason(error)}; {advice}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} is not a checkpoint; {advice}") from error
    raise ValueError(f"{str(path)!r} is the checkpoint of another run (its {other} differs); {advice}")


class Checkpoint:
    """Writes the checkpoint of a run every few minutes.

    Args:
        path: the file, which `read_checkpoint` has read or not found: it is replaced.
        identity: returns what must be the same for a run to continue; called when a checkpoint is written.
        settings: every setting as JSON values, including those that the free memory determined.
    """

    def __init__(self, path: Path, identity: Identity, settings: dict[str, Any]) -> None:
        self._path: Path | None = path
        self._identity, self._settings = identity, settings
        self._next = time.monotonic() + INTERVAL

    def __call__(self, step: Step, curve: Sequence[Step]) -> None:
        """Write a checkpoint if the last one is old enough. A failure is a warning, and the run continues without.

        Args:
            step: the current step.
            curve: the steps before it.
        """
        began = time.monotonic()
        if self._path is None or step.state is None or began < self._next:
            return
        content = {
            "identity": {"format": FORMAT, **self._identity()},
            "settings": self._settings,
            "curve": [_values(each) for each in curve],
            "state": step.state(),
        }
        try:
            write_state(self._path, content)
        except ValueError as error:
            warnings.warn(f"no further checkpoints: {error}", stacklevel=5)
            self._path = None
        now = time.monotonic()
        self._next = now + max(INTERVAL, (now - began) / WRITING_FRACTION)


def difference(found: Any, expected: Any, name: str = "") -> str | None:
    """Return the name of the first value that differs between two nested values, for people; None if they are equal.

    >>> difference({"settings": {"size": 512}}, {"settings": {"size": 256}})
    'settings size'
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in {**expected, **found}:
            if (other := difference(found.get(key), expected.get(key), f"{name} {key}".strip())) is not None:
                return other
        return None
    return None if found == expected else name


def _values(step: Step) -> dict[str, Any]:
    return {**step.to_json(), "total": step.total, "stage": step.stage, "final_size": step.final_size}


def _point(values: dict[str, Any]) -> Step:
    size = values["final_size"] and tuple(values["final_size"])
    return replace(Step.from_json(values), total=values["total"], stage=values["stage"], final_size=size)
