"""Describe methods, settings and images as JSON, for the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from impasto.methods import METHODS
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.studio.controls import Control, controls_of
from impasto.studio.estimates import quality_factors, seconds_per_megapixel
from impasto.studio.examples import EXAMPLES, technique_file
from impasto.studio.labels import GROUPS, PRESETS, TECHNIQUES, choice_label, image_label, setting_label, technique
from impasto.studio.regions import PALETTE
from impasto.studio.requests import MAX_STYLES, can_continue, display_name
from impasto.studio.service import StudioService
from impasto.studio.uploads import frame_count
from impasto.video.extra import missing
from impasto.video.stylize import DEFAULT_METHOD


def catalog(service: StudioService) -> dict[str, Any]:
    """Return everything that the page needs to build its form.

    Returns:
        `contents`, `styles` and `uploads`: images; `networks`: networks that were adapted to one of the styles;
        `examples`: pictures of the first visit; `techniques`: methods, each with the indices of its settings in
        `controls`; `seconds`: expected seconds per megapixel of each method.
    """
    controls: list[dict[str, Any]] = []
    order = [*(name for name in TECHNIQUES if name in METHODS), *(name for name in METHODS if name not in TECHNIQUES)]
    return {
        "contents": [describe_image(service, name) for name in CONTENTS if _is_installed(name)],
        "styles": [describe_image(service, name) for name in STYLES],
        "examples": [{**asdict(each), "file": each.file} for each in EXAMPLES if _is_installed(each.content)],
        "uploads": [describe_image(service, key) for key in service.uploads.library()],
        "techniques": [_describe_method(name, controls) for name in order],
        "controls": controls,
        "networks": service.networks.entries(),
        "seconds": seconds_per_megapixel(service.history.entries()),
        "palette": PALETTE,
        "max_styles": MAX_STYLES,
        "max_bytes": service.uploads.max_bytes,
        "clips": {"max_bytes": service.clips.max_bytes, "needs": missing(), "method": DEFAULT_METHOD},
    }


def describe_image(service: StudioService, name: str) -> dict[str, Any]:
    """Return the name, the label and a note of a sample or an upload.

    Raises:
        ValueError: for any other name.
    """
    sample = CONTENTS.get(name) or STYLES.get(name)
    if sample is not None:
        return {"name": name, "label": image_label(name), "summary": sample.summary}
    path = service.uploads.path(name)
    frames = frame_count(path)
    note = f"animated; only the first of {frames} frames is used" if frames > 1 else ""
    return {"name": name, "label": display_name(str(path)), "note": note, "kinds": service.uploads.kinds(name)}


def _is_installed(sample: str) -> bool:
    """Return whether a sample can be read; the photographs are part of scikit-image, which is optional."""
    try:
        resolve(sample)
    except ValueError:
        return False
    return True


def _describe_method(name: str, controls: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a method; append those of its settings to `controls` that are not in it yet."""
    indices = []
    for control in controls_of(name):
        described = _describe_control(control)
        if described not in controls:
            controls.append(described)
        indices.append(controls.index(described))
    shown = technique(name)
    return {
        "name": name,
        "label": shown.label,
        "sentence": shown.sentence,
        "summary": METHODS[name].summary,
        "first": shown.is_first,
        "file": technique_file(name) if name in TECHNIQUES else None,
        "continues": can_continue(name),
        "any_style": METHODS[name].any_style,
        "quality": quality_factors(name),
        "controls": indices,
    }


def _describe_control(control: Control) -> dict[str, Any]:
    label, hint = setting_label(control.name, control.help)
    return {
        "name": control.name,
        "label": label,
        "hint": hint,
        "help": control.help,
        "kind": control.kind,
        "initial": control.initial,
        "main": control.tier == "main",
        "group": GROUPS.get(control.group, control.group.replace("`", "")),
        "integer": control.is_integer,
        "min": control.minimum,
        "max": control.maximum,
        "presets": [*PRESETS.get(control.name, {}).items()],
        "choices": [[choice, choice_label(control.name, choice)] for choice in control.choices],
    }
