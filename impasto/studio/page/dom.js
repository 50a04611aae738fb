// Small functions that all parts of the page use: elements, requests, messages.

/** Return a new element. Properties that start with "on" are listeners, "data" and "css" are objects. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "css") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else if (name === "text") element.textContent = value;
    else if (name === "html") element.innerHTML = value; // only for markup that the server wrote
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

export const find = selector => document.querySelector(selector);

/** Request JSON; an answer with an error becomes an exception with its message. */
export async function request(address, { method = "GET", json, body } = {}) {
  const options = { method, body };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = { "content-type": "application/json" };
  }
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("The studio does not answer. Is it still running?");
  }
  let answer;
  try {
    answer = await response.json();
  } catch {
    answer = { error: `The studio answered with status ${response.status}.` };
  }
  if (answer.error) throw new Error(answer.error);
  return answer;
}

/** Show a message until it is closed; those that are no errors disappear after a while. */
export function notify(text, { error = false, action, label, seconds = 8 } = {}) {
  const close = () => message.remove();
  const run = () => { close(); action(); };
  const message = el("div", { class: error ? "message error" : "message", role: error ? "alert" : "status" },
    el("p", { text }),
    action && el("button", { type: "button", text: label, onclick: run }),
    el("button", { type: "button", class: "close", "aria-label": "Close", text: "×", onclick: close }));
  (document.querySelector("dialog[open]") ?? document.body).append(find("#messages")); // a dialog makes the rest inert
  find("#messages").append(message);
  if (!error) setTimeout(close, seconds * 1000);
  return message;
}

/** Open a dialog that fills the window; it is removed when it is closed. */
export function openDialog(name, ...children) {
  const dialog = el("dialog", { "aria-label": name, onclose: () => { document.body.append(find("#messages")); dialog.remove(); } }, ...children);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Run an action and show its error as a message. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    notify(error.message, { error: true });
    return undefined;
  }
}

/** Copy text, or select it where the browser does not allow that. */
export async function copy(source, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C to copy";
  }
  setTimeout(() => { button.textContent = before; }, 2000);
}

/** Return seconds in words: "9 s", "2 min 5 s". */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 && whole < 600 ? ` ${whole % 60} s` : ""}`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export const localTime = iso => new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
export const sourceAddress = (name, small) => `sources/${encodeURIComponent(name)}${small ? "?size=small" : ""}`;

export function instantAddress(content, styles, size, network) {
  const query = new URLSearchParams({ content, size, ...(network && { network: network.key }) });
  for (const style of styles) query.append("style", style);
  return `instant?${query}`;
}
