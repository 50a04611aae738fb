// Clips: choose one and a style, paint it in the queue, follow its frames, and play the result.
import { attempt, duration, el, find, notify, plural, request, sourceAddress } from "./dom.js";
import { activeNetwork, catalog, change, choices, label, networkField, onChange, technique } from "./choices.js";
import { follow, fraction, framesText, isLive, jobs, onJobs, statusText, stop, timeLeft, watch } from "./jobs.js";

const SUFFIXES = /\.(mp4|m4v|mov|webm|mkv|avi|gif|webp|apng)$/i;
const INITIAL = { clip: "", styles: ["brushstrokes"], method: "", quality: "normal", strength: "50", size: "512", start: "", duration: "" };
const FIELDS = {
  strength: { text: "Style strength", hint: "0 is your clip, 100 is all style." },
  size: { text: "Output size", hint: "Longer side in pixels; larger takes longer." },
  start: { text: "Begin at", hint: "Seconds from the beginning of your clip. Empty: the beginning." },
  duration: { text: "Length", hint: "Seconds to paint. Empty: to the end." },
};
const stage = { key: "", clips: [], videos: [] };
let parts;

const chosen = () => ({ ...INITIAL, method: catalog.clips.method, ...choices.video });
const choose = changes => change({ video: { ...chosen(), ...changes } });
const job = () => jobs.get(stage.key);
const entry = () => stage.videos.find(each => each.key === stage.key);
const isPainting = () => Boolean(job() && isLive(job()));
const isFinished = () => (job() ? job().status === "done" : Boolean(entry()?.finished));

/** Return whether a file is a clip: a video anywhere, an animated picture on this tab only. */
export const isClip = file => file.type.startsWith("video/") || /\.(mkv|mov|mp4|webm)$/i.test(file.name)
  || (!find("[data-panel=video]").hidden && SUFFIXES.test(file.name));

export async function openVideo() {
  if (!parts) build();
  if (location.hash === "#video") {
    const running = [...jobs.values()].find(each => each.is_video && isLive(each));
    if (running && !stage.key) attach(running.key);
  }
  await load();
}

/** Show a video, by the key in the address. */
export async function showVideo(key) {
  stage.key = key;
  watch(key);
  show();
}

/** Upload clips and choose the last one; each file that is not a clip gets a message of its own. */
export async function addClips(files) {
  for (const file of files) {
    if (file.size > catalog.clips.max_bytes) {
      notify(`${file.name} is ${Math.ceil(file.size / 1e6)} MB; the limit is ${Math.floor(catalog.clips.max_bytes / 1e6)} MB.`, { error: true });
      continue;
    }
    const adding = notify(`Adding ${file.name}…`, { seconds: 3600 });
    const clip = await attempt(() => request(`clips?${new URLSearchParams({ name: file.name })}`, { method: "POST", body: file }));
    adding.remove();
    if (!clip) continue;
    stage.key = "";
    choose({ clip: clip.name, start: "", duration: "" });
    if (location.hash !== "#video") location.hash = "#video";
  }
  await load();
}

export function pressedKey(event) {
  const isWriting = event.target.matches("input[type=text], input[type=number]");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); paint(); }
  else if (event.key === "Escape" && !isWriting && isPainting()) stop(stage.key);
}

async function load() {
  const answers = await attempt(() => Promise.all([request("clips"), request("videos")]));
  if (answers) [{ clips: stage.clips }, { videos: stage.videos }] = answers;
  show();
  showClips();
}

// --- the page ----------------------------------------------------------------------------------------------------

