// Start the page: tabs, the stage with its buttons, shortcuts, and pictures that are dropped or pasted.
import { attempt, copy, duration, el, find, instantAddress, notify, openDialog, request, sourceAddress } from "./dom.js";
import { activeNetwork, catalog, change, choices, isFirstVisit, label, loadCatalog, onChange, outputSize, requestBody, restore, technique } from "./choices.js";
import { addFiles, buildForm, expectedTime } from "./form.js";
import { connectNotifications, follow, fraction, isLive, jobs, onJobs, poll, statusText, stop, timeLeft, watch } from "./jobs.js";
import { connectDrop } from "./drop.js";
import { makeFrame } from "./frame.js";
import { openGallery } from "./gallery.js";
import { canShare, share } from "./share.js";
import { openViewer } from "./viewer.js";
import { makeWelcome } from "./welcome.js";
import { openCompare } from "./compare.js";
import { openLab } from "./lab.js";
import { addClips, isClip, openVideo, pressedKey, showVideo } from "./video.js";

const stage = { key: "", content: "", submitted: "", view: "instant", size: 0, entry: null, announced: "" };
const frame = makeFrame({ onzoom: enlarge });
let welcome;

// --- the stage ---------------------------------------------------------------------------------------------------

const job = () => jobs.get(stage.key);
const hasPicture = () => Boolean(stage.entry) || ["done", "stopped"].includes(job()?.status);
const isPainting = () => Boolean(job() && isLive(job()));
const signature = () => JSON.stringify({ ...requestBody(), bits: 0 });
const hasChanged = () => signature() !== stage.submitted;

/** Return the labels of what was changed since the job on the stage was submitted. */
function changedLabels() {
  const before = JSON.parse(stage.submitted || "{}");
  const now = requestBody();
  const names = new Set([...Object.keys(before.settings ?? {}), ...Object.keys(now.settings)]);
  const labels = { content: "photo", style: "style", method: "technique", mask: "regions", network: "network" };
  const changed = Object.keys(labels).filter(name => JSON.stringify(before[name]) !== JSON.stringify(now[name])).map(name => labels[name]);
  for (const name of names) {
    if (JSON.stringify(before.settings?.[name]) === JSON.stringify(now.settings[name])) continue;
    changed.push((catalog.controls.find(each => each.name === name)?.label ?? name).toLowerCase());
  }
  return changed;
}

const isWelcome = () => !stage.key && (!choices.content || isFirstVisit());

function showStage() {
  const { content } = choices;
  welcome.hidden = !isWelcome();
  frame.element.hidden = !welcome.hidden;
  if (!welcome.hidden) return;
  const isShown = stage.key && stage.view === "job";
  const photo = content ? sourceAddress(content) : "";
  let painting = "";
  let title = "";
  if (isShown && hasPicture()) {
    painting = `pictures/${stage.key}.png`;
    title = `Painting: ${job()?.title ?? stage.entry.title}`;
  } else if (isShown && job()?.preview !== null && job()?.preview !== undefined) {
    painting = `jobs/${stage.key}/preview?${job().preview}`;
    title = `Painting so far: ${job().title}`;
  } else if (content && choices.styles.length) {
    painting = instantAddress(content, choices.styles, 768, activeNetwork());
    title = `Instant preview: ${label(content)} in the style of ${choices.styles.map(label).join(" and ")}`;
  }
  frame.show({ photo, painting, title });
  find("#stage").dataset.status = isShown ? (job()?.status ?? "done") : "instant";
  find("#stage").dataset.key = stage.key;
}

