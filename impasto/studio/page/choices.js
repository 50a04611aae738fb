// What the user has chosen. It survives a reload, a change of the technique, and a restart of the studio.
import { request } from "./dom.js";

const STORAGE = "impasto.choices";
const INITIAL = { content: "chelsea", styles: ["brushstrokes"], blend: false, weights: {}, method: "gatys", values: {},
  bits: 8, regions: {}, notify: false, fast: true, video: {} };
const listeners = [];

/** Whether nothing was chosen yet in this browser. */
export const isFirstVisit = () => localStorage.getItem(STORAGE) === null;

/** Images, methods and settings as the server describes them, and indices by name. */
export const catalog = { examples: [], contents: [], styles: [], uploads: [], techniques: [], controls: [], networks: [], seconds: {} };
export const images = new Map();
export const choices = { ...structuredClone(INITIAL), ...stored() };

function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORAGE)) ?? {};
  } catch {
    return {};
  }
}

export async function loadCatalog() {
  Object.assign(catalog, await request("catalog"));
  images.clear();
  for (const image of [...catalog.contents, ...catalog.styles, ...catalog.uploads]) images.set(image.name, image);
  if (!images.has(choices.content)) choices.content = catalog.contents[0]?.name ?? "";
  choices.styles = choices.styles.filter(name => images.has(name));
  if (!choices.styles.length) choices.styles = INITIAL.styles;
  if (!technique()) choices.method = INITIAL.method;
}

/** Change choices, store them, and tell the parts of the page what changed; events are further names to tell. */
export function change(changes, ...events) {
  Object.assign(choices, changes);
  localStorage.setItem(STORAGE, JSON.stringify(choices));
  for (const listener of listeners) listener([...Object.keys(changes), ...events]);
}

export const onChange = listener => listeners.push(listener);
export const technique = (name = choices.method) => catalog.techniques.find(each => each.name === name);
export const controls = (name = choices.method) => technique(name).controls.map(index => catalog.controls[index]);
export const label = name => images.get(name)?.label ?? "a picture that is gone";

/** Return the network that was adapted to a style, if there is one. */
export const networkOf = style => catalog.networks.find(each => each.style === style);

/** Return the network that the chosen styles use, if there is one. */
export const activeNetwork = (styles = choices.styles) => (choices.fast && styles.length === 1 ? networkOf(styles[0]) : undefined);

/** Return the field of a request that names the network of the chosen styles, for a method that has networks. */
export const networkField = (method, styles) => (method === "micro" && activeNetwork(styles) ? { network: activeNetwork(styles).key } : {});

export function addImage(image) {
  const index = catalog.uploads.findIndex(each => each.name === image.name);
  if (index >= 0) catalog.uploads.splice(index, 1);
  if (image.kinds) catalog.uploads.unshift(image); // a sample has no kinds
  images.set(image.name, image);
}

export const setValue = (name, value) => {
  const values = { ...choices.values };
  if (value === "" || value === null || value === undefined) delete values[name];
  else values[name] = value;
  change({ values });
};

/** Return the settings of a technique that differ from what its controls show at first. */
export function settings(name = choices.method) {
  const given = {};
  for (const control of controls(name)) {
    const value = choices.values[control.name];
    if (value === undefined) continue;
    const parsed = parse(control, value);
    if (JSON.stringify(parsed) !== JSON.stringify(control.initial)) given[control.name] = parsed;
  }
  delete given.style_mix;
  if (choices.blend && choices.styles.length > 1) {
    const weights = choices.styles.map(style => choices.weights[style] ?? 50);
    if (new Set(weights).size > 1) given.style_mix = weights;
  }
  return given;
}

/** Return the longer side of the output in pixels that the settings select. */
export const outputSize = () => settings().size ?? controls().find(each => each.name === "size")?.initial ?? 512;

/** Return the regions of the chosen photo, if they fit the chosen styles. */
export function activeRegions() {
  const regions = choices.regions[choices.content];
  return regions?.use && Math.max(...regions.used) < choices.styles.length ? regions : null;
}

/** Return the body of a request to paint what is chosen. */
export function requestBody() {
  const regions = activeRegions();
  return {
    content: choices.content,
    style: regions ? regions.used.map(index => choices.styles[index]) : choices.styles,
    method: choices.method,
    settings: settings(),
    bits: choices.bits,
    ...(regions ? { mask: [regions.name] } : networkField(choices.method)),
    wait: 0,
    draft: true,
  };
}

/** Choose what a record contains, as the server describes it. */
export function restore(given) {
  for (const image of given.images ?? []) addImage(image);
  const { style_mix: mix, ...values } = given.settings;
  const text = Object.fromEntries(Object.entries(values).map(([name, value]) =>
    [name, Array.isArray(value) ? value.join(" ") : value]));
  const styles = given.styles.length ? given.styles : choices.styles;
  const weights = Object.fromEntries(styles.map((name, index) => [name, mix ? mix[index] : 50]));
  const content = given.content || choices.content;
  const mask = given.mask?.[0];
  const regions = { ...choices.regions };
  if (mask) regions[content] = { name: mask, used: styles.map((_, index) => index), use: true };
  else if (regions[content]) regions[content] = { ...regions[content], use: false };
  change({ content, styles, blend: styles.length > 1, weights, method: given.method, values: text, regions, ...(given.method === "micro" && styles.length === 1 && networkOf(styles[0]) && { fast: given.network }) }, "restored");
}

export function parse(control, value) {
  const number = word => (word !== "" && Number.isFinite(Number(word)) ? Number(word) : word);
  if (control.kind === "list") return String(value).split(/[\s,;]+/).filter(Boolean).map(number);
  if (control.kind === "slider" || control.kind === "number") return number(String(value).trim());
  return value;
}
