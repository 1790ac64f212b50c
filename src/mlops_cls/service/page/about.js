// What is known of the model: who it is, how good it was, and how its answers are to be read.

import { bar, byId, el } from "./dom.js";
import { KEEPS, count, day, limits, percent, span, worths } from "./words.js";

const SCORES = {
  accuracy: "of test pictures classified correctly",
  balanced_accuracy: "classified correctly, mean over classes, each counting the same",
};

export function showModel(info) {
  byId("worth").textContent = worths(info);
  byId("name").textContent = info.name;
  byId("lead").textContent = `Show it a picture, and it says which of ${info.classes.length} classes it is.`;
  document.title = `${info.name}: picture classifier`;
  byId("about").replaceChildren(
    el("h2", {}, "About this model"),
    ...Object.entries(SCORES).flatMap(([name, means]) => score(info, name, means)),
    facts(info),
    classes(info.classes),
    el("h2", {}, "How to read an answer"),
    ...reading(info),
    el("h2", {}, "From a program"),
    program(info),
  );
}

/** What may be sent, and what becomes of it, said before anything is. */
export function showLimits({ limits: most, collect }) {
  byId("limits").textContent = `${limits(most)} ${KEEPS[collect]}`;
}

export function showDrift(found) {
  byId("drift").hidden = !found.drift;
  byId("drift").replaceChildren(
    el("b", {}, "Lately it sees other pictures than it was tested on."),
    " Its answers may be worse than its score.",
    el("details", {}, el("summary", {}, "What has changed"), el("p", { class: "soft" }, found.words)),
  );
}

function score(info, name, means) {
  const value = info.scores[`test/${name}`];
  if (typeof value !== "number" || repeats(info, name)) return [];
  const interval = info.intervals[`test/${name}`];
  const [low, high] = interval ?? [];
  return el(
    "div",
    { class: "tile" },
    el("span", { class: "value" }, percent(value)),
    el("span", { class: "means" }, pictures(info, name, means)),
    bar(value, { low, high }),
    interval && el("span", { class: "span" }, `${span(interval)} with other such pictures (95 % interval)`),
  );
}

/** Tell whether the tile above says it already: of classes with as many pictures each, both are the same. */
const repeats = ({ scores }, name) =>
  name !== "accuracy" && Math.abs(scores[`test/${name}`] - scores["test/accuracy"]) < 0.01;

const pictures = ({ pictures: number }, name, means) =>
  number && name === "accuracy" ? means.replace("test pictures", count(number, "test picture")) : means;

function facts(info) {
  const rows = {
    version: el("code", {}, info.model_version),
    network: info.architecture?.name ?? info.architecture,
    made: info.created && day(info.created),
    input: size(info.preprocess),
    "back end": info.backend,
  };
  const shown = Object.entries(rows).filter(([, value]) => value);
  return el("dl", {}, ...shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

const size = ({ size: side, mean }) => `${side}×${side} pixels, ${mean.length === 1 ? "grey" : "colour"}`;

function classes(names) {
  return el(
    "details",
    { open: names.length <= 12 },
    el("summary", {}, `${names.length} classes`),
    el("ul", { class: "classes" }, ...names.map((name) => el("li", { dir: "auto" }, name))),
  );
}

function reading(info) {
  const least = info.calibration.threshold;
  const always =
    "It answers with one of its classes whatever it is shown: a picture of something else gets one too. " +
    "All its numbers hold for pictures like those it was tested on.";
  const unsure = `Less than ${percent(least ?? 0, 0)} sure, it leaves the picture to you and shows its best guesses.`;
  const paragraphs = least ? [always, unsure] : [always];
  return paragraphs.map((text) => el("p", { class: "soft" }, text));
}

function program({ docs, key_required: keyed }) {
  const key = keyed ? ' -H "X-API-Key: $KEY"' : "";
  const address = new URL("predict", location.href);
  return el(
    "div",
    {},
    el("pre", { tabindex: 0, "aria-label": "Command" }, el("code", {}, `curl -F file=@picture.jpg${key} ${address}`)),
    docs && el("p", { class: "soft" }, el("a", { href: "docs" }, "All routes"), ", to read and to try."),
  );
}