function build() {
  const button = (id, text, action, properties = {}) => el("button", { type: "button", id, text, onclick: action, hidden: true, ...properties });
  parts = {
    frame: el("div", { class: "stage", id: "video-stage" }),
    paint: button("video-paint", "Paint", paint, { class: "primary", title: "Ctrl+Enter", hidden: false }),
    stop: button("video-stop", "Stop", () => { if (!job().stopping) stop(stage.key); }, { title: "Esc" }),
    resume: button("video-continue", "Continue", () => resume(stage.key), { title: "Paint the frames that are missing" }),
    download: el("a", { class: "button", id: "video-download", text: "Download", hidden: true }),
    bar: el("div", { class: "progress" }, el("span")),
    status: el("strong", { id: "video-status", role: "status" }),
    more: el("span", { id: "video-more", class: "hint" }),
    clips: el("div", { class: "tiles" }), styles: el("div", { class: "tiles" }), quality: el("div"), fields: {},
    hint: el("p", { class: "hint" }), list: el("ul", { class: "grid", id: "video-list" }),
  };
  find("[data-panel=video]").append(
    el("div", { class: "stage-column" }, parts.frame,
      el("div", { class: "actions", role: "group", "aria-label": "Actions" }, parts.paint, parts.stop, parts.resume, el("span", { class: "gap" }), parts.download),
      parts.bar, el("p", { class: "status" }, parts.status, " ", parts.more)),
    form(), parts.list);
  onJobs(jobsChanged);
  onChange(names => {
    if (names.some(name => ["video", "uploads", "networks", "fast"].includes(name))) { showClips(); showStyles(); showMethod(); show(); }
  });
  showStyles();
  showMethod();
}

function form() {
  const field = (name, { text, hint }) => el("div", { class: "field" }, el("label", { for: `video-${name}`, text }),
    parts.fields[name] = el("input", { type: "text", inputmode: "decimal", id: `video-${name}`, value: chosen()[name], autocomplete: "off",
      onchange: event => choose({ [name]: event.target.value.trim() }) }), el("p", { class: "hint", text: hint }));
  parts.method = el("select", { id: "video-method", onchange: () => choose({ method: parts.method.value }) },
    catalog.techniques.map(each => el("option", { value: each.name, text: each.label })));
  return el("form", { class: "settings", "aria-label": "Settings of the video", onsubmit: event => event.preventDefault() },
    el("fieldset", { class: "contents", id: "clips" }, el("legend", { text: "Your clip" }), parts.clips),
    el("fieldset", { class: "styles", id: "video-styles" }, el("legend", { text: "Style" }, el("span", { class: "more", text: "Pick several to blend" })), parts.styles),
    el("div", { class: "field" }, el("label", { for: "video-method", text: "Technique" }), parts.method, parts.hint),
    field("strength", FIELDS.strength), parts.quality, field("size", FIELDS.size), field("start", FIELDS.start), field("duration", FIELDS.duration));
}

function tile(kind, name, text, title, picture, checked, onchange, remove) {
  return el("label", { class: "tile", title, data: { name } }, el("img", { src: picture, alt: "", loading: "lazy" }), el("span", { text }),
    el("input", { type: kind, name: `video-${kind}`, value: name, checked, "aria-label": text, onchange }),
    remove && el("button", { type: "button", class: "remove", text: "×", "aria-label": `Remove ${text}`, tabindex: "-1", onclick: remove }));
}

function showClips() {
  const { clip } = chosen();
  const input = el("input", { type: "file", accept: "video/*,.mkv,image/gif,image/webp,image/apng", multiple: true, "aria-label": "Add your own clip",
    onchange: () => { addClips([...input.files]); input.value = ""; } });
  const remove = name => attempt(async () => { await request(`clips/${name}`, { method: "DELETE" }); await load(); });
  parts.clips.replaceChildren(el("label", { class: "tile add" }, el("span", { text: "Add your own" }), input), ...stage.clips.map(each =>
    tile("radio", each.name, each.label, describe(each), `clips/${each.name}/frame`, each.name === clip,
      () => { stage.key = ""; choose({ clip: each.name }); history.replaceState(null, "", "#video"); }, () => remove(each.name))));
}

