"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const COLORS = 8;
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];
const color = (i) => `var(--c${i % COLORS})`;
const dash = (i) => DASHES[Math.floor(i / COLORS) % DASHES.length];

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "circle", "text", "line", "rect", "title"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const fill = (select, texts) => select.replaceChildren(...texts.map((text, i) => make("option", { value: i }, text)));
const format = (x) => {
  const size = Math.abs(x);
  if (x === 0) return "0";
  if (size >= 1e5 || size < 1e-3) return x.toExponential(Math.abs(x / 10 ** Math.floor(Math.log10(size)) % 1) < 1e-9 ? 0 : 1);
  return String(Number(x.toPrecision(3)));
};

/* Scales of axes: {at(value) -> position in [0, 1], ticks}. */
function linear(low, high) {
  if (!(high > low)) { const pad = Math.abs(low) * 0.1 || 1; low -= pad; high += pad; }
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.99);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)));
  return { at: (v) => (v - low) / (high - low), ticks };
}
function logarithmic(low, high) {
  if (!(high > low * 1.02)) { low /= 1.5; high *= 1.5; }
  const [a, b] = [Math.log10(low), Math.log10(high)];
  const digits = b - a > 3 ? [1] : b - a > 1 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
  const every = b - a > 8 ? 2 : 1, ticks = [];
  for (let k = Math.floor(a); k <= b; k++) {
    if (k % every) continue;
    for (const m of digits) if (m * 10 ** k >= low * 0.999 && m * 10 ** k <= high * 1.001) ticks.push(Number((m * 10 ** k).toPrecision(3)));
  }
  return { at: (v) => (Math.log10(v) - a) / (b - a), ticks };
}

