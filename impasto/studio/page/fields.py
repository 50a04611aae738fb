"""Settings as fields of the page: one for every setting that any method has; a choice of method shows its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from impasto.methods import METHODS
from impasto.studio.controls import FIRST, Control, controls_of, settings_from, values_for


@dataclass(frozen=True)
class Fields:
    """The fields of all methods, in one order."""

    names: tuple[str, ...]
    components: tuple[Any, ...]
    groups: tuple[tuple[Any, frozenset[str]], ...]
    """What holds some of them together, and their names."""

    @property
    def outputs(self) -> list[Any]:
        """What `shown` updates, in its order."""
        return [*self.components, *(group for group, _ in self.groups)]

    def settings(self, method: str, values: Sequence[Any]) -> dict[str, Any]:
        """What the fields, given in the order of `components`, say for a method."""
        return settings_from(method, dict(zip(self.names, values, strict=True)))

    def shown(self, method: str, settings: Mapping[str, Any]) -> list[Any]:
        """Updates that show a method's own fields with the given settings, and hide the others."""
        controls = {control.name: control for control in controls_of(method)}
        values = values_for(method, settings)
        fields = [
            gr.update(visible=False) if name not in controls else _update(controls[name], values[name])
            for name in self.names
        ]
        return [*fields, *(gr.update(visible=not names.isdisjoint(controls)) for _, names in self.groups)]


def lay_out(method: str) -> Fields:
    """Puts the fields into the page that is being built: a few first, the rest behind "more"."""
    first = {control.name: control for control in controls_of(method)}
    every = {control.name: control for name in METHODS for control in controls_of(name)} | first
    made = {name: _field(every[name], name in first) for name in FIRST if name in every}
    with gr.Accordion("More settings", open=False):
        groups = []
        for group in dict.fromkeys(control.group for control in every.values() if control.group != "first"):
            members = [control for control in every.values() if control.group == group]
            names = frozenset(control.name for control in members)
            with gr.Group(visible=not names.isdisjoint(first)) as box:
                groups.append((box, names))
                gr.Markdown(f"**{group}**", elem_classes="group")
                made |= {control.name: _field(control, control.name in first) for control in members}
    return Fields(tuple(made), tuple(made.values()), tuple(groups))


def _field(control: Control, visible: bool) -> Any:
    said: dict[str, Any] = {"label": control.label, "info": control.help, "visible": visible, "interactive": True}
    said |= {"value": control.shown, "elem_id": f"setting-{control.name}"}
    if control.kind == "choice":
        return gr.Dropdown(list(control.choices), **said)
    if control.kind == "switch":
        return gr.Checkbox(**said)
    if control.kind == "slider":
        step = 1 if control.whole or control.maximum == 100 else 0.01
        return gr.Slider(control.minimum or 0, control.maximum or 1, step=step, buttons=["reset"], **said)
    if control.kind == "number" and control.shown is not None:
        return gr.Number(precision=0 if control.whole else None, **said)
    # an optional number is a text too: a field of numbers shows 0 where there is nothing
    return gr.Textbox(placeholder="several, with spaces between" if control.kind == "list" else "not set", **said)


def _update(control: Control, value: Any) -> Any:
    own: dict[str, Any] = {}
    if control.kind == "slider":
        own = {"minimum": control.minimum, "maximum": control.maximum}
    elif control.kind == "choice":
        own = {"choices": list(control.choices)}
    return gr.update(visible=True, value=value, info=control.help, **own)
