"""Keep the networks that the studio adapts to styles: one folder per network, which survives a restart.

The bundled networks of sample styles are listed with them; the key of such a network is the name of the style.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.backbones import BACKBONES
from impasto.config import names_files, setting_schemas
from impasto.files import write_atomically
from impasto.images import MAX_PIXELS, read_size
from impasto.networks.sample_networks import sample_networks
from impasto.samples import resolve
from impasto.studio.history import KEY
from impasto.studio.limits import check_training_memory
from impasto.studio.requests import display_name
from impasto.training.adapt import Adapted, AdaptSettings, OnStep, adapt, check_adaptation, check_style_size
from impasto.weights import find

METHOD = "micro"
"""Method of the networks, and of the previews of a style: 0.1 s for 192 pixels."""
WEIGHTS, ENTRY = "network.safetensors", "entry.json"
"""Files of a network; the second one describes it and is written last."""

FIELDS: Mapping[str, Any] = {
    "style": str,
    "label": str,
    "steps": int,
    "seconds": int | float,
    "loss": int | float,
    "stopped": str,
}
"""Types of the values that describe a network."""


@dataclass(frozen=True, kw_only=True)
class AdaptRequest:
    """A style, and the settings of `AdaptSettings`; the style is the name of a sample, or a path of the studio."""

    style: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    method = METHOD

    @property
    def title(self) -> str:
        """Return a short description, for lists."""
        return f"Fast network for {display_name(self.style)}"

    @property
    def inputs(self) -> set[str]:
        """Return the path or name of the style image."""
        return {self.style}

    @property
    def style_name(self) -> str:
        """Return the name of the style on the page: that of a sample, or the key of an upload."""
        return Path(self.style).name


@dataclass(frozen=True)
class AdaptedNetworks:
    """A folder of networks, at most one per style."""

    folder: Path

    def check(self, request: AdaptRequest) -> None:
        """Check everything that can be checked before a job runs.

        Raises:
            ValueError: in one line, for a missing style, a wrong setting, a training that does not fit into the memory,
                or missing weights of the loss network.
        """
        if not request.style:
            raise ValueError("style: choose a style image")
        schemas = setting_schemas(AdaptSettings)
        for name, value in request.settings.items():
            if value and names_files(schemas.get(name, {})):
                raise ValueError(f"{name}: the studio starts from the bundled weights; leave it out")
        check_style_size(display_name(request.style), read_size(resolve(request.style), MAX_PIXELS))
        config = check_adaptation(request.settings, self.folder / "new" / WEIGHTS)
        check_training_memory(config)
        needed = BACKBONES[config.backbone].weights
        if needed and find(needed) is None:
            raise ValueError(f"the weights {needed!r} are not on this machine; run `impasto weights fetch {needed}`")

    def check_absent(self, request: AdaptRequest) -> None:
        """Raise `ValueError` for a style that has a network."""
        if request.style in sample_networks():
            raise ValueError(f"{display_name(request.style)} has a bundled fast network")
        if self.has_one_for([request.style_name]):
            raise ValueError(f"{display_name(request.style)} has a fast network already; remove it first")

    def run(self, key: str, request: AdaptRequest, on_step: OnStep) -> Adapted:
        """Adapt a network and store it; nothing remains after an error.

        Args:
            key: key of the network.
            request: the request.
            on_step: called with every step; returning False ends the training and keeps the network.
        """
        file = self._file(key, WEIGHTS)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            adapted = adapt(resolve(request.style), file, on_step=on_step, **request.settings)
            entry = {
                "style": request.style_name,
                "label": display_name(request.style),
                "steps": adapted.steps,
                "seconds": round(adapted.seconds, 1),
                "loss": sum(adapted.losses.values()),
                "stopped": adapted.stopped,
            }
            write_atomically(self._file(key, ENTRY), json.dumps(entry).encode())
        except BaseException as error:
            self.delete(key)
            if isinstance(error, OSError):  # its text has a private path
                raise ValueError(f"the network cannot be stored: {error.strerror}; check the studio's folder") from None
            raise
        return adapted

    def entries(self) -> list[dict[str, Any]]:
        """Return all networks as JSON values, the newest first and those of sample styles last.

        Returns:
            For each `key`, `style`, `label` and `is_bundled`; for one of the studio also `steps`, `seconds`, `loss` and
            `stopped`.
        """
        found = []
        for file in sorted(self.folder.glob(f"*/{ENTRY}"), reverse=True):
            with suppress(ValueError, OSError):
                entry = json.loads(file.read_text(encoding="utf-8"))
                is_complete = isinstance(entry, dict) and all(
                    isinstance(entry.get(name), kind) for name, kind in FIELDS.items()
                )
                if is_complete and self._file(file.parent.name, WEIGHTS).is_file():
                    found.append({**entry, "key": file.parent.name, "is_bundled": False})
        own = {entry["style"] for entry in found}
        found += [
            {"key": name, "style": name, "label": display_name(name), "is_bundled": True}
            for name in sample_networks()
            if name not in own
        ]
        return found

    def entry(self, key: str) -> dict[str, Any]:
        """Return a network as `entries` does.

        Raises:
            ValueError: if no network has the key.
        """
        for entry in self.entries():
            if entry["key"] == key:
                return entry
        raise ValueError(f"the studio has no network {key[:40]!r}; it may have been removed")

    def weights(self, key: str) -> str:
        """Return the setting `weights` for a network: its file, or the name of the sample style.

        Raises:
            ValueError: as `entry` does.
        """
        return key if self.entry(key)["is_bundled"] else str(self.file(key))

    def file(self, key: str) -> Path:
        """Return the weights file of a network of the studio; raise `ValueError` for other ones."""
        return self._file(str(self.entry(key)["key"]), WEIGHTS)

    def has_one_for(self, styles: Sequence[str]) -> bool:
        """Return whether there is a network for these styles: exactly one, which has one."""
        return len(styles) == 1 and any(each["style"] == styles[0] for each in self.entries())

    def delete(self, key: str) -> None:
        """Delete a network."""
        shutil.rmtree(self._file(key, WEIGHTS).parent, ignore_errors=True)

    def delete_unfinished(self) -> None:
        """Delete what remains of jobs that did not finish."""
        for folder in self.folder.glob("*"):
            if KEY.fullmatch(folder.name) and not (folder / ENTRY).exists():  # the studio made it
                shutil.rmtree(folder, ignore_errors=True)

    def _file(self, key: str, name: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key[:40]!r} is not the key of a network")
        return self.folder / key / name
