// The network in a worker: the page stays responsive while it computes.

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = new Map(); // the promises of requests by their number
let last = 0;

worker.addEventListener("message", ({ data }) => {
  const { resolve, reject } = waiting.get(data.number);
  waiting.delete(data.number);
  if (data.error) reject(new Error(data.error));
  else resolve(data.result);
});
worker.addEventListener("error", event => {
  event.preventDefault();
  const error = new Error("The network cannot run in this browser. Please use a newer one, such as Firefox 114, Chrome 91 or Safari 16.4.");
  for (const { reject } of waiting.values()) reject(error);
  waiting.clear();
});

function ask(action, values = {}, transfer = []) {
  last += 1;
  worker.postMessage({ number: last, action, values }, transfer);
  return new Promise((resolve, reject) => { waiting.set(last, { resolve, reject }); });
}

/** Load the network, and its style encoder for any style; the code of a style is for its check. Return `{device, threads}`. */
export const start = (anyStyle, code) => ask("start", { anyStyle, code });

/** Return the code of a style, given as an ImageBitmap, for outputs of a size in pixels. */
export const encode = (bitmap, size) => ask("encode", { bitmap, size });

/** Stylize an ImageBitmap; return `{picture, width, height, seconds}`, where the picture is a PNG, or an ImageBitmap if `live`. */
export const stylize = (bitmap, { size, code, strength, live = false }) => ask("stylize", { bitmap, size, code, strength, live });
