// What the page says in numbers and sentences; as the report says it (report/numbers.py).

const THIN = "\u202f";
const GOOD_CALIBRATION = 0.05;

/** ``78.0 %``; what is not quite all or nothing is never written as that. */
export function percent(value, digits = 1) {
  const step = 10 ** -(digits + 2);
  if (value > 0 && value < step / 2) return `<${THIN}${(100 * step).toFixed(digits)}${THIN}%`;
  if (value < 1 && value >= 1 - step / 2) return `>${THIN}${(100 * (1 - step)).toFixed(digits)}${THIN}%`;
  return `${(100 * value).toFixed(digits)}${THIN}%`;
}

export const span = ([low, high]) => `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}${THIN}%`;

export const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

/** ``20 MB`` of 20 * 2**20 bytes, as the service's settings count. */
export function bytes(number) {
  const [size, unit] = number < 2 ** 20 ? [number / 2 ** 10, "kB"] : [number / 2 ** 20, "MB"];
  return `${Number(size.toFixed(1)).toLocaleString("en")} ${unit}`;
}

export const megapixels = (number) => `${(number / 1e6).toFixed(number < 1e7 ? 1 : 0)} megapixels`;

export const day = (moment) =>
  new Date(moment).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

/** What one confidence is worth: a promise only where the test pictures have shown that such are kept. */
export const worth = (confidence, info) => (kept(info) ? sentence(promise(confidence)) : care(info));

/** The same of all of them. */
export const worths = (info) => (kept(info) ? `“80${THIN}% sure” means that ${promise(0.8)}` : care(info));

const kept = ({ calibration, scores }) => calibration.temperature !== 1 && scores["test/ece"] < GOOD_CALIBRATION;

function promise(confidence) {
  const right = confidence >= 0.995 ? "more than 99" : `about ${Math.round(100 * confidence)}`;
  return `${right} of 100 answers as sure as this are right.`;
}

function care({ scores }) {
  const off = scores["test/ece"];
  const measured = `on test pictures it was off by ${Math.round(100 * off)} points on average`;
  const why = off === undefined ? "nobody checked how often it is right then" : measured;
  return `Take with care how sure it says it is: ${why}.`;
}

export const sure = (confidence) => `${percent(confidence, 0)} sure`;

/** ``Cancer: no``, of ``is_cancer`` and false; of an abstention, only what is asked. */
export function attribute(name, value, abstains) {
  const words = name.replaceAll("_", " ");
  const asked = sentence(typeof value === "boolean" ? words.replace(/^(is|has) /, "") : words);
  if (abstains) return `${asked}: not sure`;
  return `${asked}: ${typeof value === "boolean" ? YES_NO[value] : value}`;
}

const YES_NO = { true: "yes", false: "no" };

/** The probability of all classes for which the attribute is true; undefined where it is no yes or no. */
export function chance(values, probabilities) {
  if (!values || !Object.keys(probabilities).every((label) => typeof values[label] === "boolean")) return undefined;
  return Object.entries(probabilities).reduce((sum, [label, p]) => sum + (values[label] ? p : 0), 0);
}

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** What may be sent, in a line. */
export function limits({ max_bytes: most, max_pixels: pixels, formats }) {
  const usual = Object.keys(USUAL).filter((format) => formats.includes(format));
  const kinds = usual.map((format) => USUAL[format]).join(", ") + (formats.length > usual.length ? " and more" : "");
  return `${kinds}, up to ${bytes(most)} and ${megapixels(pixels)} each.`;
}

const USUAL = { jpeg: "JPEG", png: "PNG", webp: "WebP", gif: "GIF", tiff: "TIFF" };

/** What becomes of pictures, as `collect` in the service's settings says. */
export const KEEPS = {
  off: "They are classified and forgotten.",
  metadata: "The service keeps its answers and measurements such as brightness, but no pictures.",
  pictures: "The service keeps them, to watch and improve the model: send none that it must not have.",
};
