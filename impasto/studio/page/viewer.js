// One result in a dialog that fills the window: before and after, its settings, and the next one by arrow keys.
import { attempt, el, localTime, notify, openDialog, request, sourceAddress } from "./dom.js";
import { canShare, share } from "./share.js";
import { makeFrame } from "./frame.js";
import { describe } from "./app.js";

/**
 * Open the viewer.
 * @param keys keys of the results that the arrow keys walk through
 * @param key key of the first one
 * @param actions `edit`, `replay`, `changed` (called after a change of the history), or `picture` without a result
 */
export function openViewer(keys, key, actions) {
  let index = Math.max(0, keys.indexOf(key));
  const frame = makeFrame();
  const main = el("div", { class: "main" });
  const side = el("div", { class: "side" });
  const size = el("button", { type: "button", text: "Full size", "aria-pressed": "false", onclick: () => {
    size.setAttribute("aria-pressed", String(main.classList.toggle("full-size")));
  } });
  const move = step => { index = (index + step + keys.length) % keys.length; show(); };
  const previous = el("button", { type: "button", text: "‹ Previous", hidden: keys.length < 2, onclick: () => move(-1) });
  const next = el("button", { type: "button", text: "Next ›", hidden: keys.length < 2, onclick: () => move(1) });
  const close = el("button", { type: "button", text: "Close", title: "Esc", onclick: () => dialog.close() });
  main.append(el("div", { class: "actions" }, previous, next, size, el("span", { class: "gap" }), close), frame.element);
  const dialog = openDialog("Picture", el("div", { class: "viewer" }, main, side));
  dialog.addEventListener("keydown", event => {
    if (event.target.matches("[role=slider]") || keys.length < 2) return;
    if (event.key === "ArrowLeft") move(-1);
    if (event.key === "ArrowRight") move(1);
  });
  show();

  async function show() {
    if (actions.picture) {
      frame.show(actions.picture);
      side.append(el("h2", { text: actions.picture.title }));
      return;
    }
    const shown = keys[index];
    const entry = await attempt(() => request(`gallery/${shown}`));
    if (!entry || shown !== keys[index]) return;
    const content = entry.choices.content;
    frame.show({ photo: content ? sourceAddress(content) : "", painting: `pictures/${shown}.png`, title: entry.title });
    const star = el("button", { type: "button", "aria-pressed": String(Boolean(entry.starred)), text: "★ Favorite", onclick: async () => {
      const changed = await attempt(() => request(`gallery/${shown}/${entry.starred ? "unstar" : "star"}`, { method: "POST" }));
      if (!changed) return;
      entry.starred = changed.starred;
      star.setAttribute("aria-pressed", String(entry.starred));
      actions.changed?.();
    } });
    const then = action => () => { dialog.close(); action?.(shown); };
    side.replaceChildren(el("h2", { text: entry.title }), el("p", { class: "hint", text: `${localTime(entry.created)} · ${keys.length > 1 ? `${index + 1} of ${keys.length}` : ""}`.replace(/ · $/, "") }),
      el("div", { class: "actions" },
        el("button", { type: "button", id: "viewer-edit", class: "primary", text: "Edit in Paint", onclick: then(actions.edit) }),
        actions.replay && el("button", { type: "button", id: "viewer-replay", text: "Paint again", onclick: then(actions.replay) }), star,
        el("a", { class: "button", href: `pictures/${shown}.png`, download: `impasto-${shown.slice(0, 15)}.png`, text: "Download" }),
        canShare() && el("button", { type: "button", id: "viewer-share", text: "Share", onclick: () => share(shown, entry.title) }),
        el("button", { type: "button", id: "viewer-delete", class: "danger", text: "Delete", onclick: () => remove(shown) })),
      ...describe(entry));
  }

  async function remove(removed) {
    if (!(await attempt(() => request(`gallery/${removed}`, { method: "DELETE" })))) return;
    keys = keys.filter(each => each !== removed);
    offerUndo([removed], actions.changed);
    actions.changed?.();
    if (!keys.length) dialog.close();
    else { index %= keys.length; show(); }
  }
}

/** Offer to restore deleted results. */
export function offerUndo(keys, changed) {
  const text = keys.length === 1 ? "Picture deleted." : `${keys.length} pictures deleted.`;
  notify(text, { label: "Undo", seconds: 20, action: async () => {
    for (const key of keys) await attempt(() => request(`gallery/${key}/restore`, { method: "POST" }));
    changed?.();
  } });
}
