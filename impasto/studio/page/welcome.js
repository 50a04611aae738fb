// The first screen: finished examples, each painted by one click, and a button for one's own photo.
import { el, find } from "./dom.js";
import { catalog, label, technique } from "./choices.js";

/** Return the first screen; `onexample` is called with an example of the catalog. */
export function makeWelcome({ onexample }) {
  const example = each => el("button", { type: "button", onclick: () => onexample(each) },
    el("img", { src: `page/${each.file}`, alt: "" }),
    el("span", { text: `${label(each.content)} in the style of ${label(each.style)}` }),
    el("small", { text: "Paint this", title: technique(each.method).label }));
  return el("div", { class: "welcome", hidden: true },
    el("h2", { text: "Paint your photo in any style" }),
    el("p", { text: "Add a photo, pick a style, press Paint. Your pictures stay on this machine." }),
    el("button", { type: "button", id: "add-photo", text: "Add your photo", onclick: () => find("#contents input[type=file]").click() }),
    catalog.examples.length > 0 && el("p", { class: "hint", text: "Or begin with an example:" }),
    el("div", { class: "examples" }, catalog.examples.map(example)));
}