const describe = clip => [clip.label, clip.seconds && duration(clip.seconds), `${clip.width} × ${clip.height} pixels`, clip.sound ? "with sound" : "no sound"].filter(Boolean).join(" · ");

function showStyles() {
  const { styles } = chosen();
  const toggle = name => {
    const others = styles.filter(each => each !== name);
    choose({ styles: others.length === styles.length ? [...styles, name] : others });
  };
  const uploads = catalog.uploads.filter(image => !image.hidden && image.kinds.includes("style"));
  parts.styles.replaceChildren(...[...uploads, ...catalog.styles].map(image =>
    tile("checkbox", image.name, image.label, image.summary ?? image.label, sourceAddress(image.name, true), styles.includes(image.name), () => toggle(image.name))));
}

function showMethod() {
  const { method, quality, styles } = chosen();
  parts.method.value = method;
  const { sentence, continues } = technique(method);
  const network = method === "micro" && activeNetwork(styles) ? ` Uses the network for ${label(styles[0])}.` : "";
  parts.hint.textContent = `${sentence}${network} ${continues ? "Takes seconds for every frame, up to minutes at large sizes." : "Several frames a second."}`;
  const control = continues && catalog.controls.find(each => each.name === "quality");
  parts.quality.replaceChildren(control ? el("div", { class: "field" }, el("label", { text: "Quality" }), el("div", { class: "segments", role: "radiogroup", "aria-label": "Quality" },
    control.choices.map(([name, text]) => el("label", {}, text, el("input", { type: "radio", name: "video-quality", value: name, checked: name === quality,
      onchange: () => choose({ quality: name }) }))))) : "");
}

// --- painting ----------------------------------------------------------------------------------------------------

function requestBody() {
  const { clip, styles, method, quality, ...fields } = chosen();
  const number = text => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
  const settings = technique(method).continues && quality !== "normal" ? { quality } : {};
  for (const name of Object.keys(FIELDS)) {
    const isDefault = name === "strength" && fields[name] === INITIAL.strength; // every technique has a balance of its own
    if (fields[name] !== "" && !isDefault) settings[name] = number(fields[name]);
  }
  return { clip, style: styles, method, settings, ...networkField(method, styles) };
}

async function paint() {
  const body = requestBody();
  if (!body.clip) return notify("Add a clip first.", { error: true });
  if (!body.style.length) return notify("Pick a style first.", { error: true });
  return submit("videos", body);
}

const resume = key => submit(`videos/${key}/continue`, {});

async function submit(address, body) {
  try {
    const state = await request(address, { method: "POST", json: body });
    follow(state);
    attach(state.key);
    await load();
  } catch (error) {
    const needed = error.message.match(/download of ([\d.]+ MB)/);
    notify(error.message, { error: true, label: needed ? `Download ${needed[1]}` : undefined,
      action: needed ? () => submit(address, { ...body, download: true }) : undefined });
  }
}

function attach(key) {
  stage.key = key;
  history.replaceState(null, "", `#video=${key}`);
  watch(key);
  show();
}

const confirmRemoval = video => notify(`Delete ${video.title}?`, { label: "Yes, delete", seconds: 20, action: () => remove(video.key) });

async function remove(key) {
  if (!(await attempt(() => request(`videos/${key}`, { method: "DELETE" })))) return;
  jobs.delete(key);
  if (stage.key === key) { stage.key = ""; history.replaceState(null, "", "#video"); }
  await load();
}

const announced = new Map(); // keys and states of the jobs whose end the list shows

function jobsChanged() {
  if (find("[data-panel=video]").hidden) return;
  let isNew = false;
  for (const each of jobs.values()) {
    if (!each.is_video || announced.get(each.key) === each.status) continue;
    isNew ||= announced.has(each.key) || !isLive(each);
    announced.set(each.key, each.status);
  }
  if (isNew) load();
  else show();
}

// --- the stage and the list --------------------------------------------------------------------------------------

