// Hand a picture to another application of the device, where the browser can share files (Web Share).
import { attempt, request } from "./dom.js";

/** Whether the browser can share a PNG; most need https or localhost for it. */
export function canShare() {
  return Boolean(navigator.canShare?.({ files: [new File([], "picture.png", { type: "image/png" })] }));
}

/** Share the picture of a result. */
export const share = (key, title) => attempt(async () => {
  const response = await fetch(`pictures/${key}.png`).catch(() => null);
  if (!response?.ok) await request(`gallery/${key}`); // throws the error in words
  const file = new File([await response.blob()], `impasto-${key.slice(0, 15)}.png`, { type: "image/png" });
  try {
    await navigator.share({ files: [file], title });
  } catch (error) {
    if (error.name !== "AbortError") throw error; // the user closed the dialog of the system
  }
});
