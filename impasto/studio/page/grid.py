"""Pictures in a grid, each a button."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import gradio as gr

SCRIPT = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-key]');
  if (!button) return;
  for (const other of element.querySelectorAll('button[data-key]'))
    other.setAttribute('aria-pressed', other === button);
  trigger('select', {key: button.dataset.key});
});
"""


@dataclass(frozen=True)
class Cell:
    """One picture of a grid."""

    key: str
    source: str
    """Address of the picture on this page; empty where there is none yet."""
    alt: str
    caption: str


def grid(cells: Sequence[Cell], *, empty: str) -> str:
    """The cells, or a sentence where there are none."""
    if not cells:
        return f'<p class="empty">{escape(empty)}</p>'
    return f'<div class="grid">{"".join(map(_button, cells))}</div>'


def grid_component(value: str, name: str) -> gr.HTML:
    """A grid in the page that is being built; choosing a cell is its event `select`."""
    return gr.HTML(value, js_on_load=SCRIPT, apply_default_css=False, elem_id=name)


def key_of(event: gr.EventData) -> str:
    """Which cell was chosen, as the visitor's page says: to be looked up, never trusted."""
    key = getattr(event, "_data", None)
    return str(key.get("key", "")) if isinstance(key, dict) else ""


def _button(cell: Cell) -> str:
    picture = f'<img src="{escape(cell.source)}" alt="{escape(cell.alt)}" loading="lazy">' if cell.source else ""
    pending = '<span class="pending"></span>' if not cell.source else ""
    return (
        f'<button type="button" data-key="{escape(cell.key)}" aria-pressed="false">{picture}{pending}'
        f"<span>{escape(cell.caption)}</span></button>"
    )