function showActions() {
  const live = isPainting();
  const canKeep = hasPicture() && stage.content === choices.content;
  const { continues, label: name } = technique();
  hide("#stop", !live);
  hide("#apply", !live || !hasChanged() || job().stopping);
  for (const selector of ["#continue", "#larger", "#download", "#share"]) hide(selector, live || !canKeep || (selector === "#share" && !canShare()));
  for (const selector of ["#continue", "#larger"]) {
    find(selector).setAttribute("aria-disabled", String(!continues));
    find(selector).title = continues ? { "#continue": "Go on from this picture, with your changes", "#larger": `Paint it at ${2 * stage.size} pixels, from this picture: ${expectedTime(choices.method, { size: 2 * stage.size })}` }[selector]
      : `${name} pictures are finished in one go; choose another technique to go on from them`;
  }
  find("#stop").setAttribute("aria-disabled", String(Boolean(job()?.stopping)));
  find("#download").href = `pictures/${stage.key}.png`;
  find("#download").setAttribute("download", `impasto-${stage.key.slice(0, 15)}.png`);
  const toggle = find("#toggle-view");
  toggle.hidden = live || !canKeep || (stage.view === "job" && !hasChanged());
  toggle.textContent = stage.view === "job" ? "Show the instant preview of your changes" : "Show the painting";
}

function hide(selector, isHidden) {
  const element = find(selector);
  if (element.hidden === isHidden) return;
  if (isHidden && element === document.activeElement) find("#paint").focus();
  element.hidden = isHidden;
}

function showStatus() {
  const state = stage.view === "job" ? job() : null;
  const bar = find("#progress");
  const part = state?.status === "running" ? fraction(state) : null;
  bar.style.setProperty("--done", state && isLive(state) ? (part ?? 0.3) : 0);
  bar.classList.toggle("unknown", Boolean(state && isLive(state) && (part === null || state.total === 1)));
  let text = "";
  if (state) text = statusText(state);
  else if (stage.view === "job" && stage.entry) text = "From your gallery.";
  else if (choices.content && choices.styles.length && !isWelcome()) text = "Instant preview.";
  let more = state ? (state.error ?? timeLeft(state)) : stage.view === "job" || !text ? "" : invitation();
  if (!find("#apply").hidden) more += ` · You changed the ${changedLabels().join(" and the ")}.`;
  if (find("#status").textContent !== text) find("#status").textContent = text;
  find("#status-more").textContent = more ?? "";
}

/** Return what the button Paint does with the current choices. */
function invitation() {
  const time = expectedTime(choices.method);
  return `Press Paint for the finished picture${time ? `, ${time}` : ""}.`;
}

async function showDetails() {
  const details = find("#details");
  details.hidden = stage.view !== "job" || !stage.key;
  if (details.hidden || !details.open) return;
  const body = details.querySelector("div");
  if (hasPicture() && !isPainting()) {
    if (body.dataset.key === stage.key) return;
    const entry = await attempt(() => request(`gallery/${stage.key}`));
    if (!entry) return;
    body.dataset.key = stage.key;
    body.replaceChildren(...describe(entry));
  } else if (job()?.step) {
    const state = job();
    delete body.dataset.key;
    const { curve } = await request(`jobs/${stage.key}/curve`).catch(() => ({ curve: "" }));
    if (body.dataset.key) return;
    body.replaceChildren(el("p", { text: `Step ${state.step}${state.total ? ` of ${state.total}` : ""} · loss ${(state.losses.total ?? 0).toPrecision(4)} · ${duration(state.seconds)}` }),
      el("div", { class: "curves", html: curve }));
  } else body.replaceChildren();
}

