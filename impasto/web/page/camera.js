// The camera: frames are stylized one after the other at a small size, until a picture is taken.
import { el, find } from "./dom.js";
import { stylize } from "./network.js";

const SIZES = [128, 192, 256, 384, 512]; // of the preview, in pixels; it adapts to the speed of the device
const SLOW = 0.25, FAST = 0.06; // seconds per frame
const video = el("video", { muted: true, playsinline: true });
let stream = null;

export const isOpen = () => stream !== null;

/**
 * Show the stylized picture of the camera; `settings(size)` returns a promise of code and strength for the frames.
 * Return whether it is shown: not if the camera was closed or opened again in the meantime.
 */
export async function open(settings, onframe) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error("The camera needs a secure address: https, or localhost.");
  let opened;
  try {
    opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
  } catch (error) {
    const reasons = { NotAllowedError: "The browser does not allow this page to use the camera. Allow it in the settings of the page, beside its address.",
      NotFoundError: "No camera was found.", NotReadableError: "Another program uses the camera." };
    throw new Error(reasons[error.name] ?? `The camera cannot be used: ${error.message}`);
  }
  close(); // an earlier stream would keep the camera on
  stream = opened;
  video.srcObject = opened;
  try {
    await video.play();
  } catch (error) {
    if (stream === opened) { close(); onframe({ error: new Error(`The camera cannot be used: ${error.message}`) }); }
    return false;
  }
  if (stream !== opened) return false;
  const front = opened.getVideoTracks()[0].getSettings().facingMode !== "environment";
  find("#live").classList.toggle("mirrored", front);
  show(settings, onframe, opened);
  return true;
}

async function show(settings, onframe, opened) {
  const canvas = find("#live-canvas");
  const context = canvas.getContext("bitmaprenderer");
  let step = 2;
  try {
    while (stream === opened) {
      const bitmap = await createImageBitmap(video);
      const { picture, width, height, seconds } = await stylize(bitmap, { ...await settings(SIZES[step]), size: SIZES[step], live: true });
      bitmap.close();
      if (stream !== opened) return;
      Object.assign(canvas, { width, height });
      context.transferFromImageBitmap(picture);
      onframe({ width, height, seconds });
      if (seconds > SLOW && step > 0) step -= 1;
      else if (seconds < FAST && step < SIZES.length - 1) step += 1;
      await new Promise(requestAnimationFrame); // pauses while the page is in the background
    }
  } catch (error) {
    if (stream === opened) { close(); onframe({ error }); }
  }
}

/** Return the current picture of the camera as an ImageBitmap, in its full size. */
export const grab = () => createImageBitmap(video);

export function close() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.srcObject = null;
}
