"""Define the contract of a method.

To add one, write a file here with a configuration and a class under `@METHODS.add("name")`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from impasto.backbones import Backbone
from impasto.backbones.tile_workers import TileWorkers
from impasto.config import check_settings
from impasto.images import Source
from impasto.optim.schedule import Schedule, Stage, Start, fitted_shape
from impasto.regions.subject import Subject
from impasto.registry import Registry
from impasto.types import Image, State, Step
from impasto.weights import fetch, find


class Method(ABC):
    """A stylization method with one checked configuration.

    The constructor checks the settings and reads no network. `run` reads the networks that it needs, the first time
    only, and changes nothing else of the instance, so that a result does not depend on earlier runs.
    """

    summary: ClassVar[str]
    any_style: ClassVar[bool] = True
    """Whether the method takes any style image; False where a network is trained for one style."""
    Config: ClassVar[type[Any]]
    """Settings of the method: a subclass of `MethodConfig`."""
    bundled: ClassVar[Path | None] = None
    """Weights of the network of the method that come with the package; None where there are none."""
    paper: ClassVar[dict[str, Any]] = {}
    """Settings of the preset `paper`: those of the paper that differ from the defaults."""
    replaced: ClassVar[dict[str, str]] = {}
    """Settings that replace another one, and which; a caller may give only one of the two."""
    workers: TileWorkers | None = None
    """Processes that compute the tiles of a large image; None: this process does."""
    chosen: tuple[str, ...] = ()
    """Names of the settings that `resolved` has chosen, which were None."""

    def __init__(self, config: Any) -> None:
        """Check the settings and raise `ValueError` for those that contradict each other."""
        self.config = config

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the networks: a copy in another process reads them at its first run."""
        return {name: value for name, value in self.__dict__.items() if not _is_cached(type(self), name)}

    @classmethod
    def start(cls, config: Any) -> Start | None:
        """Return what the optimization starts from; None where the method is a single pass of a network."""
        return None

    @classmethod
    def details(cls, config: Any) -> str | None:
        """Return the feed-forward method whose details a finer size starts with; None: those of the first image."""
        return None

    @classmethod
    def inputs(cls, config: Any) -> dict[str, tuple[str, ...]]:
        """Return the files that the settings name, by their role: `mask`, `style_mask` and `start`."""
        start = cls.start(config)
        files = (start.name,) if start is not None and start.kind == "file" else ()
        return {"mask": config.mask, "style_mask": config.style_mask, "start": files}

    @classmethod
    def own_styles(cls, config: Any) -> Sequence[Source]:
        """Return the style images that the weights contain and that a run without style images uses."""
        return ()

    @classmethod
    def with_styles(cls, config: Any, styles: Sequence[str]) -> Any:
        """Return the settings with those that follow from the style images, given the SHA-256 of each."""
        return config

    @classmethod
    def backbone(cls, config: Any) -> type[Backbone] | None:
        """Return the class of the loss network; None where the method has none."""
        return None

    @classmethod
    def note(cls, config: Any) -> str | None:
        """Return what users should know about the weights, in one line; None where there is nothing."""
        backbone = cls.backbone(config)
        return None if backbone is None else backbone.note

    @classmethod
    def weights(cls, config: Any) -> Path | None:
        """Return the file of the weights, downloaded if necessary; None where the method reads none."""
        network = cls.backbone(config)
        if network is None:
            return cls.bundled
        return network.bundled if network.weights is None else find(network.weights) or fetch(network.weights)

    @classmethod
    def final_size(cls, config: Any) -> int:
        """Return the longer side of the output in pixels; 0 is that of the content image."""
        size: int = config.size
        return size

    @classmethod
    def final_shape(cls, config: Any, content: Image) -> tuple[int, int]:
        """Return the height and width of the output in pixels, for a content image `(1, 3, H, W)` at its own size."""
        return fitted_shape(content, cls.final_size(config))

    @classmethod
    def check_given(cls, settings: Mapping[str, Any]) -> None:
        """Check the settings that a caller gave; the constructor sees all values, and some may be the defaults.

        Raises:
            ValueError: for a setting that is given besides the one that it replaces.
        """
        for name, other in cls.replaced.items():
            if settings.get(name) is not None and other in settings:
                raise ValueError(f"{name}: it replaces {other}, which is given too; give one of them")

    def resolved(self, content: Image) -> Method:
        """Return the method with a value for each setting that depends on the content image and on the machine.

        The record has these values, so that a replay on another machine computes the same image.

        Args:
            content: content image `(1, 3, H, W)` at its own size.
        """
        return self

    def with_config(self, config: Any) -> Self:
        """Return the method with other settings for the same networks, which are not read again, and workers."""
        other = type(self)(config)
        other.workers = self.workers
        other.__dict__.update({name: self.__dict__[name] for name in self.loaded})
        return other

    @property
    def loaded(self) -> list[str]:
        """Names of the attributes with the networks that were read."""
        return [name for name in self.__dict__ if _is_cached(type(self), name)]

    def with_changes(self, config: Any, workers: TileWorkers | None, content: Image) -> Method:
        """Return the method of a run that differs in some settings or in its workers, as `resolved` returns it.

        Args:
            config: settings with the changes; those that were chosen and are not changed are chosen again.
            workers: processes that compute the tiles of a large image; None: this process does.
            content: content image `(1, 3, H, W)` at its own size.

        Raises:
            ValueError: as `resolved`.
        """
        kept = [name for name in self.chosen if vars(config)[name] == vars(self.config)[name]]
        other = self.with_config(replace(config, **dict.fromkeys(kept)))
        other.workers = workers
        return other.resolved(content)

    def in_workers(self, workers: TileWorkers) -> Self:
        """Return the method with processes that compute the tiles of a large image.

        Raises:
            ValueError: for a method that computes an image in one process.
        """
        others = [name for name in METHODS if METHODS[name].in_workers is not Method.in_workers]
        raise ValueError(
            f"workers: several processes, or Ray, compute one image with {', '.join(others)} only; leave workers and "
            "runner out, or give a folder of images"
        )

    @property
    def local_workers(self) -> int:
        """Largest number of the workers that share the memory of this machine."""
        return 0 if self.workers is None else self.workers.local_count

    def is_tiled(self, content: Image) -> bool:
        """Return whether the output is larger than one tile.

        Args:
            content: content image `(1, 3, H, W)` at its own size.
        """
        return False

    def schedule(self, subject: Subject) -> Schedule:
        """Return the stages of a run; those of a single pass are one with one step."""
        return Schedule((Stage(self.final_shape(self.config, subject.content), 1, lr=0, tolerance=0),))

    def trial(self, subject: Subject, steps: int) -> Iterator[Step]:
        """Stylize the subject as `run` does, with at most `steps` iterations of each stage."""
        return self.run(subject)

    def resume(self, subject: Subject, state: State) -> Iterator[Step]:
        """Continue an interrupted run.

        Args:
            subject: that of the run.
            state: what `Step.state` of one of its steps returned; it is emptied. No step of a single pass has one.

        Yields:
            The best step of the stage so far, if it is an earlier one; then the step of the state again, and all later
            ones, which are those of the uninterrupted run bit for bit.
        """
        raise NotImplementedError

    @abstractmethod
    def run(self, subject: Subject) -> Iterator[Step]:
        """Stylize the subject; closing the iterator stops the run.

        Args:
            subject: images and masks at their own sizes, on the CPU.

        Yields:
            One step per iteration, or the one step of a single pass.
        """


def _is_cached(kind: type[Method], name: str) -> bool:
    return isinstance(getattr(kind, name, None), cached_property)


METHODS: Registry[Method] = Registry("method", "impasto.methods")


def configure(method: str, settings: Mapping[str, Any]) -> Any:
    """Return the checked configuration of a method, with the defaults that the setting `preset` selects.

    Args:
        method: name of the method.
        settings: values by name.

    Raises:
        ValueError: in one line, for an unknown method or a wrong setting.
    """
    kind = METHODS[method]
    preset = kind.paper if settings.get("preset") == "paper" else {}
    return check_settings(kind.Config, method, {**preset, **settings})