/** Return the figures, the curves and the code of a result as elements. */
export function describe(entry) {
  const code = (title, text) => {
    const block = el("pre", { text, tabindex: "0" });
    return el("details", { class: "fold" }, el("summary", { text: title }), block,
      el("button", { type: "button", text: "Copy", onclick: event => copy(block, event.target) }));
  };
  const facts = { Technique: catalog.techniques.find(each => each.name === entry.method)?.label ?? entry.method,
    Size: `${entry.width} × ${entry.height} pixels`, Time: duration(entry.seconds), Steps: entry.steps > 1 ? entry.steps : null,
    Loss: entry.losses.total?.toPrecision(4),
    Settings: Object.entries(entry.settings).map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(" ") : value}`).join(", ") || "all as given" };
  if (entry.versions.length) facts.History = `continued from ${entry.versions.length} earlier ${entry.versions.length === 1 ? "version" : "versions"}`;
  return [
    el("dl", {}, Object.entries(facts).filter(([, value]) => value).map(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })])),
    entry.curve ? el("div", { class: "curves", html: entry.curve }) : "",
    el("p", {}, el("a", { href: `pictures/${entry.key}.json`, download: `impasto-${entry.key.slice(0, 15)}.json`, text: "Settings file (JSON)" })),
    code("Repeat in a terminal", entry.command), code("Repeat in Python", entry.python)];
}

function refresh() {
  showStage();
  showActions();
  showStatus();
  showDetails();
}

function attach(key, { entry = null, content = choices.content } = {}) {
  Object.assign(stage, { key, entry, content, view: key ? "job" : "instant", size: entry ? Math.max(entry.width, entry.height) : outputSize(), submitted: signature() });
  const address = key ? `#job=${key}` : "#paint";
  if (location.hash !== address) history.replaceState(null, "", address);
  if (key) watch(key);
  refresh();
}

/** Submit what is chosen, or what is chosen on top of an earlier picture. */
async function paint({ parent, larger = false, body = requestBody() } = {}) {
  if (!body.content) return notify("Add a photo first.", { error: true });
  if (!body.style.length) return notify("Pick a style first.", { error: true });
  if (parent) {
    body.parent = parent;
    body.settings = { ...body.settings, size: larger ? 2 * stage.size : outputSize() };
    delete body.settings.sizes;
  }
  const state = await submit(body);
  if (!state) return undefined;
  follow(state);
  attach(state.key, { content: body.content });
  if (body.settings.size) stage.size = body.settings.size;
  return refresh();
}

async function submit(body) {
  try {
    return await request("stylize", { method: "POST", json: body });
  } catch (error) {
    const needed = error.message.match(/download of ([\d.]+ MB)/);
    const action = needed && (async () => {
      const state = await attempt(() => request("stylize", { method: "POST", json: { ...body, download: true } }));
      if (state) { follow(state); attach(state.key, { content: body.content }); }
    });
    notify(error.message, { error: true, action, label: needed ? `Download ${needed[1]}` : undefined });
    return null;
  }
}

function enlarge() {
  if (stage.view === "job" && hasPicture()) openViewer([stage.key], stage.key, { edit });
  else openViewer([], "", { picture: frame.current() });
}

/** Show a result of the gallery on the stage, with its choices. */
export async function edit(key) {
  const entry = await attempt(() => request(`gallery/${key}`));
  if (!entry) return;
  if (entry.choices.missing.length) notify(`Not here any more: ${entry.choices.missing.join(", ")}. Please add it again.`, { error: true });
  stage.key = "";
  restore(entry.choices);
  openTab("paint");
  attach(key, { entry });
}

export async function replay(key) {
  const state = await attempt(() => request(`gallery/${key}/replay`, { method: "POST" }));
  if (!state) return;
  await edit(key);
  follow(state);
  attach(state.key);
}

function connectStage() {
  welcome = makeWelcome({ onexample: ({ content, style, method }) => { change({ content, styles: [style], method }); paint(); } });
  find("#stage").append(welcome, frame.element);
  find("#paint").addEventListener("click", () => paint());
  find("#stop").addEventListener("click", () => { if (isPainting() && !job().stopping) stop(stage.key); });
  find("#apply").addEventListener("click", () => paint({ parent: stage.key }));
  for (const [selector, larger] of [["#continue", false], ["#larger", true]])
    find(selector).addEventListener("click", event => {
      if (event.currentTarget.getAttribute("aria-disabled") === "true") return notify(event.currentTarget.title + ".");
      return paint({ parent: stage.key, larger });
    });
  find("#share").addEventListener("click", () => share(stage.key, job()?.title ?? stage.entry.title));
  find("#toggle-view").addEventListener("click", () => { stage.view = stage.view === "job" ? "instant" : "job"; refresh(); });
  find("#details").addEventListener("toggle", showDetails);
  onJobs(() => {
    const state = job();
    if (state && ["done", "stopped"].includes(state.status) && stage.announced !== stage.key) {
      stage.announced = stage.key;
      loadCatalogTimes();
    }
    refresh();
  });
  onChange(names => {
    if (names.includes("content") && stage.key && stage.content !== choices.content && !isPainting()) attach("");
    if (names.includes("styles") && stage.key && !isPainting() && hasChanged()) stage.view = "instant";
    refresh();
  });
  document.addEventListener("paint-all", event => paintAll(event.detail));
  document.addEventListener("use-settings", event => {
    if (event.detail.missing.length) notify(`Not here: ${event.detail.missing.join(", ")}. The other settings are taken.`);
    restore(event.detail);
  });
}

