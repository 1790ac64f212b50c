// One picture and what is said of it, in each of its states.

import { bars } from "./bars.js";
import { breakable, button, el } from "./dom.js";
import { feedback } from "./feedback.js";
import { attribute, chance, percent, sentence, sure, worth } from "./words.js";

const PASSING = ["timeout", "unreachable", "cancelled", "internal", "strange"];

/** Return a list item; `info` tells of the model, `again(entry)` sends it once more. */
export function card(entry, info, again) {
  const said = el("div", { class: "said" }, name(entry), ...PARTS[entry.state](entry, info, again));
  return el("li", { class: `card ${kind(entry)}`, tabindex: -1 }, picture(entry), said);
}

/** Of what kind an entry is, for the filter and its look. */
export function kind(entry) {
  if (entry.state === "failed") return "failed";
  if (entry.state !== "answered") return "open";
  return entry.answer.abstains ? "unsure" : "sure";
}

/** Tell whether it may go better another time. */
export const passing = ({ problem }) => PASSING.includes(problem.code) || problem.passes;

/** What a screen reader is told when one picture is done. */
export function spoken(entry) {
  if (entry.state === "failed") return `${entry.name}: no answer. ${entry.problem.message}`;
  const { label, confidence, abstains } = entry.answer;
  return abstains
    ? `${entry.name}: not sure enough. Best guess ${label}, ${sure(confidence)}.`
    : `${entry.name}: ${label}, ${sure(confidence)}.`;
}

const PARTS = {
  waiting: () => [el("p", { class: "soft" }, "Waits for its turn")],
  sending: () => [el("p", { class: "soft busy" }, "Looking at it …")],
  pausing: (entry) => [el("p", { class: "soft" }, pause(entry))],
  answered,
  failed,
};

function pause({ problem, seconds }) {
  if (problem.aboutKey) return "Waits for a key";
  const reason = problem.code === "too_many_requests" ? "That was much at once" : "The service is busy";
  return `${reason}: asks again in ${seconds} s`;
}

function picture({ preview, name: file }) {
  const none = preview ? "too large to show" : "no preview";
  if (!preview?.url) return el("div", { class: "thumb none" }, el("span", {}, none));
  const small = Math.max(preview.width, preview.height) <= 96;
  return el("img", { class: small ? "thumb small" : "thumb", src: preview.url, alt: file, draggable: "false" });
}

function name({ name: file, preview }) {
  const size = preview?.width && ` ${preview.width}×${preview.height}`;
  return el("p", { class: "file", title: file }, el("bdi", {}, file), size && el("span", { class: "size" }, size));
}

function answered(entry, info) {
  const { answer, version } = entry;
  const now = version === info.model_version;
  const needed = now && answer.abstains ? info.calibration.threshold : null;
  return [
    ...(answer.abstains ? unsure(answer, needed) : certain(answer, now && info)),
    !now && el("p", { class: "soft" }, `Answered by another version of the model, ${version}.`),
    truth(answer),
    attributes(answer, info),
    ...bars(answer.probabilities, { mark: needed ?? undefined }),
    now && answer.true_label === undefined && info.collect !== "off" && feedback(entry, info.classes),
  ];
}

function certain({ label, confidence }, info) {
  const means = info && el("span", { class: "worth" }, worth(confidence, info));
  return [el("h3", {}, breakable(label)), el("p", { class: "confidence" }, el("b", {}, sure(confidence)), means)];
}

function unsure({ label, confidence }, needed) {
  const guess = `The best guess is ${label}, ${percent(confidence, 0)}.`;
  const least = needed ? ` It answers from ${percent(needed, 0)} on: the line across the bar.` : "";
  const look = el("b", {}, "Look at it yourself.");
  return [
    el("h3", {}, sign("?"), "Not sure enough"),
    el("p", { class: "confidence" }, look, el("span", { class: "worth" }, guess + least)),
  ];
}

const sign = (letter) => el("span", { class: "sign", "aria-hidden": "true" }, letter);

function truth({ true_label: label, label: found, abstains }) {
  if (label === undefined) return null;
  const right = label === found;
  const said = abstains ? `The best guess is ${right ? "right" : "wrong"}` : right ? "Right" : "Wrong";
  return el(
    "p",
    { class: right ? "truth right" : "truth wrong" },
    sign(right ? "✓" : "✗"),
    right ? `${said}.` : `${said}: it is `,
    !right && el("b", { dir: "auto" }, label),
  );
}

function attributes({ attributes: found, probabilities, abstains }, info) {
  const chips = Object.entries(found).map(([key, value]) => {
    const share = chance(info.attributes[key], probabilities);
    const yes = share !== undefined && el("small", {}, ` ${percent(share)} for yes`);
    return el("li", {}, attribute(key, value, abstains), yes);
  });
  return chips.length > 0 && el("ul", { class: "chips" }, ...chips);
}

function failed(entry, info, again) {
  const { code, message } = entry.problem;
  return [
    el("h3", {}, sign("!"), code === "cancelled" ? "Cancelled" : "No answer"),
    el("p", {}, sentence(message)),
    passing(entry) && button("Try again", () => again(entry), { "aria-label": `Try ${entry.name} again` }),
  ];
}
