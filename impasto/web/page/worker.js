// Runs in a worker: loads the runtime and the network, and stylizes one picture after the other.

const ROOT = new URL("../", import.meta.url);
const BUILDS = { // WebGPU needs the build that suspends WebAssembly; all other browsers compute on the processor
  WebGPU: { module: "ort.jspi.bundle.min.js", binary: "ort-wasm-simd-threaded.jspi.wasm.gz", provider: "webgpu" },
  WebAssembly: { module: "ort.wasm.bundle.min.js", binary: "ort-wasm-simd-threaded.wasm.gz", provider: "wasm" },
};
const MIN_SIDE = 16;
let ort, stylizer, encoder, device, anyStyle, someCode;

async function bytes(path) {
  const unavailable = `The file ${path} of this page cannot be loaded`;
  let response;
  try {
    response = await fetch(new URL(path, ROOT));
  } catch {
    throw new Error(`${unavailable}: its server cannot be reached.`);
  }
  if (!response.ok) throw new Error(`${unavailable}: the server answered with status ${response.status}.`);
  const data = new Uint8Array(await response.arrayBuffer());
  if (data[0] !== 0x1f || data[1] !== 0x8b) return data; // some servers announce the compression, and the browser removes it
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function hasWebGpu() {
  if (!("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !adapter.info?.isFallbackAdapter; // a fallback computes on the processor, more slowly
}

async function open(name) {
  const { module, binary, provider } = BUILDS[name];
  const [runtime, wasm, network, styles] = await Promise.all([import(new URL(`runtime/${module}`, ROOT)), bytes(`runtime/${binary}`),
    bytes("model/stylizer.onnx"), anyStyle ? bytes("model/encoder.onnx") : null]);
  ort = runtime;
  ort.env.wasm.wasmBinary = wasm;
  // Threads need memory that is shared, which a browser allows only where the server isolates the page.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency ?? 1) : 1;
  const options = { executionProviders: [provider], logSeverityLevel: 3 }; // errors only
  stylizer = await ort.InferenceSession.create(network, options);
  encoder = styles && await ort.InferenceSession.create(styles, options);
  device = name;
}

async function start(values) {
  ({ anyStyle, code: someCode } = values);
  if (await hasWebGpu()) {
    try {
      await open("WebGPU");
      await check();
    } catch {
      await open("WebAssembly");
    }
  } else await open("WebAssembly");
  return { device, threads: device === "WebGPU" ? 0 : ort.env.wasm.numThreads };
}

/** Stylize a small plain picture: the drivers of some GPUs fail only then. */
async function check() {
  const image = new ort.Tensor("float32", new Float32Array(3 * 64 * 64).fill(0.5), [1, 3, 64, 64]);
  const code = anyStyle ? (await encoder.run({ style: image })).code.data : someCode;
  const output = await pass(image, code, 50);
  if (!output.data.every(Number.isFinite)) throw new Error("This GPU computes wrong values.");
}

/** Return a picture at a size of its longer side, on white, as RGBA levels. */
function levels(bitmap, size) {
  const scale = size / Math.max(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width, bitmap.height].map(side => Math.max(MIN_SIDE, Math.round(scale * side)));
  let source = bitmap;
  while (source.width >= 2 * width && source.height >= 2 * height) source = draw(source, Math.ceil(source.width / 2), Math.ceil(source.height / 2));
  const canvas = draw(source, width, height);
  return canvas.getContext("2d").getImageData(0, 0, width, height);
}

function draw(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}

function toTensor({ data, width, height }) {
  const count = width * height;
  const values = new Float32Array(3 * count);
  for (let i = 0; i < count; i += 1)
    for (let channel = 0; channel < 3; channel += 1) values[channel * count + i] = data[4 * i + channel] / 255;
  return new ort.Tensor("float32", values, [1, 3, height, width]);
}

function toImage({ data, dims }) {
  const [, , height, width] = dims;
  const count = width * height;
  const image = new ImageData(width, height);
  for (let i = 0; i < count; i += 1) {
    for (let channel = 0; channel < 3; channel += 1) image.data[4 * i + channel] = 255 * data[channel * count + i]; // rounds and clamps
    image.data[4 * i + 3] = 255;
  }
  return image;
}

const scalar = value => new ort.Tensor("float32", Float32Array.of(value), []);

/** Return the output of the network for a strength of 0 to 100. A network without style codes has no input for it. */
async function pass(content, code, strength) {
  if (code) {
    const style = new ort.Tensor("float32", Float32Array.from(code), [1, code.length]);
    return (await stylizer.run({ content, code: style, strength: scalar(strength) })).stylized;
  }
  // A network for one style: a blend with the photo below 50, and with a second pass above 50, as on the command line.
  const fraction = Math.min(strength / 50, 0.5 + strength / 100);
  const first = (await stylizer.run({ content })).stylized;
  const second = fraction > 1 ? (await stylizer.run({ content: first })).stylized : null;
  const [before, after, part] = second ? [first, second, fraction - 1] : [content, first, fraction];
  const values = before.data.map((value, index) => value + part * (after.data[index] - value));
  return new ort.Tensor("float32", values, content.dims);
}

async function stylize({ bitmap, size, code, strength, live }) {
  const began = performance.now();
  const image = toImage(await pass(toTensor(levels(bitmap, size)), code, strength));
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  const seconds = (performance.now() - began) / 1000;
  const picture = live ? canvas.transferToImageBitmap() : await canvas.convertToBlob({ type: "image/png" });
  return { picture, width, height, seconds };
}

const encode = async ({ bitmap, size }) => (await encoder.run({ style: toTensor(levels(bitmap, size)) })).code.data;

/** Run an action, and once more on the processor if the GPU fails. */
async function attempt(action, values) {
  try {
    return await ACTIONS[action](values);
  } catch (error) {
    if (device !== "WebGPU" || action === "start") throw error;
    await open("WebAssembly");
    return ACTIONS[action](values);
  }
}

function explain(error, { size }) {
  const text = String(error?.message ?? error);
  if (/memory|allocation|bad_alloc|RangeError/i.test(text + error?.name)) return size ? `There is not enough memory for ${size} pixels. Choose a smaller size.` : "There is not enough memory for the network.";
  return text.split("\n")[0];
}

const ACTIONS = { start, encode, stylize };
let queue = Promise.resolve();

self.addEventListener("message", ({ data: { number, action, values } }) => {
  queue = queue.then(async () => {
    try {
      const result = await attempt(action, values);
      self.postMessage({ number, result }, values.live ? [result.picture] : []);
    } catch (error) {
      self.postMessage({ number, error: explain(error, values) });
    }
  });
});