/* Draw empty axes into an element; return the SVG and functions that convert values to pixels. */
function drawAxes(element, x, y, xName, yName, label) {
  const width = Math.max(280, Math.round(element.clientWidth || 900));
  const height = Math.round(Math.min(460, Math.max(280, width * 0.5)));
  const [left, right, top, bottom] = [58, 16, 26, 46];
  const px = (v) => left + x.at(v) * (width - left - right);
  const py = (v) => height - bottom - y.at(v) * (height - top - bottom);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const tick of y.ticks) {
    svg.append(make("line", { class: "grid", x1: left, x2: width - right, y1: py(tick), y2: py(tick) }));
    svg.append(make("text", { class: "axis", x: left - 8, y: py(tick) + 4, "text-anchor": "end" }, format(tick)));
  }
  for (const tick of x.ticks) {
    svg.append(make("line", { class: "frame", x1: px(tick), x2: px(tick), y1: height - bottom, y2: height - bottom + 5 }));
    svg.append(make("text", { class: "axis", x: px(tick), y: height - bottom + 19, "text-anchor": "middle" }, format(tick)));
  }
  svg.append(make("line", { class: "frame", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  svg.append(make("text", { class: "axis", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xName));
  svg.append(make("text", { class: "axis", x: 4, y: 14 }, yName));
  element.replaceChildren(svg);
  return { svg, px, py };
}
const showNote = (element, text) => element.replaceChildren(make("p", { class: "note" }, text));
const checked = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

/* Loss curves of all variants of one pair. */
const hidden = new Set();
function drawCurves() {
  const pair = Number(find("curve-pair").value), loss = checked("curve-loss"), xName = checked("curve-x");
  const lines = [];
  data.cells[pair].forEach((runs, variant) => {
    if (hidden.has(variant)) return;
    for (const i of runs) {
      const curve = data.runs[i].curve;
      if (!curve) continue;
      const points = curve[loss].map((y, k) => [curve[xName][k], y]).filter(([x, y]) => x !== null && y > 0);
      if (points.length) lines.push({ variant, points });
    }
  });
  const element = find("curve-plot"), { content, style } = data.pairs[pair];
  find("curve-title").textContent = `${content} with ${style}`;
  if (!lines.length) return showNote(element, "This pair has no loss curve.");
  const xs = lines.flatMap((l) => l.points.map((p) => p[0])), ys = lines.flatMap((l) => l.points.map((p) => p[1]));
  const span = (v) => [v.reduce((a, b) => Math.min(a, b)), v.reduce((a, b) => Math.max(a, b))];
  const ends = lines.map((l) => `${data.variants[l.variant]} from ${format(l.points[0][1])} to ${format(l.points.at(-1)[1])}`);
  const label = `${loss} loss over ${xName}: ${ends.slice(0, 12).join("; ")}`;
  const plot = drawAxes(element, linear(0, span(xs)[1]), logarithmic(...span(ys)), xName, `${loss} loss (weighted, logarithmic axis)`, label);
  for (const { variant, points } of lines) {
    const d = points.map(([x, y], k) => `${k ? "L" : "M"}${plot.px(x).toFixed(1)} ${plot.py(y).toFixed(1)}`).join("");
    const path = make("path", { d, fill: "none", stroke: color(variant), "stroke-width": 1.8, "stroke-linejoin": "round", "stroke-dasharray": dash(variant) });
    path.append(make("title", {}, data.variants[variant]));
    plot.svg.append(path);
  }
}
function buildCurves() {
  fill(find("curve-pair"), data.pairs.map((p) => `${p.content} with ${p.style}`));
  data.variants.forEach((name, i) => {
    const checkbox = make("input", { type: "checkbox" });
    checkbox.checked = true;
    checkbox.addEventListener("change", () => { checkbox.checked ? hidden.delete(i) : hidden.add(i); drawCurves(); });
    const swatch = make("svg", { width: 26, height: 10, "aria-hidden": "true" });
    swatch.append(make("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: color(i), "stroke-width": 2.5, "stroke-dasharray": dash(i) }));
    find("curve-legend").append(make("label", {}, checkbox, " ", swatch, " ", name));
  });
  for (const input of document.querySelectorAll("#curves select, #curves input[type=radio]")) input.addEventListener("change", drawCurves);
  drawCurves();
}

/* Content preservation and style similarity: better is always left and down, so an axis on which higher is better is reversed. */
function axis(metric, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)], pad = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  const scale = linear(low - pad, high + pad);
  return metric.better > 0 ? { at: (v) => 1 - scale.at(v), ticks: scale.ticks } : scale;
}
function drawTradeoff() {
  const { structure, style, fronts } = data.tradeoffs, element = find("tradeoff-plot");
  const x = structure[find("tradeoff-x").value], y = style[find("tradeoff-y").value];
  const note = find("tradeoff-front");
  note.textContent = "";
  if (!x || !y) return showNote(element, "The experiment needs one metric of structure and one of style.");
  const points = data.rows.map((row, i) => ({ row, i, x: row.figures[x.name], y: row.figures[y.name] }))
    .filter((p) => p.x && p.y && (find("tradeoff-sanity").checked || !p.row.sanity));
  if (!points.length) return showNote(element, "No variant has values of both metrics.");
  const known = (name) => points.flatMap((p) => p[name].filter((v) => v !== null && v !== undefined));
  const front = new Set(fronts[`${x.name}|${y.name}`]);
  const names = [...front].map((i) => `${i + 1} ${data.rows[i].name}`).join(", ");
  const plot = drawAxes(element, axis(x, known("x")), axis(y, known("y")), `content preservation: ${x.name}`, `style similarity: ${y.name}`, `Variants by ${x.name} and ${y.name}. On the Pareto front: ${names}`);
  const { svg, px, py } = plot;
  const edge = points.filter((p) => front.has(p.i)).sort((a, b) => px(a.x[0]) - px(b.x[0]));
  if (edge.length > 1) {
    const d = edge.map((p, k) => `${k ? "L" : "M"}${px(p.x[0]).toFixed(1)} ${py(p.y[0]).toFixed(1)}`).join("");
    svg.append(make("path", { d, fill: "none", stroke: "var(--soft)", "stroke-dasharray": "3 4" }));
  }
  for (const p of points) {
    const ink = p.row.sanity ? "var(--soft)" : color(p.i), [cx, cy] = [px(p.x[0]), py(p.y[0])];
    const line = (a, b, c, d) => svg.append(make("line", { x1: a, y1: b, x2: c, y2: d, stroke: ink, "stroke-opacity": 0.45 }));
    if (p.x[1] !== null) line(px(p.x[1]), cy, px(p.x[2]), cy);
    if (p.y[1] !== null) line(cx, py(p.y[1]), cx, py(p.y[2]));
  }
  for (const p of points) {
    const ink = p.row.sanity ? "var(--soft)" : color(p.i), [cx, cy] = [px(p.x[0]), py(p.y[0])], filled = front.has(p.i);
    const group = make("g", {}, make("title", {}, `${p.row.name}: ${x.name} ${format(p.x[0])}, ${y.name} ${format(p.y[0])}`));
    group.append(make("circle", { cx, cy, r: 9.5, fill: filled ? ink : "var(--paper)", stroke: ink, "stroke-width": 1.8 }));
    const mark = p.row.sanity ? p.row.name[0] : p.i + 1;
    group.append(make("text", { class: "mark", x: cx, y: cy + 4, "text-anchor": "middle", fill: filled ? "var(--paper)" : ink }, String(mark)));
    svg.append(group);
  }
  placeNames(svg, points.map((p) => ({ name: p.row.name, x: px(p.x[0]), y: py(p.y[0]) })));
  note.textContent = `Pareto front: ${names}.`;
}
/* Write a name beside its mark if it overlaps nothing; otherwise only the number in the mark identifies it. */
function placeNames(svg, marks) {
  const width = svg.viewBox.baseVal ? svg.viewBox.baseVal.width : 900;
  const taken = marks.map((m) => [m.x - 11, m.y - 11, m.x + 11, m.y + 11]);
  for (const m of marks) {
    const size = m.name.length * 6.6;
    const spots = [[m.x + 14, m.y + 4], [m.x - 14 - size, m.y + 4], [m.x - size / 2, m.y - 15], [m.x - size / 2, m.y + 24]];
    for (const [x, y] of spots) {
      const area = [x, y - 11, x + size, y + 3];
      if (area[0] < 58 || area[2] > width || taken.some((t) => t[0] < area[2] && t[2] > area[0] && t[1] < area[3] && t[3] > area[1])) continue;
      svg.append(make("text", { class: "halo", x, y, fill: "var(--ink)" }, m.name));
      taken.push(area);
      break;
    }
  }
}
function buildTradeoff() {
  const pick = (list, name) => Math.max(0, list.findIndex((m) => m.name === name));
  const { structure, style } = data.tradeoffs;
  fill(find("tradeoff-x"), structure.map((m) => m.name));
  fill(find("tradeoff-y"), style.map((m) => m.name));
  if (structure.length) find("tradeoff-x").value = pick(structure, "content");
  if (style.length) find("tradeoff-y").value = pick(style, "sliced_wasserstein");
  for (const input of document.querySelectorAll("#tradeoff select, #tradeoff input")) input.addEventListener("change", drawTradeoff);
  drawTradeoff();
}

/* Viewer: an output image over its content image, and enlarged details of all images of the pair. */
const viewer = find("viewer");
let shown = { pair: 0, variant: 0, which: 0 };
const runsWithImage = (pair, variant) => data.cells[pair][variant].filter((i) => find(`run-${i}`));

function setSplit(percent) {
  find("overlay").style.setProperty("--split", `${percent}%`);
}
function onDrag(element, move) {
  const follow = (event) => move(event, element.getBoundingClientRect());
  element.addEventListener("pointerdown", (event) => { element.setPointerCapture(event.pointerId); event.preventDefault(); follow(event); });
  element.addEventListener("pointermove", (event) => { if (element.hasPointerCapture(event.pointerId)) follow(event); });
}
function makeCrop(className, uri, shape, caption, current) {
  const crop = make("div", { class: `crop ${className}`, role: "img", "aria-label": `${caption}, enlarged detail` });
  if (uri) crop.style.backgroundImage = `url(${uri})`;
  crop.dataset.wide = shape[0] >= shape[1] ? "yes" : "";
  onDrag(crop, (event, bounds) => {
    const step = (id, moved, size) => { find(id).value = Number(find(id).value) - (100 * moved) / size / (find("zoom").value - 1); };
    if (event.type === "pointermove") { step("crop-x", event.movementX, bounds.width); step("crop-y", event.movementY, bounds.height); }
    updateCrops();
  });
  return make("figure", current ? { class: "current" } : {}, crop, make("figcaption", {}, caption));
}
function updateCrops() {
  const zoom = Number(find("zoom").value) * 100;
  for (const crop of document.querySelectorAll(".crop")) {
    crop.style.backgroundSize = crop.dataset.wide ? `auto ${zoom}%` : `${zoom}% auto`;
    crop.style.backgroundPosition = `${find("crop-x").value}% ${find("crop-y").value}%`;
  }
}
function show(pair, variant, which) {
  shown = { pair, variant, which };
  const { content, style } = data.pairs[pair], runs = runsWithImage(pair, variant);
  const index = data.cells[pair][variant][which], run = data.runs[index], image = find(`run-${index}`);
  const contentInput = data.inputs[content], styleInput = data.inputs[style];
  find("viewer-title").textContent = `${data.variants[variant]}: ${content} with ${style}`;
  find("overlay").style.setProperty("--aspect", run.shown[0] / run.shown[1]);
  find("below").className = contentInput ? `below s${contentInput[0]}` : "below";
  find("below").setAttribute("aria-label", `content: ${content}`);
  find("above").src = image.src;
  find("above").alt = image.alt;
  const [w, h] = run.original, small = run.shown[0] < w;
  find("viewer-size").replaceChildren(small ? `Shown at ${run.shown[0]}×${run.shown[1]} of ${w}×${h} pixels; ` : `${w}×${h} pixels; `, make("a", { href: run.file }, "open the file"));
  find("seed-label").hidden = runs.length < 2;
  find("seed").replaceChildren(...runs.map((i) => make("option", { value: data.cells[pair][variant].indexOf(i) }, String(data.runs[i].seed ?? "none"))));
  find("seed").value = which;
  find("viewer-facts").replaceChildren(...run.figures.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
  find("viewer-command").textContent = find(`command-${index}`).textContent;
  find("copied").textContent = "";
  const crops = [];
  if (contentInput) crops.push(makeCrop(`s${contentInput[0]}`, "", contentInput.slice(1), "content"));
  if (styleInput) crops.push(makeCrop(`s${styleInput[0]}`, "", styleInput.slice(1), "style"));
  data.variants.forEach((name, v) => {
    const i = v === variant ? index : runsWithImage(pair, v)[0];
    if (i !== undefined) crops.push(makeCrop("", find(`run-${i}`).src, data.runs[i].shown, name, v === variant));
  });
  find("crops").replaceChildren(...crops);
  setSplit(find("slider").value);
  updateCrops();
}
function showNext(step) {
  const count = data.variants.length, all = data.pairs.length * count;
  for (let k = 1, at = shown.pair * count + shown.variant; k <= all; k++) {
    at = (at + step + all) % all;
    const [pair, variant] = [Math.floor(at / count), at % count], runs = runsWithImage(pair, variant);
    if (runs.length) return show(pair, variant, data.cells[pair][variant].indexOf(runs[0]));
  }
}
function buildViewer() {
  let opener = null;
  for (const button of document.querySelectorAll("[data-open]")) {
    button.addEventListener("click", () => {
      opener = button;
      show(...button.dataset.open.split(" ").map(Number));
      viewer.showModal();
      find("slider").focus();
    });
  }
  find("viewer-close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", () => { if (opener) opener.focus(); });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  find("viewer-previous").addEventListener("click", () => showNext(-1));
  find("viewer-next").addEventListener("click", () => showNext(1));
  find("slider").addEventListener("input", () => setSplit(find("slider").value));
  onDrag(find("overlay"), (event, bounds) => {
    find("slider").value = (100 * (event.clientX - bounds.left)) / bounds.width;
    setSplit(find("slider").value);
  });
  find("seed").addEventListener("change", () => show(shown.pair, shown.variant, Number(find("seed").value)));
  for (const id of ["zoom", "crop-x", "crop-y"]) find(id).addEventListener("input", updateCrops);
  find("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(find("viewer-command").textContent);
      find("copied").textContent = "copied";
    } catch {
      getSelection().selectAllChildren(find("viewer-command"));
      find("copied").textContent = "selected: copy with the keyboard";
    }
  });
}

buildViewer();
buildTradeoff();
buildCurves();
let drawnWidth = innerWidth;
addEventListener("resize", () => { if (innerWidth !== drawnWidth) { drawnWidth = innerWidth; drawTradeoff(); drawCurves(); } });
