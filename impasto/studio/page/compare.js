// Several techniques, strengths and brush sizes for the chosen photo and style, in a table with axes.
import { attempt, el, find, notify, request } from "./dom.js";
import { activeRegions, catalog, choices, label, networkField, onChange, requestBody } from "./choices.js";
import { follow, fraction, isLive, jobs, onJobs, statusText, stop, watch } from "./jobs.js";
import { openViewer } from "./viewer.js";

const STORAGE = "impasto.comparison"; // keys and axes of the last comparison, so that a reload shows it again
let parts;
let edit;
let comparison = JSON.parse(localStorage.getItem(STORAGE) ?? "null");

export function openCompare(given) {
  edit = given;
  if (!parts) build();
  showSubject();
  show();
  if (comparison) for (const row of comparison.rows) for (const key of row.keys) if (!jobs.has(key)) watch(key);
}

function build() {
  const boxes = catalog.techniques.map(each => el("label", { class: "check", title: each.sentence },
    el("input", { type: "checkbox", name: "compare-method", value: each.name, checked: each.first }), each.label));
  const text = (id, name, value, hint) => el("div", { class: "field" }, el("label", { for: id, text: name }),
    el("input", { type: "text", id, value, placeholder: hint, autocomplete: "off" }), el("p", { class: "hint", text: hint }));
  parts = { subject: el("p", { class: "hint" }), table: el("div", { id: "compare-grid" }) };
  const form = el("form", { onsubmit: event => { event.preventDefault(); start(); } },
    el("h2", { text: "Compare" }), parts.subject,
    el("fieldset", { id: "compare-methods" }, el("legend", { text: "Techniques" }), el("div", { class: "row" }, boxes)),
    el("div", { class: "row" }, text("compare-strengths", "Style strengths", "50", "0 to 100, such as 30 70"), text("compare-scales", "Brush sizes", "1", "Such as 0.5 1 2"),
      text("compare-size", "Output size", "256", "Longer side in pixels"), quality()),
    el("div", { class: "actions" }, el("button", { type: "submit", id: "compare-start", class: "primary", text: "Compare" }),
      parts.stop = el("button", { type: "button", id: "compare-stop", text: "Stop all", hidden: true, onclick: () => keys().filter(key => isLive(jobs.get(key) ?? {})).forEach(stop) })));
  find("[data-panel=compare]").append(form, parts.table);
  onJobs(() => { if (!find("[data-panel=compare]").hidden) show(); });
  onChange(showSubject);
}

function quality() {
  const qualities = [["draft", "Draft"], ["normal", "Normal"], ["best", "Best"]];
  const select = el("select", { id: "compare-quality" }, qualities.map(([value, text]) => el("option", { value, text, selected: value === "normal" })));
  return el("div", { class: "field" }, el("label", { for: "compare-quality", text: "Quality" }), select, el("p", { class: "hint", text: "Compare as drafts first" }));
}

const keys = () => comparison?.rows.flatMap(row => row.keys) ?? [];

function showSubject() {
  if (parts) parts.subject.textContent = `${label(choices.content)} in the style of ${choices.styles.map(label).join(" and ")}, as chosen in Paint.`;
}

const numbers = selector => find(selector).value.split(/[\s,;]+/).filter(Boolean).map(Number);

async function start() {
  const methods = [...document.querySelectorAll("[name=compare-method]:checked")].map(box => box.value);
  const strength = numbers("#compare-strengths"), scale = numbers("#compare-scales");
  const settings = { quality: find("#compare-quality").value };
  const size = find("#compare-size").value.trim();
  if (size) settings.size = Number.isFinite(Number(size)) ? Number(size) : size;
  if ([...strength, ...scale].some(Number.isNaN)) return notify("Strengths and brush sizes: enter numbers, with spaces between.", { error: true });
  const body = { ...requestBody(), ...(activeRegions() ? {} : networkField("micro")), draft: false, methods, settings, strength: strength.length ? strength : [50], style_scale: scale.length ? scale : [1] };
  const answer = await attempt(() => request("compare", { method: "POST", json: body }));
  if (!answer) return undefined;
  const columns = body.strength.flatMap(one => body.style_scale.map(other => `Strength ${one}, brush ${other}`));
  const rows = methods.map((method, index) => ({ method, keys: answer.jobs.slice(index * columns.length, (index + 1) * columns.length).map(job => job.key) }));
  comparison = { columns, rows };
  localStorage.setItem(STORAGE, JSON.stringify(comparison));
  follow(...answer.jobs);
  return show();
}

function show() {
  parts.stop.hidden = !keys().some(key => isLive(jobs.get(key) ?? {}));
  if (!comparison) {
    parts.table.replaceChildren(el("p", { class: "empty", text: "Try several techniques on the photo and style you picked." }));
    return;
  }
  const shown = JSON.stringify(comparison);
  if (parts.table.dataset.shown !== shown) {
    parts.table.dataset.shown = shown;
    const name = method => catalog.techniques.find(each => each.name === method)?.label ?? method;
    parts.table.replaceChildren(el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Comparison" }, el("table", { class: "matrix" },
      el("thead", {}, el("tr", {}, el("th"), comparison.columns.map(text => el("th", { scope: "col", text })))),
      el("tbody", {}, comparison.rows.map(row => el("tr", {}, el("th", { scope: "row", text: name(row.method) }),
        row.keys.map(key => el("td", {}, el("div", { class: "thumb", data: { key } }, el("button", { type: "button", onclick: () => open(key) }))))))))));
  }
  for (const cell of parts.table.querySelectorAll("[data-key]")) showCell(cell, jobs.get(cell.dataset.key));
}

function showCell(cell, job) {
  const { key } = cell.dataset;
  const isThere = !job || ["done", "stopped", "gone"].includes(job.status);
  const address = isThere ? `pictures/${key}.jpg` : job.preview === null ? "" : `jobs/${key}/preview?${job.preview}`;
  const text = job && !isThere ? (job.error ?? (fraction(job) === null ? statusText(job) : `${Math.floor(100 * fraction(job))} %`)) : "";
  if (cell.dataset.shown === address + text) return;
  cell.dataset.shown = address + text;
  cell.firstChild.replaceChildren(address ? el("img", { src: address, alt: job?.title ?? "Result" }) : el("span", { class: "pending" }), el("small", { text }));
}

function open(key) {
  const done = keys().filter(each => !isLive(jobs.get(each) ?? {}) && !["failed", "cancelled"].includes(jobs.get(each)?.status));
  if (!done.includes(key)) return notify(jobs.get(key)?.error ?? "This picture is not finished.");
  return openViewer(done, key, { edit });
}
