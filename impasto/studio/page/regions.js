// Draw regions over the photo, each in the color of one of the chosen styles; the photo stays visible below.
import { attempt, el, notify, openDialog, request, sourceAddress } from "./dom.js";
import { catalog, change, choices, label } from "./choices.js";

const drawings = new Map(); // canvas of each photo, kept while the page is open
const REST = "impasto.regions.rest";

export function openRegions() {
  const { content, styles } = choices;
  let color = catalog.palette[Math.min(1, styles.length - 1)];
  let width = 60;
  let last = null;
  let finger = null; // the pointer that draws; a second finger does not
  const undo = [];
  const photo = el("img", { src: sourceAddress(content), alt: `Your photo: ${label(content)}`, draggable: "false" });
  const canvas = drawings.get(content) ?? el("canvas", { "aria-label": "Drawing of the regions" });
  const board = el("div", { class: "board" }, photo, canvas);
  photo.addEventListener("load", () => {
    const ratio = photo.naturalWidth / photo.naturalHeight;
    board.style.aspectRatio = ratio;
    board.style.width = `min(100%, calc((100dvh - 15rem) * ${ratio}))`;
    if (drawings.has(content)) return;
    const scale = Math.min(1, 768 / Math.max(photo.naturalWidth, photo.naturalHeight));
    canvas.width = Math.round(photo.naturalWidth * scale);
    canvas.height = Math.round(photo.naturalHeight * scale);
    drawings.set(content, canvas);
  });

  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const place = event => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
  };
  const draw = event => {
    const [x, y] = place(event);
    pen.globalCompositeOperation = color ? "source-over" : "destination-out";
    Object.assign(pen, { strokeStyle: color ?? "#000", lineWidth: (width / 600) * Math.max(canvas.width, canvas.height), lineCap: "round", lineJoin: "round" });
    pen.beginPath();
    pen.moveTo(...(last ?? [x, y]));
    pen.lineTo(x, y);
    pen.stroke();
    last = [x, y];
  };
  canvas.onpointerdown = event => {
    if (finger !== null) return;
    finger = event.pointerId;
    canvas.setPointerCapture(event.pointerId);
    undo.push(pen.getImageData(0, 0, canvas.width, canvas.height));
    if (undo.length > 20) undo.shift();
    last = null;
    draw(event);
  };
  canvas.onpointermove = event => { if (event.pointerId === finger) draw(event); };
  canvas.onpointerup = canvas.onpointercancel = event => { if (event.pointerId === finger) finger = null; };

  const choose = (value, checked, ...content_) => el("label", { class: "check" }, el("input", { type: "radio", name: "region-color", value: value ?? "", checked,
    onchange: () => { color = value; } }), ...content_);
  const palette = styles.slice(0, catalog.palette.length).map((name, index) => choose(catalog.palette[index], catalog.palette[index] === color,
    el("span", { class: "swatch", css: { background: catalog.palette[index] } }), label(name)));
  const rest = el("select", { "aria-label": "Everything else" }, el("option", { value: "1", text: "Everything else: first style" }), el("option", { value: "0", text: "Everything else: untouched photo" }));
  rest.value = localStorage.getItem(REST) ?? "1";
  const dialog = openDialog("Regions", el("div", { class: "editor" },
    el("div", { class: "row" }, el("h2", { text: "Brush over your photo in a style’s color" })),
    el("div", { class: "row" }, palette, choose(null, false, "Eraser"),
      el("label", { class: "check" }, "Brush", el("input", { type: "range", min: 8, max: 200, value: String(width), "aria-label": "Width of the brush", oninput: event => { width = Number(event.target.value); } }))),
    el("div", { class: "canvas" }, board),
    el("div", { class: "actions" },
      el("button", { type: "button", id: "regions-use", class: "primary", text: "Use these regions", onclick: () => use() }),
      el("button", { type: "button", text: "Undo", onclick: () => { if (undo.length) pen.putImageData(undo.pop(), 0, 0); } }),
      el("button", { type: "button", text: "Clear", onclick: () => { undo.push(pen.getImageData(0, 0, canvas.width, canvas.height)); pen.clearRect(0, 0, canvas.width, canvas.height); } }),
      rest, el("span", { class: "gap" }), el("button", { type: "button", text: "Cancel", onclick: () => dialog.close() }))));

  async function use() {
    localStorage.setItem(REST, rest.value);
    const drawing = await new Promise(resolve => canvas.toBlob(resolve, "image/png"));
    const stored = await attempt(() => request(`regions?fill=${rest.value}`, { method: "POST", body: drawing }));
    if (!stored) return;
    const highest = Math.max(...stored.used) + 1;
    if (highest > styles.length) {
      notify(`You used ${highest} colors but picked ${styles.length} styles.`, { error: true });
      return;
    }
    change({ regions: { ...choices.regions, [content]: { name: stored.name, used: stored.used, use: true } } });
    dialog.close();
  }
}
