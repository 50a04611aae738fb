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
const short = (x) => {
  const size = Math.abs(x);
  if (x === 0) return "0";
  if (size >= 1e5 || size < 1e-3) return x.toExponential(Math.abs(x / 10 ** Math.floor(Math.log10(size)) % 1) < 1e-9 ? 0 : 1);
  return String(Number(x.toPrecision(3)));
};

/* Axes: a scale is {at(value) -> 0..1, ticks}. */
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
  const wanted = b - a > 3 ? [1] : b - a > 1 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
  const every = b - a > 8 ? 2 : 1, ticks = [];
  for (let k = Math.floor(a); k <= b; k++) {
    if (k % every) continue;
    for (const m of wanted) if (m * 10 ** k >= low * 0.999 && m * 10 ** k <= high * 1.001) ticks.push(Number((m * 10 ** k).toPrecision(3)));
  }
  return { at: (v) => (Math.log10(v) - a) / (b - a), ticks };
}

/* An empty plot in `place` with named axes; returns what draws in it. */
function frame(place, x, y, xName, yName, label) {
  const width = Math.max(280, Math.round(place.clientWidth || 900));
  const height = Math.round(Math.min(460, Math.max(280, width * 0.5)));
  const [left, right, top, bottom] = [58, 16, 26, 46];
  const px = (v) => left + x.at(v) * (width - left - right);
  const py = (v) => height - bottom - y.at(v) * (height - top - bottom);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const tick of y.ticks) {
    svg.append(make("line", { class: "grid", x1: left, x2: width - right, y1: py(tick), y2: py(tick) }));
    svg.append(make("text", { class: "axis", x: left - 8, y: py(tick) + 4, "text-anchor": "end" }, short(tick)));
  }
  for (const tick of x.ticks) {
    svg.append(make("line", { class: "frame", x1: px(tick), x2: px(tick), y1: height - bottom, y2: height - bottom + 5 }));
    svg.append(make("text", { class: "axis", x: px(tick), y: height - bottom + 19, "text-anchor": "middle" }, short(tick)));
  }
  svg.append(make("line", { class: "frame", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  svg.append(make("text", { class: "axis", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xName));
  svg.append(make("text", { class: "axis", x: 4, y: 14 }, yName));
  place.replaceChildren(svg);
  return { svg, px, py };
}
const nothing = (place, text) => place.replaceChildren(make("p", { class: "note" }, text));
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

/* Loss curves of one pair, all variants over one another. */
const hidden = new Set();
function drawCurves() {
  const pair = Number(find("curve-pair").value), loss = chosen("curve-loss"), against = chosen("curve-x");
  const lines = [];
  data.cells[pair].forEach((runs, variant) => {
    if (hidden.has(variant)) return;
    for (const i of runs) {
      const curve = data.runs[i].curve;
      if (!curve) continue;
      const points = curve[loss].map((y, k) => [curve[against][k], y]).filter(([x, y]) => x !== null && y > 0);
      if (points.length) lines.push({ variant, points });
    }
  });
  const place = find("curve-plot"), { content, style } = data.pairs[pair];
  find("curve-says").textContent = `${content} after ${style}`;
  if (!lines.length) return nothing(place, "No curve to show here.");
  const xs = lines.flatMap((l) => l.points.map((p) => p[0])), ys = lines.flatMap((l) => l.points.map((p) => p[1]));
  const span = (v) => [v.reduce((a, b) => Math.min(a, b)), v.reduce((a, b) => Math.max(a, b))];
  const ends = lines.map((l) => `${data.variants[l.variant]} from ${short(l.points[0][1])} to ${short(l.points.at(-1)[1])}`);
  const label = `${loss} loss against ${against}: ${ends.slice(0, 12).join("; ")}`;
  const plot = frame(place, linear(0, span(xs)[1]), logarithmic(...span(ys)), against, `${loss} loss, weighted, logarithmic`, label);
  for (const { variant, points } of lines) {
    const d = points.map(([x, y], k) => `${k ? "L" : "M"}${plot.px(x).toFixed(1)} ${plot.py(y).toFixed(1)}`).join("");
    const path = make("path", { d, fill: "none", stroke: color(variant), "stroke-width": 1.8, "stroke-linejoin": "round", "stroke-dasharray": dash(variant) });
    path.append(make("title", {}, data.variants[variant]));
    plot.svg.append(path);
  }
}
function buildCurves() {
  fill(find("curve-pair"), data.pairs.map((p) => `${p.content} after ${p.style}`));
  data.variants.forEach((name, i) => {
    const box = make("input", { type: "checkbox" });
    box.checked = true;
    box.addEventListener("change", () => { box.checked ? hidden.delete(i) : hidden.add(i); drawCurves(); });
    const swatch = make("svg", { width: 26, height: 10, "aria-hidden": "true" });
    swatch.append(make("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: color(i), "stroke-width": 2.5, "stroke-dasharray": dash(i) }));
    find("curve-legend").append(make("label", {}, box, " ", swatch, " ", name));
  });
  for (const input of document.querySelectorAll("#curves select, #curves input[type=radio]")) input.addEventListener("change", drawCurves);
  drawCurves();
}

/* Content against style: better is always left and down, so an axis on which more is better runs backwards. */
function axis(metric, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)], pad = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  const scale = linear(low - pad, high + pad);
  return metric.better > 0 ? { at: (v) => 1 - scale.at(v), ticks: scale.ticks } : scale;
}
function drawTrade() {
  const { structure, style, fronts } = data.trades, place = find("trade-plot");
  const x = structure[find("trade-x").value], y = style[find("trade-y").value];
  const note = find("trade-front");
  note.textContent = "";
  if (!x || !y) return nothing(place, "The paintings were not graded by a metric of each kind.");
  const points = data.rows.map((row, i) => ({ row, i, x: row.figures[x.name], y: row.figures[y.name] }))
    .filter((p) => p.x && p.y && (find("trade-sanity").checked || !p.row.sanity));
  if (!points.length) return nothing(place, "No painting was graded by both metrics.");
  const known = (name) => points.flatMap((p) => p[name].filter((v) => v !== null && v !== undefined));
  const front = new Set(fronts[`${x.name}|${y.name}`]);
  const names = [...front].map((i) => `${i + 1} ${data.rows[i].name}`).join(", ");
  const plot = frame(place, axis(x, known("x")), axis(y, known("y")), `content kept: ${x.name}`, `style taken: ${y.name}`, `Variants by ${x.name} and ${y.name}. On the front: ${names}`);
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
    const group = make("g", {}, make("title", {}, `${p.row.name}: ${x.name} ${short(p.x[0])}, ${y.name} ${short(p.y[0])}`));
    group.append(make("circle", { cx, cy, r: 9.5, fill: filled ? ink : "var(--paper)", stroke: ink, "stroke-width": 1.8 }));
    const sign = p.row.sanity ? p.row.name[0] : p.i + 1;
    group.append(make("text", { class: "mark", x: cx, y: cy + 4, "text-anchor": "middle", fill: filled ? "var(--paper)" : ink }, String(sign)));
    svg.append(group);
  }
  placeNames(svg, points.map((p) => ({ name: p.row.name, x: px(p.x[0]), y: py(p.y[0]) })));
  note.textContent = `On the front: ${names}.`;
}
/* A name goes beside its mark where there is room; else the number must do. */
function placeNames(svg, marks) {
  const width = svg.viewBox.baseVal ? svg.viewBox.baseVal.width : 900;
  const taken = marks.map((m) => [m.x - 11, m.y - 11, m.x + 11, m.y + 11]);
  for (const m of marks) {
    const size = m.name.length * 6.6;
    const spots = [[m.x + 14, m.y + 4], [m.x - 14 - size, m.y + 4], [m.x - size / 2, m.y - 15], [m.x - size / 2, m.y + 24]];
    for (const [x, y] of spots) {
      const box = [x, y - 11, x + size, y + 3];
      if (box[0] < 58 || box[2] > width || taken.some((t) => t[0] < box[2] && t[2] > box[0] && t[1] < box[3] && t[3] > box[1])) continue;
      svg.append(make("text", { class: "halo", x, y, fill: "var(--ink)" }, m.name));
      taken.push(box);
      break;
    }
  }
}
function buildTrade() {
  const pick = (list, name) => Math.max(0, list.findIndex((m) => m.name === name));
  const { structure, style } = data.trades;
  fill(find("trade-x"), structure.map((m) => m.name));
  fill(find("trade-y"), style.map((m) => m.name));
  if (structure.length) find("trade-x").value = pick(structure, "content");
  if (style.length) find("trade-y").value = pick(style, "sliced_wasserstein");
  for (const input of document.querySelectorAll("#trade select, #trade input")) input.addEventListener("change", drawTrade);
  drawTrade();
}

/* One painting over its photograph, and all of its pair close up. */
const viewer = find("viewer");
let shown = { pair: 0, variant: 0, which: 0 };
const pictured = (pair, variant) => data.cells[pair][variant].filter((i) => find(`run-${i}`));

function cover(percent) {
  find("stage").style.setProperty("--cut", `${percent}%`);
}
function draggable(element, move) {
  const follow = (event) => { const box = element.getBoundingClientRect(); move(event, box); };
  element.addEventListener("pointerdown", (event) => { element.setPointerCapture(event.pointerId); event.preventDefault(); follow(event); });
  element.addEventListener("pointermove", (event) => { if (element.hasPointerCapture(event.pointerId)) follow(event); });
}
function closeUp(className, uri, shape, caption, current) {
  const crop = make("div", { class: `crop ${className}`, role: "img", "aria-label": `${caption}, close up` });
  if (uri) crop.style.backgroundImage = `url(${uri})`;
  crop.dataset.wide = shape[0] >= shape[1] ? "yes" : "";
  draggable(crop, (event, box) => {
    const step = (id, moved, size) => { find(id).value = Number(find(id).value) - (100 * moved) / size / (find("zoom").value - 1); };
    if (event.type === "pointermove") { step("across", event.movementX, box.width); step("down", event.movementY, box.height); }
    look();
  });
  return make("figure", current ? { class: "current" } : {}, crop, make("figcaption", {}, caption));
}
function look() {
  const zoom = Number(find("zoom").value) * 100;
  for (const crop of document.querySelectorAll(".crop")) {
    crop.style.backgroundSize = crop.dataset.wide ? `auto ${zoom}%` : `${zoom}% auto`;
    crop.style.backgroundPosition = `${find("across").value}% ${find("down").value}%`;
  }
}
function show(pair, variant, which) {
  shown = { pair, variant, which };
  const { content, style } = data.pairs[pair], runs = pictured(pair, variant);
  const index = data.cells[pair][variant][which], run = data.runs[index], image = find(`run-${index}`);
  const photograph = data.sources[content], stage = find("stage");
  find("viewer-title").textContent = `${data.variants[variant]}: ${content} after ${style}`;
  stage.style.setProperty("--aspect", run.shown[0] / run.shown[1]);
  find("before").className = photograph ? `before s${photograph[0]}` : "before";
  find("before").setAttribute("aria-label", `photograph: ${content}`);
  find("after").src = image.src;
  find("after").alt = image.alt;
  const [w, h] = run.original, small = run.shown[0] < w;
  find("viewer-size").replaceChildren(small ? `Shown at ${run.shown[0]}×${run.shown[1]} of ${w}×${h} pixels; ` : `${w}×${h} pixels; `, make("a", { href: run.file }, "the file"));
  find("seed-label").hidden = runs.length < 2;
  find("seed").replaceChildren(...runs.map((i) => make("option", { value: data.cells[pair][variant].indexOf(i) }, String(data.runs[i].seed ?? "none"))));
  find("seed").value = which;
  find("viewer-facts").replaceChildren(...run.facts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
  find("viewer-command").textContent = find(`command-${index}`).textContent;
  find("copied").textContent = "";
  const crops = [];
  if (photograph) crops.push(closeUp(`s${photograph[0]}`, "", photograph.slice(1), "photograph"));
  const painted = data.sources[style];
  if (painted) crops.push(closeUp(`s${painted[0]}`, "", painted.slice(1), "style"));
  data.variants.forEach((name, v) => {
    const i = v === variant ? index : pictured(pair, v)[0];
    if (i !== undefined) crops.push(closeUp("", find(`run-${i}`).src, data.runs[i].shown, name, v === variant));
  });
  find("crops").replaceChildren(...crops);
  cover(find("slide").value);
  look();
}
function neighbor(step) {
  const count = data.variants.length, all = data.pairs.length * count;
  for (let k = 1, at = shown.pair * count + shown.variant; k <= all; k++) {
    at = (at + step + all) % all;
    const [pair, variant] = [Math.floor(at / count), at % count], runs = pictured(pair, variant);
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
      find("slide").focus();
    });
  }
  find("viewer-close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", () => { if (opener) opener.focus(); });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  find("viewer-previous").addEventListener("click", () => neighbor(-1));
  find("viewer-next").addEventListener("click", () => neighbor(1));
  find("slide").addEventListener("input", () => cover(find("slide").value));
  draggable(find("stage"), (event, box) => {
    find("slide").value = (100 * (event.clientX - box.left)) / box.width;
    cover(find("slide").value);
  });
  find("seed").addEventListener("change", () => show(shown.pair, shown.variant, Number(find("seed").value)));
  for (const id of ["zoom", "across", "down"]) find(id).addEventListener("input", look);
  find("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(find("viewer-command").textContent);
      find("copied").textContent = "copied";
    } catch {
      getSelection().selectAllChildren(find("viewer-command"));
      find("copied").textContent = "marked: copy it with the keyboard";
    }
  });
}

buildViewer();
buildTrade();
buildCurves();
let last = innerWidth;
addEventListener("resize", () => { if (innerWidth !== last) { last = innerWidth; drawTrade(); drawCurves(); } });
