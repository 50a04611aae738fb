// Start the page: photo, style, strength and size; each change stylizes the photo again.
import { attempt, duration, el, find, notify } from "./dom.js";
import { connectDrop } from "./drop.js";
import { makeFrame } from "./frame.js";
import * as camera from "./camera.js";
import * as network from "./network.js";

const DEFAULT_SIZE = 512;
const INSTANT = 0.7; // seconds: a network that is as fast follows the slider while it moves
const state = { photo: null, style: null, strength: 50, size: DEFAULT_SIZE, seconds: 0, painting: null };
const frame = makeFrame();
let site, device, running = null, isStale = false;

// --- pictures ------------------------------------------------------------------------------------------------------

/** Return a picture of the page: a bitmap, which is decoded when it is needed, and the address of its file. */
async function decoded(picture) {
  if (picture.bitmap) return picture.bitmap;
  try {
    const file = picture.file ?? await (await fetch(picture.address)).blob();
    picture.bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error(`${picture.label} is not a picture that this browser can read. Save it as JPEG or PNG.`);
  }
  return picture.bitmap;
}

const fromFile = file => ({ label: file.name.replace(/\.\w+$/, "") || "Picture", file, address: URL.createObjectURL(file), isOwn: true });
const fromSite = ({ label, picture, codes }) => ({ label, address: picture, codes });

/** Return the code of a style for a size; those of the page's styles are known for its sizes. A network for one style needs none. */
async function codeOf(style, size) {
  if (!style.codes) return null;
  if (style.codes[size]) return style.codes[size];
  if (!style.isOwn) return style.codes[nearest(Object.keys(style.codes).map(Number), size)];
  style.codes[size] = await network.encode(await decoded(style), size);
  return style.codes[size];
}

const nearest = (sizes, size) => sizes.reduce((best, each) => (Math.abs(each - size) < Math.abs(best - size) ? each : best));

// --- painting ------------------------------------------------------------------------------------------------------

/** Stylize the photo; a change while the network runs makes it run once more. */
async function paint() {
  if (!device || !state.photo || camera.isOpen()) return;
  isStale = Boolean(running);
  if (running) return;
  const { photo, style, strength, size } = state;
  find("#progress").classList.add("unknown");
  find("#progress").style.setProperty("--done", 0.3);
  say("Painting …");
  running = paintOnce(photo, style, strength, size);
  const error = await running.then(() => null, failure => failure);
  running = null;
  if (isStale && !camera.isOpen()) return void paint();
  find("#progress").style.setProperty("--done", 0);
  find("#progress").classList.remove("unknown");
  if (error) { say(""); notify(error.message, { error: true }); }
}

async function paintOnce(photo, style, strength, size) {
  const { picture, width, height, seconds } = await network.stylize(await decoded(photo), { size, strength, code: await codeOf(style, size) });
  state.seconds = seconds;
  if (camera.isOpen() || (isStale && seconds > INSTANT)) return;
  const before = state.painting;
  state.painting = URL.createObjectURL(picture);
  showPhoto(photo, state.painting, `${photo.label} in the style of ${style.label}`);
  if (before) URL.revokeObjectURL(before);
  say("Painted.", `${width} × ${height} pixels in ${seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds)} · ${device}`);
  const save = find("#save");
  save.hidden = false;
  save.href = state.painting;
  save.download = `${photo.label}-${style.label}.png`.toLowerCase().replace(/[^\w.-]+/g, "-");
}

function say(text, more = "") {
  if (find("#status").textContent !== text) find("#status").textContent = text;
  find("#status-more").textContent = more;
}

function showPhoto(photo, painting = "", title = "") {
  find("#welcome").hidden = true;
  frame.element.hidden = false;
  frame.show({ photo: photo.address, painting, title });
}

async function choosePhoto(photo) {
  hideCamera();
  if (!await attempt(() => decoded(photo))) return void paint();
  if (!photo.isTile) addTile("content", photo);
  state.photo = photo;
  select("content", photo);
  find("#save").hidden = true;
  showPhoto(photo);
  if (!device) say("Loading the network …");
  paint();
}

async function chooseStyle(style) {
  if (style.isOwn && !await attempt(() => decoded(style))) return;
  if (!style.isTile) addTile("style", style);
  state.style = style;
  select("style", style);
  paint();
}

function take(files, kind) {
  if (kind === "style" && !site.any_style) return notify("This page has styles of its own only. Use the picture as your photo.", { error: true });
  if (!files.length) return undefined;
  const picture = fromFile(files[0]);
  return kind === "style" ? chooseStyle({ ...picture, codes: {} }) : choosePhoto(picture);
}

// --- the camera ----------------------------------------------------------------------------------------------------

async function openCamera() {
  if (!device) return notify("The network is not loaded yet. Please wait a moment.");
  const settings = async size => ({ code: await codeOf(state.style, size), strength: state.strength });
  const isOpen = await attempt(() => camera.open(settings, showFrame));
  if (!isOpen) return undefined;
  showCamera(true);
  return say("Camera.", "Choose a style, then take the picture.");
}

function showFrame({ width, height, seconds, error }) {
  if (error) { closeCamera(); notify(error.message, { error: true }); return; }
  find("#live").dataset.frames = Number(find("#live").dataset.frames ?? 0) + 1;
  find("#status-more").textContent = `Preview at ${width} × ${height} pixels, ${(1 / seconds).toFixed(seconds > 0.2 ? 1 : 0)} per second`;
}

