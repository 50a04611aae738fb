// All results: search, favorites, versions folded into one card, selection, download of many, deletion with undo.
import { attempt, el, find, localTime, plural, request } from "./dom.js";
import { catalog } from "./choices.js";
import { fraction, isLive, jobAddress, jobs, onJobs, statusText } from "./jobs.js";
import { offerUndo, openViewer } from "./viewer.js";

const PAGE = 60; // cards that are added at a time
const state = { entries: [], query: "", starred: false, picked: new Set(), selecting: false, count: PAGE };
let actions;
let parts;

export async function openGallery(given) {
  actions = { ...given, changed: load };
  if (!parts) build();
  await load();
}

function build() {
  const search = el("input", { type: "search", placeholder: "Search by photo, style or technique", "aria-label": "Search the gallery",
    oninput: () => { state.query = search.value.toLowerCase(); state.count = PAGE; show(); } });
  const starred = el("button", { type: "button", id: "gallery-starred", text: "★ Favorites", "aria-pressed": "false", onclick: () => {
    state.starred = !state.starred; starred.setAttribute("aria-pressed", String(state.starred)); show(); } });
  const select = el("button", { type: "button", id: "gallery-select", text: "Select", "aria-pressed": "false", onclick: () => {
    state.selecting = !state.selecting; state.picked.clear(); select.setAttribute("aria-pressed", String(state.selecting)); show(); } });
  const chosen = el("span", { class: "row" });
  const grid = el("ul", { class: "grid", id: "gallery-grid" });
  const more = el("button", { type: "button", text: "Show more", onclick: () => { state.count += PAGE; show(); } });
  parts = { chosen, grid, more, toolbar: el("div", { class: "toolbar" }, search, starred, select, chosen), live: el("ul", { class: "grid", id: "gallery-live" }) };
  find("[data-panel=gallery]").append(parts.toolbar, parts.live, grid, more);
  onJobs(() => { if (!find("[data-panel=gallery]").hidden) showLive(); });
}

async function load() {
  const answer = await attempt(() => request("gallery"));
  if (answer) state.entries = answer.entries;
  show();
  showLive();
}

/** Return the results that match, each with the versions that it continues. */
function groups() {
  const byKey = new Map(state.entries.map(entry => [entry.key, entry]));
  const continued = new Set(state.entries.map(entry => entry.parent).filter(Boolean));
  const words = state.query.split(/\s+/).filter(Boolean);
  const matches = entry => {
    const technique = catalog.techniques.find(each => each.name === entry.method)?.label ?? "";
    const text = `${entry.title} ${entry.content} ${(entry.styles ?? []).join(" ")} ${entry.method} ${technique}`.toLowerCase();
    return words.every(word => text.includes(word)) && (!state.starred || entry.starred);
  };
  const found = [];
  for (const entry of state.entries) {
    const isFolded = continued.has(entry.key) && !state.starred;
    if (isFolded || !matches(entry)) continue;
    const versions = [entry];
    for (let parent = byKey.get(entry.parent); parent && !versions.includes(parent); parent = byKey.get(parent.parent)) versions.push(parent);
    found.push(versions);
  }
  return found;
}

function show() {
  const found = groups();
  const keys = found.flat().map(entry => entry.key);
  parts.grid.replaceChildren(...found.slice(0, state.count).map(versions => card(versions, keys)));
  if (!found.length) parts.grid.append(el("li", { class: "empty" }, state.entries.length ? "Nothing matches." : "Every picture that you paint appears here. ",
    !state.entries.length && el("a", { href: "#paint", text: "Paint one" })));
  parts.toolbar.hidden = !state.entries.length;
  parts.more.hidden = found.length <= state.count;
  showChosen();
}

function card(versions, keys) {
  const [entry] = versions;
  const pick = state.selecting && el("input", { type: "checkbox", class: "pick", "aria-label": `Select ${entry.title}`, checked: state.picked.has(entry.key),
    onchange: event => { event.target.checked ? state.picked.add(entry.key) : state.picked.delete(entry.key); showChosen(); } });
  const open = () => (pick ? pick.click() : openViewer([...new Set(keys)], entry.key, actions));
  const star = el("button", { type: "button", class: "star", text: "★", "aria-label": `Favorite: ${entry.title}`, "aria-pressed": String(Boolean(entry.starred)),
    onclick: async () => { await attempt(() => request(`gallery/${entry.key}/${entry.starred ? "unstar" : "star"}`, { method: "POST" })); load(); } });
  const technique = catalog.techniques.find(each => each.name === entry.method)?.label ?? entry.method;
  return el("li", { class: "thumb", data: { key: entry.key } },
    el("button", { type: "button", onclick: open }, el("img", { src: `pictures/${entry.key}.jpg`, alt: entry.title, loading: "lazy" }),
      el("span", { text: entry.title }), el("small", { text: `${technique} · ${localTime(entry.created)}` })),
    versions.length > 1 && el("span", { class: "count", text: plural(versions.length, "version") }), star, pick);
}

function showLive() {
  const live = [...jobs.values()].filter(job => isLive(job) && !job.is_network);
  const known = new Set(state.entries.map(entry => entry.key));
  const isMissing = [...jobs.values()].some(job => job.picture && ["done", "stopped"].includes(job.status) && !known.has(job.key) && !state.seen?.has(job.key));
  if (isMissing) {
    state.seen = new Set([...jobs.keys()]);
    load();
  }
  parts.live.replaceChildren(...live.map(job => el("li", { class: "thumb" }, el("a", { href: jobAddress(job) },
    job.preview === null ? el("span", { class: "pending" }) : el("img", { src: `jobs/${job.key}/preview?${job.preview}`, alt: job.title })),
  el("span", { text: job.title }), el("small", { text: fraction(job) === null ? statusText(job) : `${Math.floor(100 * fraction(job))} %` }))));
  parts.live.hidden = !live.length;
}

function showChosen() {
  const keys = [...state.picked];
  const all = state.selecting && el("button", { type: "button", class: "link", text: "All", onclick: () => { for (const [entry] of groups()) state.picked.add(entry.key); show(); } });
  const buttons = keys.length ? [
    el("a", { class: "button", id: "gallery-zip", href: `gallery.zip?keys=${keys.join(",")}`, download: "impasto.zip", text: `Download ${keys.length} as zip` }),
    el("button", { type: "button", id: "gallery-delete", class: "danger", text: `Delete ${keys.length}`, onclick: () => removeAll(keys) })] : [];
  parts.chosen.replaceChildren(...[all, ...buttons].filter(Boolean));
}

async function removeAll(keys) {
  for (const key of keys) await attempt(() => request(`gallery/${key}`, { method: "DELETE" }));
  state.picked.clear();
  offerUndo(keys, load);
  await load();
}

