"""A row of pictures to choose from, to which visitors add their own by dropping them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from impasto.samples import CONTENTS, STYLES
from impasto.studio.requests import name_of

TEMPLATE = """
<fieldset class="picker" data-many="{{value.many}}">
<legend>{{value.legend}}</legend>
<div class="options">
{{#each value.options}}
<label title="{{this.alt}}"><input type="{{../value.kind}}" name="{{../value.legend}}" value="{{this.name}}">
<img src="sources/{{this.name}}" alt="{{this.alt}}" loading="lazy"><span>{{this.label}}</span></label>
{{/each}}
<label class="drop"><input type="file" accept="image/*" {{value.multiple}}>
<span>Drop a picture here, or choose one</span></label>
</div>
<p class="refused" role="alert">{{value.error}}</p>
</fieldset>
"""

SCRIPT = """
const show = () => {
  for (const input of element.querySelectorAll('input:not([type=file])'))
    input.checked = props.value.chosen.includes(input.value);
};
const choose = () => {
  const chosen = [...element.querySelectorAll('input:checked')].map(input => input.value);
  props.value = {...props.value, chosen, error: ''};
  setTimeout(() => trigger('input'), 0);
};
const bring = async files => {
  for (const file of files) {
    let said;
    try {
      const answer = await fetch('uploads?name=' + encodeURIComponent(file.name), {method: 'POST', body: file});
      said = await answer.json();
    } catch (error) { said = {error: file.name + ': it did not arrive; try again'}; }
    if (said.error) { props.value = {...props.value, error: said.error}; continue; }
    const others = props.value.options.filter(option => option.name !== said.name);
    const chosen = props.value.kind === 'radio' ? [said.name] : [...props.value.chosen, said.name];
    props.value = {...props.value, options: [...others, said], chosen: [...new Set(chosen)], error: ''};
    setTimeout(() => { show(); trigger('input'); }, 50);
  }
};
element.addEventListener('change', event => {
  if (event.target.type === 'file') { bring([...event.target.files]); event.target.value = ''; } else choose();
});
for (const name of ['dragover', 'drop'])
  element.addEventListener(name, event => {
    event.preventDefault();
    element.querySelector('.drop').classList.toggle('over', name === 'dragover');
    if (name === 'drop') bring([...event.dataTransfer.files]);
  });
element.addEventListener('dragleave', () => element.querySelector('.drop').classList.remove('over'));
watch('value', show);
show();
"""


def picker(legend: str, samples: Sequence[str], chosen: Sequence[str], *, many: bool) -> gr.HTML:
    """A picker; its value is read by `chosen_in`."""
    value = {
        "legend": legend,
        "kind": "checkbox" if many else "radio",
        "multiple": "multiple" if many else "",
        "options": [option(name) for name in samples],
        "chosen": list(chosen),
        "error": "",
    }
    return gr.HTML(value, html_template=TEMPLATE, js_on_load=SCRIPT, apply_default_css=False)


def option(name: str) -> dict[str, str]:
    """A sample or an upload, as a picker and its script know it."""
    sample = CONTENTS.get(name) or STYLES.get(name)
    return {"name": name, "label": name_of(name), "alt": sample.summary if sample else name_of(name)}


def chosen_in(value: Any) -> list[str]:
    """The names chosen in a picker; whatever else a visitor may have sent is refused with a `ValueError`."""
    chosen = value.get("chosen") if isinstance(value, dict) else None
    if not isinstance(chosen, list) or not all(isinstance(name, str) for name in chosen):
        raise ValueError("the choice of pictures cannot be read; load the page again")
    return chosen


def choosing(value: Any, names: Sequence[str]) -> dict[str, Any]:
    """The value of a picker in which these names are chosen, added where they are not there yet."""
    known = [each for each in value["options"] if isinstance(each, dict)]
    missing = [option(name) for name in names if name not in {each.get("name") for each in known}]
    return {**value, "options": [*known, *missing], "chosen": list(names), "error": ""}