function showCamera(isOpen) {
  for (const selector of ["#live", "#take-picture", "#close-camera"]) find(selector).hidden = !isOpen;
  frame.element.hidden = isOpen || !state.photo;
  find("#welcome").hidden = isOpen || Boolean(state.photo);
  find("#save").hidden = isOpen || !state.painting;
}

function hideCamera() {
  camera.close();
  showCamera(false);
  say("");
}

/** Leave the camera without a picture: the photo before appears with the settings of now. */
function closeCamera() {
  hideCamera();
  paint();
}

async function takePicture() {
  const bitmap = await attempt(camera.grab);
  if (!bitmap) return;
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const file = new File([await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 })], "Camera.jpg", { type: "image/jpeg" });
  choosePhoto(fromFile(file));
}

// --- settings ------------------------------------------------------------------------------------------------------

const tiles = kind => find(kind === "content" ? "#contents .tiles" : "#styles .tiles");

function addTile(kind, picture) {
  const choose = kind === "content" ? choosePhoto : chooseStyle;
  picture.isTile = true;
  picture.input = el("input", { type: "radio", name: kind, "aria-label": picture.label, onchange: () => choose(picture) });
  const tile = el("label", { class: "tile", title: picture.label }, el("img", { src: picture.address, alt: "" }), el("span", { text: picture.label }), picture.input);
  if (picture.isOwn) tiles(kind).querySelector(".tile:not(.add)")?.before(tile);
  if (!tile.isConnected) tiles(kind).append(tile);
}

function select(kind, picture) {
  if (picture.input) picture.input.checked = true;
}

function fieldset(title, id, kind, ...extra) {
  const input = el("input", { type: "file", accept: "image/*", "aria-label": kind === "content" ? "Add your own photo" : "Add your own style",
    onchange: () => { take([...input.files], kind); input.value = ""; } });
  const add = (kind === "content" || site.any_style) && el("label", { class: "tile add" }, el("span", { text: "Add your own" }), input);
  return el("fieldset", { id, class: id, data: { target: kind } }, el("legend", { text: title }), el("div", { class: "tiles" }, add, extra));
}

const hasOneStyle = () => !site.any_style && site.styles.length === 1;

function styleFigure() {
  const [{ label, picture }] = site.styles;
  return el("figure", { id: "style" }, el("img", { src: picture, alt: "" }), el("figcaption", {}, el("span", { class: "hint", text: "Style" }), label));
}

function strengthField() {
  const output = el("output", { for: "strength", text: state.strength });
  const move = isDone => event => {
    state.strength = Number(event.target.value);
    output.textContent = state.strength;
    if (isDone || state.seconds < INSTANT) paint();
  };
  return el("div", { class: "field" }, el("div", { class: "head" }, el("label", { for: "strength", text: "Style strength" }), output),
    el("input", { type: "range", id: "strength", min: "0", max: "100", step: "5", value: String(state.strength), oninput: move(false), onchange: move(true) }));
}

function sizeField() {
  const choose = size => () => { state.size = size; paint(); };
  return el("fieldset", { id: "size" }, el("legend", { text: "Size" }), el("div", { class: "segments" }, site.sizes.map(size =>
    el("label", {}, el("input", { type: "radio", name: "size", value: String(size), checked: size === state.size, onchange: choose(size) }), String(size)))),
    el("p", { class: "hint", text: "Longer side of the painting in pixels" }));
}

function buildForm() {
  const cameraTile = el("div", { class: "tile add" }, el("button", { type: "button", id: "open-camera", text: "Use the camera", onclick: openCamera }));
  find("#settings").append(fieldset("Your photo", "contents", "content", cameraTile), hasOneStyle() ? styleFigure() : fieldset("Style", "styles", "style"), strengthField(), sizeField());
  find("#settings").addEventListener("submit", event => event.preventDefault());
  for (const each of site.samples) addTile("content", fromSite(each));
  const styles = site.styles.map(fromSite);
  if (!hasOneStyle()) for (const style of styles) addTile("style", style);
  if (!site.any_style) {
    find("#drop [data-target=style]").remove();
    find("#drop").style.gridTemplateColumns = "1fr";
  }
  [state.style] = styles;
  select("style", state.style);
  frame.element.hidden = true;
  find("#stage").append(frame.element);
  frame.setCut(0);
}

async function readSite() {
  const response = await fetch("site.json");
  if (!response.ok) throw new Error(`The file site.json of this page cannot be loaded: the server answered with status ${response.status}.`);
  return response.json();
}

async function start() {
  site = await readSite();
  if (!site.sizes.includes(state.size)) [state.size] = site.sizes;
  buildForm();
  connectDrop(take);
  find("#take-picture").addEventListener("click", takePicture);
  find("#close-camera").addEventListener("click", closeCamera);
  document.addEventListener("keydown", event => { if (event.key === "Escape" && camera.isOpen()) closeCamera(); });
  say("Loading the network …");
  const loaded = await network.start(site.any_style, await codeOf(state.style, state.size));
  device = loaded.threads > 1 ? `${loaded.device}, ${loaded.threads} threads` : loaded.device;
  document.body.dataset.ready = "true";
  say("Ready.", state.photo ? "" : "Add a photo, drop one here, or paste one.");
  paint();
}

attempt(() => start().catch(error => { say("The page did not start."); throw error; }));
