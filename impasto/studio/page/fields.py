"""Build the form of settings: one field per setting of any method, of which the fields of one method are visible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from impasto.methods import METHODS
from impasto.studio.controls import Control, controls_of, settings_from, values_for


@dataclass(frozen=True)
class SettingFields:
    """The fields of the settings of all methods."""

    names: tuple[str, ...]
    """Names of the settings, in the order of `components`."""
    components: tuple[Any, ...]
    groups: tuple[tuple[Any, frozenset[str]], ...]
    """Container and names of the settings of each group of advanced settings."""

    @property
    def outputs(self) -> list[Any]:
        """Return the components that `updates` changes, in its order."""
        return [*self.components, *(container for container, _ in self.groups)]

    def settings(self, method: str, values: Sequence[Any]) -> dict[str, Any]:
        """Return the settings of a method from the values of `components`."""
        return settings_from(method, dict(zip(self.names, values, strict=True)))

    def updates(self, method: str, settings: Mapping[str, Any]) -> list[Any]:
        """Return updates that show the fields of a method with the given settings and hide all others."""
        controls = {control.name: control for control in controls_of(method)}
        values = values_for(method, settings)
        fields = [
            gr.update(visible=False) if name not in controls else _update(controls[name], values[name])
            for name in self.names
        ]
        return [*fields, *(gr.update(visible=not names.isdisjoint(controls)) for _, names in self.groups)]


def add_fields(method: str) -> SettingFields:
    """Add the fields to the page that is being built: main settings first, advanced settings in a fold by group.

    Args:
        method: method whose fields are visible at first.
    """
    visible = {control.name: control for control in controls_of(method)}
    controls = visible | {
        control.name: control for name in METHODS for control in controls_of(name) if control.name not in visible
    }
    main = [control for control in controls.values() if control.tier == "main"]
    advanced = [control for control in controls.values() if control.tier != "main"]
    fields = {control.name: _field(control, control.name in visible) for control in main}
    groups = []
    with gr.Accordion("Advanced settings", open=False):
        for heading in dict.fromkeys(control.group for control in advanced):
            members = [control for control in advanced if control.group == heading]
            names = frozenset(control.name for control in members)
            with gr.Group(visible=not names.isdisjoint(visible)) as container:
                groups.append((container, names))
                gr.Markdown(f"**{heading}**", elem_classes="group")
                fields |= {control.name: _field(control, control.name in visible) for control in members}
    return SettingFields(tuple(fields), tuple(fields.values()), tuple(groups))


def _field(control: Control, visible: bool) -> Any:
    options: dict[str, Any] = {"label": control.label, "info": control.help, "visible": visible, "interactive": True}
    options |= {"value": control.initial, "elem_id": f"setting-{control.name}"}
    if control.kind == "choice":
        return gr.Dropdown(list(control.choices), **options)
    if control.kind == "checkbox":
        return gr.Checkbox(**options)
    if control.kind == "slider":
        step = 1 if control.is_integer or control.maximum == 100 else 0.01
        return gr.Slider(control.minimum or 0, control.maximum or 1, step=step, buttons=["reset"], **options)
    if control.kind == "number" and control.initial is not None:
        return gr.Number(precision=0 if control.is_integer else None, **options)
    # an optional number is a text field, because gradio shows an empty number field as 0
    return gr.Textbox(placeholder="values separated by spaces" if control.kind == "list" else "automatic", **options)


def _update(control: Control, value: Any) -> Any:
    options: dict[str, Any] = {}
    if control.kind == "slider":
        options = {"minimum": control.minimum, "maximum": control.maximum}
    elif control.kind == "choice":
        options = {"choices": list(control.choices)}
    return gr.update(visible=True, value=value, info=control.help, **options)
