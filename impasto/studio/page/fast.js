// A fast network for the chosen style: it is made in the queue, then used, downloaded or removed.
import { attempt, duration, el, notify, request } from "./dom.js";
import { activeNetwork, activeRegions, catalog, change, choices, images, label, networkOf, onChange } from "./choices.js";
import { follow, fraction, isLive, jobs, networkKeys, onJobs, statusText, stop, timeLeft } from "./jobs.js";

const known = new Map(); // states of the jobs whose end is announced
const CLOSER = { steps: 1000 }; // ten minutes on two cores; the default takes one
let parts, root;
let isLoading = false;

/** Return the row below the styles; it follows the choices and the jobs. */
export function makeFast() {
  const button = (id, text, title, onclick) => el("button", { type: "button", id, class: "link", text, title, onclick });
  parts = {
    make: button("make-fast", "Make this style fast…", "", () => make(choices.styles[0])),
    closer: button("make-closer", "Closer, in ten minutes…", "", () => make(choices.styles[0], CLOSER)),
    bar: el("div", { class: "progress", role: "progressbar", "aria-label": "Training", "aria-valuemin": "0", "aria-valuemax": "100" }, el("span")),
    status: el("p", { class: "hint", id: "fast-status" }),
    keep: button("keep-fast", "Stop and keep", "Ends the training; the network so far is kept", () => stop(job().key)),
    discard: button("discard-fast", "Discard", "Ends the training; nothing is kept", () => discard(job().key)),
    use: el("input", { type: "checkbox", id: "use-fast", onchange: event => change({ fast: event.target.checked }) }),
    text: el("span"),
    download: el("a", { id: "download-fast", text: "Download" }),
    unused: el("p", { class: "hint", id: "fast-unused" }),
    remove: button("remove-fast", "Remove", "", () => confirmRemoval(networkOf(choices.styles[0]))),
  };
  parts.training = el("div", { id: "fast-training" }, parts.status, parts.bar, el("div", { class: "row" }, parts.keep, parts.discard));
  parts.unmade = el("div", { class: "row" }, parts.make, parts.closer);
  parts.made = el("div", { id: "fast-made", class: "row" }, el("label", { class: "check" }, parts.use, parts.text), parts.download, parts.remove);
  onChange(names => { if (names.some(name => ["content", "styles", "regions", "fast", "method", "networks", "uploads", "restored"].includes(name))) show(); });
  onJobs(jobsChanged);
  root = el("div", { id: "fast" }, parts.unmade, parts.training, parts.made, parts.unused);
  show();
  return root;
}

const job = () => [...jobs.values()].find(each => each.is_network && isLive(each) && each.style === choices.styles[0]);

function show() {
  const [style] = choices.styles;
  const isOne = choices.styles.length === 1;
  const state = isOne ? job() : undefined;
  const network = isOne ? networkOf(style) : undefined;
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  parts.unmade.hidden = !isOne || Boolean(state ?? network);
  parts.make.title = `Train a network for ${label(style)} in a minute or two: Instant then comes closer to the style, also for clips`;
  parts.closer.title = `Train a network for ${label(style)} with eight times as many steps: closer to the style, with more of its large forms`;
  parts.training.hidden = !state;
  parts.made.hidden = Boolean(state) || !network;
  showUnused();
  if (state) showTraining(state);
  else if (network) showNetwork(network, label(style));
  if (focused?.closest("[hidden]")) (state ? parts.discard : network ? parts.use : parts.make).focus();
}

/** Say so where the request leaves out a network that a chosen style has. */
function showUnused() {
  const left = choices.styles.filter(style => networkOf(style) && (activeRegions() || choices.styles.length > 1));
  parts.unused.hidden = !left.length || !choices.fast || choices.method !== "micro";
  parts.unused.textContent = `Painted without the fast network for ${left.map(label).join(" and ")}, which takes one style and no regions.`;
}

function showTraining(state) {
  const part = state.status === "running" ? fraction(state) : null;
  parts.bar.style.setProperty("--done", part ?? 0.3);
  parts.bar.classList.toggle("unknown", part === null);
  if (part === null) parts.bar.removeAttribute("aria-valuenow");
  else parts.bar.setAttribute("aria-valuenow", Math.floor(100 * part));
  const loss = state.losses.total === undefined ? "" : `loss ${state.losses.total.toFixed(2)}`;
  const text = [statusText(state), timeLeft(state), loss].filter(Boolean).join(" · ");
  if (parts.status.textContent !== text) parts.status.textContent = text;
  parts.keep.hidden = state.status === "waiting";
  parts.keep.setAttribute("aria-disabled", String(state.stopping));
}

function showNetwork(network, name) {
  parts.use.checked = Boolean(activeNetwork());
  parts.text.textContent = choices.method === "micro" ? "Use its fast network" : "Use its fast network in previews";
  parts.text.title = network.is_bundled ? "Part of impasto; for the technique Instant" : `Trained with ${network.steps} steps in ${duration(network.seconds)}; for the technique Instant`;
  parts.download.hidden = parts.remove.hidden = network.is_bundled;
  parts.download.href = `networks/${network.key}.safetensors`;
  parts.download.setAttribute("download", "");
  parts.download.setAttribute("aria-label", `Download the network for ${name}`);
  parts.remove.setAttribute("aria-label", `Remove the network for ${name}`);
}

const make = (style, settings = {}) => attempt(async () => {
  const state = await request("networks", { method: "POST", json: { style, settings } });
  known.set(state.key, state.status);
  follow(state);
});

const discard = key => attempt(async () => {
  const state = jobs.get(key);
  if (state) jobs.set(key, { ...state, stopping: true });
  show();
  await request(`networks/${key}`, { method: "DELETE" });
});

const confirmRemoval = network => notify(`Remove the network for ${network.label}? Pictures that it painted remain.`, { label: "Yes, remove", seconds: 20,
  action: () => attempt(async () => { await request(`networks/${network.key}`, { method: "DELETE" }); await load(); parts.make.focus(); }) });

async function load() {
  isLoading = true;
  const answer = await attempt(() => request("networks"));
  isLoading = false;
  if (!answer) return;
  catalog.networks = answer.networks;
  change({}, "networks");
}

async function jobsChanged() {
  for (const state of [...jobs.values()].filter(each => each.is_network)) {
    const before = known.get(state.key);
    known.set(state.key, state.status);
    if (isLive(state) || !["waiting", "running"].includes(before)) continue;
    if (state.status === "failed") notify(`${state.title}: ${state.error}`, { error: true });
    if (["done", "stopped"].includes(state.status)) announce(state);
  }
  // another page, a restart or the removal of an upload changed them
  if (!isLoading && networkKeys && networkKeys.join() !== catalog.networks.map(each => each.key).join()) load();
  show();
}

async function announce(state) {
  await load();
  const network = networkOf(state.style);
  if (!network) return;
  const isChosen = choices.styles.length === 1 && choices.styles[0] === state.style && choices.method === "micro";
  const use = () => change({ styles: [state.style], blend: false, method: "micro", fast: true });
  notify(`The network for ${network.label} is ready.`, isChosen || !images.has(state.style) ? { seconds: 20 } : { label: "Paint with it", seconds: 60, action: use });
}
