// Results of `impasto experiment run`: the table of an experiment, its pictures and their loss curves.
import { attempt, el, find, request } from "./dom.js";

let parts;

export async function openLab() {
  const panel = find("[data-panel=lab]");
  if (!parts) {
    const choose = el("select", { id: "experiment", onchange: () => open(choose.value) });
    parts = { choose, body: el("div") };
    panel.append(el("h2", { text: "Lab" }), el("div", { class: "field" }, el("label", { for: "experiment", text: "Experiment" }), choose), parts.body);
  }
  const answer = await attempt(() => request("lab"));
  const names = Object.entries(answer?.experiments ?? {});
  const chosen = parts.choose.value;
  parts.choose.replaceChildren(...names.map(([key, name]) => el("option", { value: key, text: name, selected: key === chosen })));
  parts.choose.parentElement.hidden = !names.length;
  if (names.length) await open(parts.choose.value);
  else parts.body.replaceChildren(el("p", { class: "empty", text: "No experiments yet." }));
}

async function open(key) {
  const found = await attempt(() => request(`lab/${key}`));
  if (!found) return;
  const viewer = el("div", { id: "experiment-viewer" });
  const address = run => `experiments/${key}/${run.picture}`;
  const show = run => viewer.replaceChildren(run.picture ? el("div", { class: "stage" }, el("img", { src: address(run), alt: run.title })) : "",
    el("p", { class: "status", text: `${run.title} · ${run.status}` }), el("div", { class: "curves", html: run.curve }));
  parts.body.replaceChildren(el("p", {}, el("a", { href: `experiments/${key}/report.html`, target: "_blank", text: "Open the report" })),
    el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Results" }, el("table", { id: "experiment-table" },
      el("thead", {}, el("tr", {}, found.header.map(text => el("th", { scope: "col", text })))),
      el("tbody", {}, found.rows.map(row => el("tr", {}, row.map(text => el("td", { text }))))))),
    viewer,
    el("ul", { class: "grid", id: "experiment-grid" }, found.runs.map(run => el("li", { class: "thumb" }, el("button", { type: "button", onclick: () => { show(run); viewer.scrollIntoView({ block: "nearest" }); } },
      run.picture ? el("img", { src: address(run), alt: run.title, loading: "lazy" }) : el("span", { class: "pending" }), el("span", { text: run.title }), el("small", { text: run.status }))))));
}
