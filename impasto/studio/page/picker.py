"""Choose images from the samples, or upload them by a click or by drag and drop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from impasto.samples import CONTENTS, STYLES
from impasto.studio.requests import display_name

TEMPLATE = """
<fieldset class="picker">
<legend>{{value.legend}}</legend>
<div class="options">
{{#each value.options}}
<label title="{{this.alt}}"><input type="{{../value.kind}}" name="{{../value.legend}}" value="{{this.name}}">
<img src="sources/{{this.name}}" alt="{{this.alt}}" loading="lazy"><span>{{this.label}}</span></label>
{{/each}}
<label class="drop-zone"><input type="file" accept="image/*,.mpo" {{value.multiple}}>
<span>Drop an image here, or click to choose a file</span></label>
</div>
<p class="error-message" role="alert">{{value.error}}</p>
</fieldset>
"""

SCRIPT = """
const showChosen = () => {
  for (const input of element.querySelectorAll('input:not([type=file])'))
    input.checked = props.value.chosen.includes(input.value);
};
const choose = () => {
  const chosen = [...element.querySelectorAll('input:checked')].map(input => input.value);
  props.value = {...props.value, chosen, error: ''};
  setTimeout(() => trigger('input'), 0);
};
const uploadFiles = async files => {
  for (const file of files) {
    let result;
    try {
      const address = 'uploads?name=' + encodeURIComponent(file.name);
      const response = await fetch(address, {method: 'POST', body: file});
      result = await response.json();
    } catch (error) { result = {error: file.name + ': the upload failed; try again'}; }
    if (result.error) { props.value = {...props.value, error: result.error}; continue; }
    const others = props.value.options.filter(option => option.name !== result.name);
    const chosen = props.value.kind === 'radio' ? [result.name] : [...props.value.chosen, result.name];
    props.value = {...props.value, options: [...others, result], chosen: [...new Set(chosen)], error: ''};
    setTimeout(() => { showChosen(); trigger('input'); }, 50);
  }
};
element.addEventListener('change', event => {
  if (event.target.type === 'file') { uploadFiles([...event.target.files]); event.target.value = ''; } else choose();
});
for (const name of ['dragover', 'drop'])
  element.addEventListener(name, event => {
    event.preventDefault();
    element.querySelector('.drop-zone').classList.toggle('drag-over', name === 'dragover');
    if (name === 'drop') uploadFiles([...event.dataTransfer.files]);
  });
element.addEventListener('dragleave', () => element.querySelector('.drop-zone').classList.remove('drag-over'));
watch('value', showChosen);
showChosen();
"""


def add_picker(legend: str, samples: Sequence[str], chosen: Sequence[str], *, multiple: bool) -> gr.HTML:
    """Add a picker to the page that is being built; `chosen_in` reads its value.

    Args:
        legend: heading of the picker.
        samples: names of the samples to choose from.
        chosen: names that are chosen at first.
        multiple: whether several images can be chosen.
    """
    value = {
        "legend": legend,
        "kind": "checkbox" if multiple else "radio",
        "multiple": "multiple" if multiple else "",
        "options": [option(name) for name in samples],
        "chosen": list(chosen),
        "error": "",
    }
    return gr.HTML(value, html_template=TEMPLATE, js_on_load=SCRIPT, apply_default_css=False)


def option(name: str) -> dict[str, str]:
    """Return the name, the label and the alternative text of a sample or an upload."""
    sample = CONTENTS.get(name) or STYLES.get(name)
    return {"name": name, "label": display_name(name), "alt": sample.summary if sample else display_name(name)}


def chosen_in(value: Any) -> list[str]:
    """Return the names that are chosen in a picker.

    Raises:
        ValueError: for a malformed value from a client.
    """
    chosen = value.get("chosen") if isinstance(value, dict) else None
    if not isinstance(chosen, list) or not all(isinstance(name, str) for name in chosen):
        raise ValueError("the selection of images is malformed; reload the page")
    return chosen


def with_chosen(value: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the value of a picker in which the given names are chosen; missing options are added."""
    known = [each for each in value["options"] if isinstance(each, dict)]
    missing = [option(name) for name in names if name not in {each.get("name") for each in known}]
    return {**value, "options": [*known, *missing], "chosen": list(names), "error": ""}
