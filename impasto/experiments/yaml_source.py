"""A YAML file that remembers on which line everything stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from impasto.files import reason

Place = tuple[str | int, ...]
"""Keys and indices from the top of a file down to a value: `("variants", 0, "method")`."""


@dataclass(frozen=True)
class Document:
    """What a file says."""

    data: Any
    """Plain values, as YAML means them."""
    folder: Path
    """What relative paths in it are relative to."""
    name: str = ""
    """What messages call it; empty for what is no file."""
    lines: dict[Place, int] = field(default_factory=dict)
    """Line of every value, for one in a mapping that of its key; from 1."""

    def wrong(self, place: Place, message: str) -> ValueError:
        """An error in one line: the file, the line, the field, and what is the matter with it."""
        known = place
        while known and known not in self.lines:
            known = known[:-1]
        where = f"{self.name}:{self.lines[known]}: " if known in self.lines else ""
        shown = place if where else [part for part in place if isinstance(part, str)][-1:]
        return ValueError(f"{where}{'.'.join(map(str, shown))}{': ' if shown else ''}{' '.join(message.split())}")


def read_document(path: Path) -> Document:
    """Reads a YAML file.

    Raises:
        ValueError: in one line, for a file that cannot be read or is no YAML; a key that stands twice is an error.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {str(path)!r}: {reason(error)}") from None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise ValueError(f"{path}: the file is empty")
        document = Document(None, path.absolute().parent, str(path), {})
        _note_lines(node, (), (), document)
        return Document(loader.construct_document(node), document.folder, document.name, document.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ValueError(f"{path}{line}: this is no YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: this is no YAML: {' '.join(str(error).split())}") from None


def _note_lines(node: Any, place: Place, above: tuple[int, ...], document: Document) -> None:
    """Files the lines of a node and of all below it in `document.lines`."""
    document.lines.setdefault(place, node.start_mark.line + 1)
    if id(node) in above:
        raise document.wrong(place, "this refers to itself")
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _note_lines(item, (*place, i), above, document)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            below = (*place, str(key.value))
            if below in seen:
                line = key.start_mark.line + 1
                raise ValueError(f"{document.name}:{line}: {'.'.join(map(str, below))}: this stands here twice")
            seen.add(below)
            document.lines[below] = key.start_mark.line + 1
            _note_lines(value, below, above, document)
