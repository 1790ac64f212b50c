// A picture on its way: its name, its preview, and how it is sent. `kept` of the history has the rest of its fields.

import { Problem, predict, sampleAnswer } from "./api.js";
import { preview } from "./preview.js";
import { bytes, megapixels } from "./words.js";

let previews = Promise.resolve(); // one at a time, as each decodes a whole photograph

/** Of a file; `shown(entry)` is told when there is a preview. */
export function ofFile(file, limits, shown) {
  const entry = { name: file.name || "Pasted picture", preview: null };
  const ready = previews.then(() => preview(file, limits.max_pixels));
  previews = ready.then((made) => {
    entry.preview = made;
    shown(entry);
  });
  entry.send = async (signal) => {
    checkBytes(file, limits);
    checkPixels(await ready, limits);
    return answered(await predict(file, signal));
  };
  return entry;
}

/** Of a picture that the service has itself. */
export function ofSample({ id, name, preview: made }) {
  return { name, preview: { url: made.url }, send: async (signal) => answered(await sampleAnswer(id, signal)) };
}

function answered({ predictions: [answer], model_version: version }) {
  return { answer, version, time: new Date().toISOString() };
}

/** What is certain to be refused need not travel first. */
function checkBytes({ size }, { max_bytes: most }) {
  if (size > most) throw new Problem("too_large", `This file has ${bytes(size)}; ${atMost(bytes(most))}`);
}

function checkPixels(made, { max_pixels: most }) {
  const pixels = made ? made.width * made.height : 0;
  if (pixels <= most) return;
  throw new Problem("too_many_pixels", `This picture has ${megapixels(pixels)}; ${atMost(megapixels(most))}`);
}

const atMost = (size) => `at most ${size} can be sent. Make it smaller and try again.`;
