// The form of the tab Paint: photo, styles, technique, strength, and all other settings in folds.
import { attempt, duration, el, find, instantAddress, notify, plural, request, sourceAddress } from "./dom.js";
import { activeNetwork, activeRegions, addImage, catalog, change, choices, controls, images, label, onChange, outputSize, setValue, settings,
  technique } from "./choices.js";
import { makeFast } from "./fast.js";
import { openRegions } from "./regions.js";

const FIRST = ["size", "style_scale", "color", "seed"]; // settings in "More settings"
const OWN = new Set([...FIRST, "strength", "quality", "style_mix"]); // settings with a place of their own
const parts = {};

export function buildForm() {
  parts.content = fieldset("Your photo", "contents");
  parts.styles = fieldset("Style", "styles");
  parts.blend = el("div");
  parts.styles.field.append(parts.blend, makeFast());
  parts.technique = el("fieldset", { id: "techniques" });
  parts.strength = el("div");
  parts.quality = el("div");
  parts.more = el("div");
  parts.advanced = el("div");
  const more = fold("More settings", parts.more, "more-settings");
  const advanced = fold("Advanced", parts.advanced, "advanced-settings");
  find("#settings").append(parts.content.field, parts.styles.field, parts.strength, parts.technique, parts.quality, more, advanced);
  find("#settings").addEventListener("submit", event => event.preventDefault());
  showContents();
  showStyles();
  showTechniques();
  showSettings();
  onChange(names => {
    if (names.some(name => ["content", "uploads"].includes(name))) showContents();
    if (names.some(name => ["content", "styles", "blend", "weights", "uploads", "networks", "fast"].includes(name))) showStyles();
    if (names.some(name => ["method", "content", "styles"].includes(name))) showTechniques();
    if (names.includes("method") || names.includes("restored")) showSettings();
    if (names.includes("values")) showTimes();
    if (names.some(name => ["regions", "styles", "content", "blend"].includes(name))) showRegions();
  });
}

function fieldset(title, kind) {
  const more = el("span", { class: "more" });
  const tiles = el("div", { class: "tiles" });
  const field = el("fieldset", { class: kind, id: kind, data: { target: kind === "contents" ? "content" : "style" } },
    el("legend", { text: title }, more), tiles);
  return { field, tiles, more };
}

const fold = (title, body, id) => el("details", { class: "fold", id }, el("summary", { text: title }), body);

function tile(image, kind, checked, choose, pictures) {
  const isUpload = catalog.uploads.includes(image);
  const input = el("input", { type: kind, name: kind === "radio" ? pictures.group : undefined, value: image.name, checked,
    "aria-label": image.label, onchange: choose, "aria-keyshortcuts": isUpload && "Delete",
    onkeydown: event => { if (isUpload && event.key === "Delete") removeUpload(image); } });
  const remove = isUpload && el("button", { type: "button", class: "remove", text: "×", "aria-label": `Remove ${image.label}`, tabindex: "-1",
    title: "Remove from the library (Delete)", onclick: () => removeUpload(image) });
  return el("label", { class: "tile", title: image.summary ?? image.note ?? image.label, data: { name: image.name } },
    pictures.elements, el("span", { text: image.label }), input, remove);
}

function addTile(kind) {
  const input = el("input", { type: "file", accept: "image/*,.mpo,.heic,.heif,.hif,.jxl", multiple: true, "aria-label": kind === "content" ? "Add your own photo" : "Add your own style",
    onchange: () => { addFiles([...input.files], kind); input.value = ""; } });
  return el("label", { class: "tile add" }, el("span", { text: "Add your own" }), input);
}

/** Replace the tiles of a field, and keep the focus on the same picture. */
function fill(tiles, ...children) {
  const focused = tiles.contains(document.activeElement) ? document.activeElement.value : null;
  tiles.replaceChildren(...children.flat());
  if (focused) tiles.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
}

const withStored = (list, kind, chosen) =>
  [...catalog.uploads.filter(image => !image.hidden && (image.kinds.includes(kind) || chosen.includes(image.name))), ...list];

function showContents() {
  fill(parts.content.tiles, addTile("content"), withStored(catalog.contents, "content", [choices.content]).map(image => tile(image, "radio",
    image.name === choices.content, () => change({ content: image.name }), { group: "content",
      elements: [el("img", { src: sourceAddress(image.name, true), alt: "", loading: "lazy" })] })));
}

