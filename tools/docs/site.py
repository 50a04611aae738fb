"""Add the pages of the repository's root to the documentation site; a hook of mkdocs.

On the site `CONTRIBUTING.md`, `ARCHITECTURE.md` and `CHANGELOG.md` stand beside the pages of `docs/`. Links between the
root and `docs/` are rewritten, so that the same files also work on a disk and on a code host.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
PAGES = ("CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")


def on_files(files: Any, *, config: Any) -> Any:
    """Add the pages of the root, in lower case."""
    for name in PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        text = re.sub(r"\]\(docs/", "](", text)
        for other in PAGES:
            text = text.replace(f"]({other}", f"]({other.lower()}")
        files.append(File.generated(config, name.lower(), content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Point the links from `docs/` to the root at the pages of the site."""
    for name in PAGES:
        markdown = re.sub(rf"\]\(\.\./((?:\.\./)*){name}", rf"](\1{name.lower()}", markdown)
    return markdown.replace("](../README.md", "](index.md")