async function loadCatalogTimes() {
  const { seconds } = await request("catalog").catch(() => ({}));
  if (seconds) { catalog.seconds = seconds; change({}, "values"); }
}

async function paintAll(names) {
  for (const content of names) {
    const state = await submit({ ...requestBody(), content, mask: undefined });
    if (!state) return;
    follow(state);
    if (content === choices.content) attach(state.key);
  }
}

// --- tabs, shortcuts, dropped and pasted pictures ------------------------------------------------------------------

const TABS = { paint: refresh, video: openVideo, compare: () => openCompare(edit), gallery: () => openGallery({ edit, replay }), lab: openLab };

function openTab(name) {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.tab === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const panel of document.querySelectorAll("[data-panel]")) panel.hidden = panel.dataset.panel !== name;
  TABS[name]();
}

async function openAddress() {
  const address = location.hash.slice(1);
  if (address.startsWith("video=")) {
    openTab("video");
    return showVideo(address.slice(6));
  }
  if (!address.startsWith("job=")) return openTab(address in TABS ? address : "paint");
  openTab("paint");
  const key = address.slice(4);
  if (key === stage.key) return undefined;
  try {
    const state = await request(`jobs/${encodeURIComponent(key)}`);
    jobs.set(key, state);
    return attach(key);
  } catch { /* not in the queue: it may be in the gallery */ }
  try {
    return attach(key, { entry: await request(`gallery/${encodeURIComponent(key)}`) });
  } catch {
    return attach("");
  }
}

function connectKeyboard() {
  document.addEventListener("keydown", event => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && find("#queue").open) { find("#queue").open = false; return; }
    if (!find("[data-panel=video]").hidden) { pressedKey(event); return; }
    const isWriting = event.target.matches("input[type=text], input[type=number], input[type=search], textarea");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); paint(); }
    else if (event.key === "Escape" && !isWriting && isPainting()) stop(stage.key);
  });
}

function take(files, kind) {
  const clips = files.filter(file => isClip(file));
  if (clips.length) {
    if (find("[data-panel=video]").hidden) location.hash = "#video";
    addClips(clips);
  }
  files = files.filter(file => !clips.includes(file));
  if (!files.length) return;
  if (find("[data-panel=paint]").hidden) location.hash = "#paint";
  addFiles(files, kind);
}

/** Show the address of the studio for other machines, which a phone reads with its camera. */
function showAddress() {
  const dialog = openDialog("Open on a phone", el("div", { class: "address" }, el("h2", { text: "Open on a phone" }),
    el("p", { text: "In the same network, point its camera here. Whoever has this address can use the studio." }),
    el("img", { src: "address.svg", alt: "QR code of the address below" }), el("p", {}, el("code", { text: catalog.address })),
    el("button", { type: "button", text: "Close", title: "Esc", onclick: () => dialog.close() })));
}

async function start() {
  await loadCatalog();
  buildForm();
  connectStage();
  connectKeyboard();
  connectDrop(take);
  connectNotifications();
  find("#open-phone").hidden = !catalog.address;
  find("#open-phone").addEventListener("click", showAddress);
  window.addEventListener("hashchange", openAddress);
  await openAddress();
  document.body.dataset.ready = "true";
  poll();
  const { experiments } = await request("lab").catch(() => ({ experiments: {} }));
  find("nav [data-tab=lab]").hidden = !Object.keys(experiments).length;
}

attempt(start);
