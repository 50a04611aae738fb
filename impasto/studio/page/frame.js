// Two pictures on top of each other, before on the left, with a divider that is dragged on the picture itself.
import { el } from "./dom.js";

/** Return `{element, show, cut}`; `show` takes the addresses of the pictures and their description. */
export function makeFrame({ onzoom } = {}) {
  const before = el("img", { class: "before", alt: "Before: your photo", draggable: "false", hidden: true });
  const after = el("img", { class: "after", alt: "", draggable: "false", hidden: true });
  const divider = el("div", { class: "divider", role: "slider", tabindex: "0", "aria-label": "Before and after",
    "aria-valuemin": "0", "aria-valuemax": "100", hidden: true });
  const names = [el("span", { text: "Before" }), el("span", { text: "After" })];
  const badges = el("div", { class: "badges", hidden: true }, names);
  const picture = el("div", { class: "picture", hidden: true }, before, after, badges, divider);
  const zoom = onzoom && el("button", { type: "button", class: "zoom", text: "Enlarge", onclick: onzoom, hidden: true });
  const element = el("div", { class: "stage" }, picture, zoom);
  let cut = 0;

  function setCut(percent) {
    cut = Math.min(100, Math.max(0, percent));
    picture.style.setProperty("--cut", `${cut}%`);
    divider.setAttribute("aria-valuenow", Math.round(cut));
    divider.setAttribute("aria-valuetext", `${Math.round(cut)} % of your photo`);
    badges.hidden = after.hidden || before.hidden || cut < 1;
  }

  const drag = event => {
    const box = picture.getBoundingClientRect();
    setCut(((event.clientX - box.left) / box.width) * 100);
  };
  picture.addEventListener("pointerdown", event => {
    if (divider.hidden || event.button > 0) return;
    picture.setPointerCapture(event.pointerId);
    picture.addEventListener("pointermove", drag);
    if (event.pointerType === "mouse") drag(event);
  });
  for (const name of ["pointerup", "pointercancel"])
    picture.addEventListener(name, () => picture.removeEventListener("pointermove", drag));
  divider.addEventListener("keydown", event => {
    const moves = { ArrowLeft: -2, ArrowRight: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation();
    setCut(cut + moves[event.key]);
  });
  const showAlone = () => picture.classList.toggle("single", after.hidden || !after.naturalWidth); // until the painting is loaded
  for (const image of [before, after])
    image.addEventListener("load", () => {
      showAlone();
      if (image.naturalWidth) picture.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
      picture.style.setProperty("--pixels", `${Math.max(before.naturalWidth, after.naturalWidth)}px`);
    });

  /** Show a photo alone, or with a painting over it; the address of a shown picture is not loaded again. */
  function show({ photo, painting, title = "" }) {
    for (const [image, address] of [[before, photo], [after, painting]]) {
      if ((image.getAttribute("src") ?? "") !== (address ?? "")) {
        if (address) image.src = address;
        else image.removeAttribute("src");
      }
      image.hidden = !address;
    }
    after.alt = title;
    picture.hidden = !photo && !painting;
    divider.hidden = !photo || !painting;
    if (zoom) zoom.hidden = picture.hidden;
    showAlone();
    setCut(cut);
  }

  setCut(0);
  return { element, show, setCut, current: () => ({ photo: before.getAttribute("src"), painting: after.getAttribute("src"), title: after.alt }) };
}
