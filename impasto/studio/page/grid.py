"""Show pictures in a grid of buttons."""

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
class GridCell:
    """One picture of a grid."""

    key: str
    source: str
    """Address of the picture on this page; empty as long as the job has none."""
    alt: str
    caption: str


def grid_html(cells: Sequence[GridCell], *, empty: str) -> str:
    """Return the grid, or the text `empty` for no cells."""
    if not cells:
        return f'<p class="empty">{escape(empty)}</p>'
    return f'<div class="grid">{"".join(map(_button, cells))}</div>'


def grid_component(value: str, element_id: str) -> gr.HTML:
    """Add a grid to the page that is being built; a click on a cell is its event `select`."""
    return gr.HTML(value, js_on_load=SCRIPT, apply_default_css=False, elem_id=element_id)


def selected_key(event: gr.EventData) -> str:
    """Return the key of the selected cell. It comes from the client, so that callers must check it."""
    data = getattr(event, "_data", None)
    return str(data.get("key", "")) if isinstance(data, dict) else ""


def _button(cell: GridCell) -> str:
    picture = f'<img src="{escape(cell.source)}" alt="{escape(cell.alt)}" loading="lazy">' if cell.source else ""
    pending = '<span class="pending"></span>' if not cell.source else ""
    return (
        f'<button type="button" data-key="{escape(cell.key)}" aria-pressed="false">{picture}{pending}'
        f"<span>{escape(cell.caption)}</span></button>"
    )
