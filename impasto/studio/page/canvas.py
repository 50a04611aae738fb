"""What is seen of a painting: before and after, how far it is, its curves, and what to do with it."""

from __future__ import annotations

from html import escape

from impasto.studio.jobs import JobState
from impasto.studio.plot import curves_svg
from impasto.studio.requests import Order, name_of
from impasto.studio.snippets import as_command, as_python

WORDS = {
    "waiting": "Getting ready",
    "painting": "Painting",
    "done": "Done",
    "stopped": "Stopped; the best picture so far was kept",
    "failed": "This could not be painted",
    "cancelled": "Cancelled before it began",
}

SCRIPT = """
element.addEventListener('input', event => {
  if (event.target.type === 'range') element.style.setProperty('--cut', event.target.value + '%');
});
element.addEventListener('click', async event => {
  const button = event.target.closest('button[data-copies]');
  if (!button) return;
  const source = element.querySelector('#' + button.dataset.copies);
  try { await navigator.clipboard.writeText(source.textContent); button.textContent = 'Copied'; }
  catch (error) { getSelection().selectAllChildren(source); button.textContent = 'Selected: copy it now'; }
  setTimeout(() => { button.textContent = button.dataset.label; }, 2000);
});
"""


def nothing_yet(name: str) -> str:
    """The stage before anything was painted: the photograph."""
    if not name:
        return '<div class="stage"><p class="empty">Choose a photograph and a style.</p></div>'
    picture = f'<img src="sources/{escape(name)}" alt="The photograph: {escape(name_of(name))}">'
    return f'<div class="stage"><div class="frame">{picture}</div></div>'


def stage(view: JobState, content: str, after: str | None = None) -> str:
    """A job as it is now.

    Args:
        view: the job.
        content: the page's name for the photograph.
        after: key of the painting that it goes on from, which is shown until there is something newer.
    """
    body = _pictures(view, content, after)
    if view.error:
        body += f'<p class="refused" role="alert">{escape(view.error)}</p>'
    return (
        f'<div class="stage" data-status="{view.status}" data-key="{view.key}">{body}'
        f'<p class="status"><strong role="status">{words(view)}</strong> <span>{_figures(view)}</span></p>'
        f"{_bar(view)}<div class='curves'>{curves_svg(view.curve)}</div></div>"
    )


def words(view: JobState) -> str:
    """How far a job is."""
    return f"Waiting: {view.place} before this one" if view.place else WORDS[view.status]


def compared(before: str, after: str, title: str) -> str:
    """Two pictures, one over the other, with a slider between them; the places are addresses on this page."""
    return (
        '<div class="frame">'
        f'<img class="before" src="{escape(before)}" alt="Before: the photograph">'
        f'<img class="after" src="{escape(after)}" alt="{escape(title)}">'
        '<input type="range" min="0" max="100" value="100" step="1" aria-label="How much of the painting is shown">'
        "</div>"
    )


def take_away(key: str, order: Order) -> str:
    """Downloads, and the order as a command and as Python."""
    code = _code(key, "command", as_command(order)) + _code(key, "Python", as_python(order))
    name = f"impasto-{key}.png"
    return (
        f'<div class="take"><a href="pictures/{key}.png" download="{name}">Download PNG, with its record</a> '
        f'<a href="pictures/{key}.json" download="impasto-{key}.json">Record</a>{code}</div>'
    )


def _code(key: str, name: str, text: str) -> str:
    place = f"code-{key}-{name}"
    button = f'<button type="button" data-copies="{place}" data-label="Copy as {name}">Copy as {name}</button>'
    shown = f'<pre id="{place}" tabindex="0">{escape(text)}</pre>'
    return f"<details><summary>As {name}</summary>{shown}{button}</details>"


def _pictures(view: JobState, content: str, after: str | None) -> str:
    title = f"The painting: {view.order.title}"
    before = f"sources/{content}"
    if view.status in ("done", "stopped"):
        return compared(before, f"pictures/{view.key}.png", title)
    if view.has_preview:
        return compared(before, f"jobs/{view.key}/preview?{view.version}", f"{title}, at step {view.step}")
    if after is not None:
        return compared(before, f"jobs/{after}/preview?last", f"{title}, before it goes on")
    return f'<div class="frame"><img class="before" src="{escape(before)}" alt="Before: the photograph"></div>'


def _figures(view: JobState) -> str:
    if not view.step:
        return ""
    steps = f"step {view.step}" + (f" of {view.total}" if view.total else "")
    loss = f"loss {view.curve[-1].loss:.4g}"
    spent = f"{view.seconds:.1f} s"
    if view.status == "painting":
        left = "until nothing gets better" if view.left is None else f"{_clock(view.left)} left"
        return f"{steps} · {loss} · {spent} · {left}"
    return f"{steps} · {loss} · {spent}"


def _bar(view: JobState) -> str:
    if view.status != "painting" or not view.total:
        return ""
    return f'<progress max="{view.total}" value="{view.step}" aria-label="Steps painted"></progress>'


def _clock(seconds: float) -> str:
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"