function show() {
  if (!parts) return;
  const state = job();
  const live = isPainting();
  showFrame(state);
  parts.stop.hidden = !live;
  parts.stop.setAttribute("aria-disabled", String(Boolean(state?.stopping)));
  parts.resume.hidden = !stage.key || live || isFinished() || !entry();
  parts.download.hidden = !isFinished();
  parts.download.href = `videos/${stage.key}.mp4`;
  parts.download.setAttribute("download", `impasto-${stage.key.slice(0, 15)}.mp4`);
  const part = live && state.status === "running" ? fraction(state) : null;
  parts.bar.style.setProperty("--done", live ? (part ?? 0.3) : 0);
  parts.bar.classList.toggle("unknown", live && part === null);
  const text = state ? statusText(state) : !entry() ? "" : isFinished() ? "Finished earlier." : "Not finished.";
  if (parts.status.textContent !== text) parts.status.textContent = text;
  const frames = state ? framesText(state) : entry() && !isFinished() ? `${plural(entry().frames, "frame")} kept` : "";
  parts.more.textContent = state?.error ?? [frames, state && timeLeft(state)].filter(Boolean).join(" · ");
  showList();
}

/** Show the video itself, else the last frame that is known, else the first frame of the chosen clip. */
function showFrame(state) {
  const { clip } = chosen();
  const known = stage.clips.find(each => each.name === clip);
  let address = known ? `clips/${clip}/frame` : "";
  let title = known ? `Your clip: ${known.label}` : "";
  if (stage.key && isFinished()) [address, title] = [`videos/${stage.key}.mp4`, `Video: ${state?.title ?? entry().title}`];
  else if (state && state.preview !== null) [address, title] = [`jobs/${stage.key}/preview?${state.preview}`, `Painted so far: ${state.title}`];
  else if (entry()?.poster && !isPainting()) [address, title] = [`videos/${stage.key}.jpg`, `Painted so far: ${entry().title}`];
  parts.frame.dataset.status = state?.status ?? (isFinished() ? "done" : "");
  parts.frame.dataset.key = stage.key;
  if (parts.frame.dataset.shown === address && parts.frame.firstChild) return;
  const shown = parts.frame.querySelector("img.still");
  parts.frame.dataset.shown = address;
  if (address.endsWith(".mp4"))
    parts.frame.replaceChildren(el("video", { src: address, controls: true, loop: true, playsinline: "", preload: "auto", "aria-label": title }));
  else if (address && shown) Object.assign(shown, { src: address, alt: title });
  else if (address) parts.frame.replaceChildren(el("img", { class: "still", src: address, alt: title }));
  else parts.frame.replaceChildren(el("p", { class: "empty", text: catalog.clips.needs ? `Sorry: ${catalog.clips.needs}.` : "Drop a clip here: MP4, MOV, WebM, MKV or an animated GIF." }));
}

function showList() {
  const wanted = JSON.stringify(stage.videos);
  if (parts.list.dataset.shown === wanted) return;
  parts.list.dataset.shown = wanted;
  parts.list.replaceChildren(...stage.videos.map(each => el("li", { class: "thumb", data: { key: each.key } },
    el("button", { type: "button", onclick: () => { attach(each.key); find("#video-panel").scrollIntoView(); } },
      each.poster ? el("img", { src: `videos/${each.key}.jpg`, alt: "", loading: "lazy" }) : el("span", { class: "pending" }), el("span", { text: each.title }),
      el("small", { text: `${technique(each.method)?.label ?? each.method}${each.finished ? "" : ` · ${plural(each.frames, "frame")} kept`}` })),
    el("div", { class: "row" }, each.finished && el("a", { href: `videos/${each.key}.mp4`, download: `impasto-${each.key.slice(0, 15)}.mp4`, text: "Download" }),
      el("button", { type: "button", class: "link danger", text: "Delete", "aria-label": `Delete ${each.title}`, onclick: () => confirmRemoval(each) })))));
}