let painting = 0; // counts the series of instant previews; a newer one ends the older ones

function showStyles() {
  const { blend, styles, content } = choices;
  parts.styles.more.textContent = blend ? "Pick several" : "";
  const choose = name => {
    if (!blend) return change({ styles: [name] });
    const chosen = styles.includes(name) ? styles.filter(each => each !== name) : [...styles, name];
    if (chosen.length > catalog.max_styles) return notify(`Pick at most ${catalog.max_styles} styles.`, { error: true });
    return change({ styles: chosen });
  };
  const known = new Map([...parts.styles.tiles.querySelectorAll("img.instant")].map(image => [image.dataset.address, image]));
  const list = withStored(catalog.styles, "style", styles);
  fill(parts.styles.tiles, addTile("style"), list.map(image => {
    const network = activeNetwork([image.name]);
    const address = instantAddress(content, [image.name], 192, network);
    const original = sourceAddress(image.name, true);
    const shown = known.get(address) ?? el("img", { class: "instant", alt: "", src: original, data: { address } });
    return tile(image, blend ? "checkbox" : "radio", styles.includes(image.name), () => choose(image.name), { group: "style",
      elements: [shown, el("img", { class: "original", src: original, alt: "" }), network && el("small", { class: "badge", text: "fast", title: "Has a network of its own" })] });
  }));
  showInstants();
  showBlend();
}

async function showInstants() {
  const series = ++painting;
  if (!choices.content) return;
  await null; // lets the stage request its version, which comes first
  await find("#stage .after").decode().catch(() => {});
  if (series !== painting) return;
  for (const image of parts.styles.tiles.querySelectorAll("img.instant")) {
    if (image.getAttribute("src") === image.dataset.address) continue;
    const loaded = el("img", { src: image.dataset.address });
    try { await loaded.decode(); } catch { continue; }
    if (series !== painting) return;
    image.src = image.dataset.address;
  }
}

function showBlend() {
  const toggle = el("label", { class: "check" }, el("input", { type: "checkbox", id: "blend", checked: choices.blend,
    onchange: event => change({ blend: event.target.checked, styles: event.target.checked ? choices.styles : choices.styles.slice(0, 1) }) }),
  "Blend several styles");
  const weights = choices.blend && choices.styles.length > 1 && el("div", { class: "weights" }, choices.styles.map(name => {
    const output = el("output", { text: choices.weights[name] ?? 50 });
    return el("label", {}, label(name), el("input", { type: "range", min: 0, max: 100, value: String(choices.weights[name] ?? 50),
      "aria-label": `Weight of ${label(name)}`, oninput: event => { output.textContent = event.target.value; },
      onchange: event => change({ weights: { ...choices.weights, [name]: Number(event.target.value) } }) }), output);
  }));
  const hadFocus = parts.blend.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") ?? "#blend" : null;
  parts.blend.replaceChildren(el("div", { class: "row" }, toggle, el("span", { id: "regions-row", class: "row" })), weights || "");
  if (hadFocus) (hadFocus === "#blend" ? find("#blend") : parts.blend.querySelector(`[aria-label="${CSS.escape(hadFocus)}"]`))?.focus();
  showRegions();
}

function showRegions() {
  const row = find("#regions-row");
  const regions = choices.regions[choices.content];
  const isPossible = choices.styles.length > 1;
  const blend = () => change({ blend: true });
  const open = () => (isPossible ? openRegions()
    : notify("Regions need two or more styles, one for each part of your photo.", choices.blend ? {} : { label: "Pick several", action: blend }));
  const use = regions && el("label", { class: "check" }, el("input", { type: "checkbox", id: "use-regions", checked: Boolean(activeRegions()),
    onchange: event => change({ regions: { ...choices.regions, [choices.content]: { ...regions, use: event.target.checked } } }) }), "Apply my regions");
  row.replaceChildren(el("button", { type: "button", id: "open-regions", class: "link", text: "Regions…", "aria-disabled": String(!isPossible),
    title: isPossible ? "A different style for each part of your photo" : "Blend two or more styles first", onclick: open }), use || "");
}

