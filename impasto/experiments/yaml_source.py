"""Read a YAML file and remember the line number of every value, for error messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from impasto.files import reason

KeyPath = tuple[str | int, ...]
"""Keys and indices that lead from the top of a document to a value: `("variants", 0, "method")`."""


@dataclass(frozen=True)
class Document:
    """The content of a YAML file, or equivalent data from another source."""

    data: Any
    """Plain Python values, as PyYAML constructs them."""
    folder: Path
    """Folder that relative paths in the document are relative to."""
    name: str = ""
    """Name of the file in error messages; empty for data that comes from no file."""
    lines: dict[KeyPath, int] = field(default_factory=dict)
    """Line number of every value, counted from 1; for a value in a mapping, the line of its key."""

    def error(self, path: KeyPath, message: str) -> ValueError:
        """Return a one-line error that names the file, the line and the field.

        Args:
            path: the field; if its line is unknown, the nearest known parent gives the line number.
            message: the problem, and how to fix it.
        """
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        location = f"{self.name}:{self.lines[known]}: " if known in self.lines else ""
        shown = path if location else [part for part in path if isinstance(part, str)][-1:]
        return ValueError(f"{location}{'.'.join(map(str, shown))}{': ' if shown else ''}{' '.join(message.split())}")


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ValueError: if the file cannot be read, is empty, is not valid YAML, or contains a key twice. The message is
            one line with the file name and the line number.
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
        _record_lines(node, (), (), document)
        return Document(loader.construct_document(node), document.folder, document.name, document.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ValueError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"{path}: its values are nested too deeply; remove brackets or indentation") from None


def _record_lines(node: Any, path: KeyPath, ancestors: tuple[int, ...], document: Document) -> None:
    """Record the line numbers of a node and of all its descendants in `document.lines`."""
    document.lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in ancestors:
        raise document.error(path, "this value refers to itself; remove the alias")
    ancestors = (*ancestors, id(node))
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _record_lines(item, (*path, i), ancestors, document)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            child = (*path, str(key.value))
            if child in seen:
                line = key.start_mark.line + 1
                raise ValueError(f"{document.name}:{line}: {'.'.join(map(str, child))}: duplicate key; remove one")
            seen.add(child)
            document.lines[child] = key.start_mark.line + 1
            _record_lines(value, child, ancestors, document)
