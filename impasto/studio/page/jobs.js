// The jobs of the studio: one request a moment while something is painted, the queue in the header, the title.
import { attempt, duration, el, find, notify, plural, request } from "./dom.js";
import { choices, change } from "./choices.js";

const BUSY = 300, IDLE = 4000; // milliseconds between two requests
export const jobs = new Map();
export let networkKeys = null; // of all networks of the studio, as far as it has answered
const watched = new Set(); // keys whose end is reported, although they are no longer live
const listeners = [];
let timer;
let sent = 0, answered = 0;
let isAway = false;

export const isLive = job => job.status === "waiting" || job.status === "running";
export const onJobs = listener => listeners.push(listener);
export const watch = key => { watched.add(key); poll(); };

/** Submit jobs and follow them. */
export function follow(...states) {
  for (const job of states) {
    jobs.set(job.key, job);
    watched.add(job.key);
  }
  poll();
  tell();
}

/** Ask for the states of all jobs now, and again after a while. */
export async function poll() {
  clearTimeout(timer);
  const ticket = ++sent;
  const asked = [...watched].filter(key => !jobs.has(key) || isLive(jobs.get(key)));
  try {
    const answer = await request(`jobs?keys=${asked.join(",")}`);
    if (ticket < answered) return; // a later request was answered first
    answered = ticket;
    networkKeys = answer.networks;
    update(answer.jobs, asked);
    if (isAway) find("#messages .error.away")?.remove();
    isAway = false;
  } catch (error) {
    if (!isAway) notify(error.message, { error: true }).classList.add("away");
    isAway = true;
  }
  clearTimeout(timer);
  timer = setTimeout(poll, [...jobs.values()].some(isLive) && !isAway ? BUSY : IDLE);
}

function update(states, asked) {
  const seen = new Set(states.map(job => job.key));
  for (const job of states) {
    const before = jobs.get(job.key);
    jobs.set(job.key, job);
    if (isLive(job)) watched.add(job.key);
    if (!isLive(job) && before && isLive(before)) ended(job);
  }
  // a job that was submitted after the request is not in the answer either, so only those that were asked for count
  for (const key of asked) if (jobs.has(key) && !seen.has(key)) jobs.set(key, { ...jobs.get(key), status: "gone" });
  tell();
}

function tell() {
  for (const listener of listeners) listener();
  showQueue();
  showTitle();
}

function ended(job) {
  if (!document.hidden || job.status === "cancelled") return;
  if (choices.notify && window.Notification?.permission === "granted")
    new Notification("impasto", { body: `${statusText(job)} ${job.title}`, icon: "page/icon.svg" });
}

export const stop = key => attempt(async () => {
  const job = jobs.get(key);
  if (job) jobs.set(key, { ...job, stopping: true });
  tell();
  await request(`jobs/${key}`, { method: "DELETE" });
  poll();
});

export const fraction = job => (job.total ? job.step / job.total : null);

/** Return the status of a job in words. */
export function statusText(job) {
  if (job.stopping && isLive(job)) return "Stopping…";
  if (job.status === "waiting" && job.parent && isLive(jobs.get(job.parent) ?? {})) return "Applying your changes…";
  if (job.status === "waiting" && job.queue_position)
    return `Queued: ${plural(job.queue_position, "job")} ahead of this one`;
  const isWriting = job.is_video && job.step === job.total;
  const texts = {
    waiting: "Preparing…",
    running: job.is_network ? `Training… ${Math.floor(100 * fraction(job))} %` : job.drafting ? "Drafting…" : isWriting ? "Writing the video…" : job.total > 1 ? `Painting… ${Math.floor(100 * fraction(job))} %` : "Painting…",
    done: `Finished in ${duration(job.seconds)}.${job.is_video || job.is_network ? "" : " Saved to your gallery."}`,
    stopped: job.is_network ? "Stopped. The network so far is kept." : job.is_video ? "Stopped. The finished frames are kept." : "Stopped. Your picture is saved.",
    failed: "That didn’t work.",
    cancelled: "Cancelled.",
    gone: "The studio was restarted.",
  };
  return texts[job.status];
}

/** Return the address on the page that shows a job. */
export const jobAddress = job => (job.is_network ? "#paint" : `#${job.is_video ? "video" : "job"}=${job.key}`);

/** Return the frames of a clip that are finished, and their rate, in words. */
export function framesText(job) {
  if (!job.total) return "";
  const perSecond = job.rate / job.passes; // a step is a frame in one pass
  const rate = job.rate && isLive(job) ? ` · ${perSecond >= 1 ? `${perSecond.toFixed(1)} frames a second` : `${duration(1 / perSecond)} a frame`}` : "";
  return `${Math.floor(job.step / job.passes)} of ${plural(job.total / job.passes, "frame")}${job.passes > 1 ? ` in ${job.passes} passes` : ""}${rate}`;
}

export function timeLeft(job) {
  if (job.status !== "running" || job.stopping) return "";
  return job.seconds_left === null ? (job.seconds > 1 ? duration(job.seconds) : "") : `${duration(job.seconds_left)} left`;
}

function showQueue() {
  const live = [...jobs.values()].filter(isLive).sort((a, b) => a.queue_position - b.queue_position || (a.key < b.key ? -1 : 1));
  const queue = find("#queue");
  queue.hidden = !live.length;
  if (!live.length) { queue.open = false; return; }
  const queued = live.length - 1;
  queue.querySelector("summary").textContent = statusText(live[0]) + (queued ? ` · ${queued} queued` : "");
  const list = queue.querySelector("ul");
  const wanted = live.map(job => job.key).join();
  if (list.dataset.keys !== wanted) {
    list.dataset.keys = wanted;
    list.replaceChildren(...live.map(job => el("li", {},
      el("a", { href: jobAddress(job), text: job.title }),
      el("button", { type: "button", text: "Stop", "aria-label": `Stop ${job.title}`, onclick: () => stop(job.key) }))));
  }
}

function showTitle() {
  const running = [...jobs.values()].find(job => job.status === "running");
  const last = [...jobs.values()].at(-1);
  const percent = running && fraction(running) !== null && running.total > 1;
  if (running) document.title = percent ? `${Math.floor(100 * fraction(running))} % · impasto` : `${statusText(running)} · impasto`;
  else if (last && [...jobs.values()].some(isLive)) document.title = "Queued · impasto";
  else if (last && last.status === "done" && document.hidden) document.title = "✓ Finished · impasto";
  else if (!document.hidden || document.title !== "✓ Finished · impasto") document.title = "impasto";
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });

export function connectNotifications() {
  const box = find("#notify");
  box.checked = choices.notify;
  box.addEventListener("change", async () => {
    if (box.checked && window.Notification) box.checked = (await Notification.requestPermission()) === "granted";
    change({ notify: box.checked });
  });
}