function showTechniques() {
  const isOpen = parts.technique.querySelector("details")?.open ?? false;
  const card = each => {
    const isTrained = !each.any_style && choices.styles.some(name => !catalog.styles.some(style => style.name === name));
    const input = el("input", { type: "radio", name: "method", value: each.name, checked: each.name === choices.method, "aria-label": each.label,
      disabled: isTrained && each.name !== choices.method, onchange: () => change({ method: each.name }) });
    const picture = each.file && el("img", { src: `page/${each.file}`, alt: "", width: 48, height: 48, loading: "lazy" });
    return el("label", { class: "card", title: each.summary }, picture, el("b", { text: each.label }), el("small", { class: "time", data: { method: each.name } }),
      el("small", { class: "sentence", text: each.sentence }), input);
  };
  const first = catalog.techniques.filter(each => each.first);
  const others = catalog.techniques.filter(each => !each.first);
  const hidden = others.some(each => each.name === choices.method);
  const more = fold(`More techniques (${others.length})`, el("div", { class: "cards" }, others.map(card)), "more-techniques");
  more.open = isOpen || hidden;
  const focused = parts.technique.contains(document.activeElement) ? document.activeElement.value : null;
  parts.technique.replaceChildren(el("legend", { text: "Technique" }), el("div", { class: "cards" }, first.map(card)), more);
  if (focused) parts.technique.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
  showTimes();
}

/** Return the expected seconds of a technique with a size and a quality, by default the chosen ones, or null. */
function expectedSeconds(method, { size = outputSize() || 1024, quality } = {}) {
  const pace = catalog.seconds[method];
  if (!pace) return null;
  const factor = technique(method).quality[quality ?? settings(method).quality] ?? 1;
  return Math.max(0.1, pace * ((size * size * 0.7) / 1e6) * factor);
}

/** Return an expected time in words: "at once", "about 25 s", or nothing. */
export function expectedTime(method, options) {
  const seconds = expectedSeconds(method, options);
  if (seconds === null) return "";
  return seconds < 1 ? "at once" : `about ${duration(seconds < 20 ? seconds : Math.round(seconds / 5) * 5)}`;
}

function showTimes() {
  for (const cell of parts.technique.querySelectorAll(".time")) cell.textContent = expectedTime(cell.dataset.method);
  for (const cell of parts.quality.querySelectorAll(".time")) cell.textContent = expectedTime(choices.method, { quality: cell.dataset.quality });
}

function showSettings() {
  const all = controls();
  const named = name => all.find(each => each.name === name);
  for (const name of ["strength", "quality"]) parts[name].replaceChildren(...[named(name)].filter(Boolean).map(field));
  parts.more.replaceChildren(...FIRST.map(named).filter(Boolean).map(field), bitsField());
  const others = all.filter(each => !OWN.has(each.name));
  const groups = [...new Set(others.map(each => each.group))];
  parts.advanced.replaceChildren(...groups.map(group => el("div", { class: "group" }, el("h2", { text: group }),
    others.filter(each => each.group === group).map(field))));
  showTimes();
}

function bitsField() {
  const select = el("select", { id: "setting-bits", onchange: () => change({ bits: Number(select.value) }) },
    el("option", { value: "8", text: "8 bits per channel: standard" }), el("option", { value: "16", text: "16 bits per channel: for editing and print" }));
  select.value = String(choices.bits);
  return el("div", { class: "field" }, el("label", { for: "setting-bits", text: "Color depth of the download" }), select);
}

function field(control) {
  const id = `setting-${control.name}`;
  const value = choices.values[control.name] ?? control.initial ?? "";
  const head = el("div", { class: "head" }, el("label", { for: id, text: control.label }), el("code", { text: control.name }));
  const hint = el("p", { class: "hint", id: `${id}-hint`, text: control.hint, title: control.help });
  const described = { "aria-describedby": `${id}-hint` };
  const set = each => setValue(control.name, each === control.initial || String(each) === String(control.initial) ? "" : each);
  let input;
  if (control.name === "quality") input = segments(control, value, set);
  else if (control.kind === "choice") {
    input = el("select", { id, ...described, onchange: () => set(input.value) }, control.choices.map(([name, text]) => el("option", { value: name, text })));
    input.value = value;
  } else if (control.kind === "checkbox") input = el("input", { id, type: "checkbox", checked: Boolean(value), ...described, onchange: () => set(input.checked) });
  else if (control.kind === "slider") input = pair(control, id, value, described, set);
  else input = el("input", { id, type: "text", value: String(value), placeholder: control.kind === "list" ? "Empty: automatic" : "Automatic",
    inputmode: control.kind === "number" ? "decimal" : undefined, autocomplete: "off", ...described, onchange: () => set(input.value.trim()) });
  return el("div", { class: "field", data: { setting: control.name } }, head, input, hint);
}

