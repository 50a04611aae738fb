"""Show a job or a result as HTML: before and after, progress, loss curves, downloads and code."""

from __future__ import annotations

from html import escape

from impasto.studio.jobs import JobState
from impasto.studio.plot import curves_svg
from impasto.studio.requests import StylizeRequest, display_name
from impasto.studio.snippets import python_script, shell_command

STATUS_LABELS = {
    "waiting": "Preparing",
    "running": "Running",
    "done": "Finished",
    "stopped": "Stopped; the best image so far was saved",
    "failed": "Failed",
    "cancelled": "Cancelled before it started",
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
  catch (error) { getSelection().selectAllChildren(source); button.textContent = 'Press Ctrl+C to copy'; }
  setTimeout(() => { button.textContent = 'Copy'; }, 2000);
});
"""
"""Moves the divider between before and after, and copies code."""


def content_html(name: str) -> str:
    """Return the canvas before the first job: the content image, or a hint where none is chosen."""
    if not name:
        return '<div class="canvas"><p class="empty">Choose a content image and a style image.</p></div>'
    picture = f'<img src="sources/{escape(name)}" alt="Content image: {escape(display_name(name))}">'
    return f'<div class="canvas"><div class="frame">{picture}</div></div>'


def job_html(job: JobState, content: str, parent: str | None = None) -> str:
    """Return the canvas of a job.

    Args:
        job: current state of the job.
        content: name of the content image on the page.
        parent: key of the job that it continues, whose image is shown until the first preview.
    """
    body = _pictures(job, content, parent)
    if job.error:
        body += error_html(job.error)
    return (
        f'<div class="canvas" data-status="{job.status}" data-key="{job.key}">{body}'
        f'<p class="status"><strong role="status">{status_text(job)}</strong> <span>{_progress_text(job)}</span></p>'
        f"{_progress_bar(job)}<div class='curves'>{curves_svg(job.curve)}</div></div>"
    )


def error_html(error: object) -> str:
    """Return an error message."""
    return f'<p class="error-message" role="alert">{escape(str(error))}</p>'


def status_text(job: JobState) -> str:
    """Return the status of a job in words."""
    if not job.queue_position:
        return STATUS_LABELS[job.status]
    return f"Queued: {job.queue_position} {'job' if job.queue_position == 1 else 'jobs'} before this one"


def before_after_html(before: str, after: str, title: str) -> str:
    """Return two pictures on top of each other with a slider between them.

    Args:
        before: address of the content image.
        after: address of the stylized image.
        title: alternative text of the stylized image.
    """
    return (
        '<div class="frame">'
        f'<img class="before" src="{escape(before)}" alt="Before: the content image">'
        f'<img class="after" src="{escape(after)}" alt="{escape(title)}">'
        '<input type="range" min="0" max="100" value="100" step="1" aria-label="Visible part of the stylized image">'
        "</div>"
    )


def downloads_html(key: str, request: StylizeRequest) -> str:
    """Return the download links of a result, and its request as a command and as Python."""
    code = _code(key, "command", "Shell command", shell_command(request))
    code += _code(key, "python", "Python code", python_script(request))
    return (
        f'<div class="downloads"><a href="pictures/{key}.png" download="impasto-{key}.png">Download PNG</a> '
        f'<a href="pictures/{key}.json" download="impasto-{key}.json">Download record (JSON)</a>{code}</div>'
    )


def _code(key: str, name: str, label: str, text: str) -> str:
    code_id = f"code-{key}-{name}"
    button = f'<button type="button" data-copies="{code_id}">Copy</button>'
    code = f'<pre id="{code_id}" tabindex="0">{escape(text)}</pre>'
    return f"<details><summary>{label}</summary>{code}{button}</details>"


def _pictures(job: JobState, content: str, parent: str | None) -> str:
    title = f"Result: {job.request.title}"
    before = f"sources/{content}"
    if job.has_picture:
        return before_after_html(before, f"pictures/{job.key}.png", title)
    if job.has_preview:
        return before_after_html(before, f"jobs/{job.key}/preview?{job.version}", f"{title}, at step {job.step}")
    if parent is not None:
        return before_after_html(before, f"jobs/{parent}/preview?last", f"{title}, start")
    return f'<div class="frame"><img class="before" src="{escape(before)}" alt="Before: the content image"></div>'


def _progress_text(job: JobState) -> str:
    if not job.step:
        return ""
    steps = f"step {job.step}" + (f" of {job.total}" if job.total else "")
    parts = [steps, f"loss {job.curve[-1].loss:.4g}", f"{job.seconds:.1f} s"]
    if job.status == "running" and not job.total:
        parts.append("stops when converged")
    elif job.status == "running" and job.seconds_left is not None:
        parts.append(f"{_minutes(job.seconds_left)} left")
    return " · ".join(parts)


def _progress_bar(job: JobState) -> str:
    if job.status != "running" or not job.total:
        return ""
    return f'<progress max="{job.total}" value="{job.step}" aria-label="Progress"></progress>'


def _minutes(seconds: float) -> str:
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"
