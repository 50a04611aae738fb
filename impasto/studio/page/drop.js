// Pictures that are dropped on the page or pasted into it.
import { find } from "./dom.js";

const pictures = list => [...(list ?? [])].filter(file => file.type.startsWith("image/") || !file.type || /\.(heic|heif|hif|jxl|mpo|avif)$/i.test(file.name));

/** Call `take` with the files that are dropped or pasted, and with the kind of picture: content or style. */
export function connectDrop(take) {
  const overlay = find("#drop");
  const hasFiles = event => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const target = event => event.target.closest?.("[data-target]")?.dataset.target ?? "content";
  document.addEventListener("dragenter", event => { if (hasFiles(event)) overlay.hidden = false; });
  document.addEventListener("dragover", event => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    for (const zone of overlay.children) zone.classList.toggle("over", zone === event.target);
  });
  document.addEventListener("dragleave", event => { if (!event.relatedTarget) overlay.hidden = true; });
  document.addEventListener("drop", event => {
    event.preventDefault();
    overlay.hidden = true;
    if (hasFiles(event)) take([...event.dataTransfer.files], target(event));
  });
  document.addEventListener("paste", event => {
    const files = pictures(event.clipboardData?.files);
    if (!files.length) return;
    event.preventDefault();
    take(files, document.activeElement?.closest?.("[data-target]")?.dataset.target ?? "content");
  });
}