function segments(control, value, set) {
  return el("div", { class: "segments", role: "radiogroup", "aria-label": control.label, id: `setting-${control.name}` },
    control.choices.map(([name, text]) => el("label", {}, text, el("small", { class: "time", data: { quality: name } }),
      el("input", { type: "radio", name: `segments-${control.name}`, value: name, checked: name === value, onchange: () => set(name) }))));
}

function pair(control, id, value, described, set) {
  const step = control.integer || control.max === 100 ? 1 : 0.01;
  const range = el("input", { type: "range", min: control.min ?? 0, max: control.max ?? 1, step, value: String(value), "aria-label": `${control.label}, slider`,
    oninput: () => { number.value = range.value; }, onchange: () => set(Number(range.value)) });
  // the number may leave the range of the slider: 0 keeps the size of the photo, and a large print needs thousands
  const number = el("input", { id, type: "number", step: "any", value: String(value), ...described,
    onchange: () => { if (number.value === "") number.value = control.initial; range.value = number.value; set(Number(number.value)); } });
  const presets = control.presets.map(([text, preset]) => el("button", { type: "button", text, value: String(preset),
    onclick: () => { number.value = range.value = preset; set(preset); mark(); } }));
  const mark = () => presets.forEach(each => each.setAttribute("aria-pressed", String(Number(each.value) === Number(number.value))));
  range.addEventListener("input", mark);
  number.addEventListener("change", mark);
  mark();
  return [el("div", { class: "pair" }, range, number), presets.length > 0 && el("div", { class: "presets", role: "group", "aria-label": control.label }, presets)];
}

/** Upload files and choose the last one; each file that cannot be read gets a message of its own. */
export async function addFiles(files, kind) {
  const added = [];
  for (const file of files) {
    if (file.size > catalog.max_bytes) {
      notify(`${file.name} is ${Math.ceil(file.size / 1e6)} MB; the limit is ${Math.floor(catalog.max_bytes / 1e6)} MB.`, { error: true });
      continue;
    }
    const image = await attempt(() => request(`uploads?${new URLSearchParams({ name: file.name, kind })}`, { method: "POST", body: file }));
    if (!image) continue;
    addImage(image);
    added.push(image);
    if (image.note) notify(`${image.label}: ${image.note}.`);
    if (file.type === "image/png") offerSettings(file);
  }
  if (!added.length) return;
  const names = added.map(image => image.name);
  if (kind === "content") change({ content: names.at(-1) }, "uploads");
  else change({ styles: choices.blend ? [...new Set([...choices.styles, ...names])] : [names.at(-1)] }, "uploads");
  if (kind === "content" && names.length > 1)
    notify(`${plural(names.length, "photo")} added.`, { label: `Paint all ${names.length}`, seconds: 30,
      action: () => document.dispatchEvent(new CustomEvent("paint-all", { detail: names })) });
}

async function offerSettings(file) {
  try {
    const given = await request("settings", { method: "POST", body: file });
    notify("This picture was painted with impasto.", { label: "Use its settings", seconds: 30,
      action: () => document.dispatchEvent(new CustomEvent("use-settings", { detail: given })) });
  } catch { /* a picture without settings */ }
}

function removeUpload(image) {
  image.hidden = true;
  const undo = () => { image.hidden = false; change({}, "uploads"); };
  const message = notify(`${image.label} removed.`, { label: "Undo", action: undo });
  const chosen = choices.content === image.name ? { content: catalog.contents[0]?.name ?? "" } : {};
  const styles = choices.styles.filter(name => name !== image.name);
  change({ ...chosen, styles: styles.length ? styles : [catalog.styles[0].name] }, "uploads");
  const timer = setInterval(() => {
    if (message.isConnected) return;
    clearInterval(timer);
    if (!image.hidden) return;
    catalog.uploads.splice(catalog.uploads.indexOf(image), 1);
    images.delete(image.name);
    attempt(() => request(`uploads/${image.name}`, { method: "DELETE" }));
  }, 500);
}
