// The answers as a file, made in the browser.

import { el } from "./dom.js";

const NEXT = 2; // further classes in a row

export function downloadJson(entries, info) {
  const content = { model: info.name, model_version: info.model_version, answers: entries.map(asJson) };
  offer(JSON.stringify(content, null, 2), "answers.json", "application/json");
}

/** The columns of `mlops_cls.predict`'s table, and what only this page knows. */
export function downloadCsv(entries, info) {
  const attributes = Object.keys(info.attributes);
  const rows = entries.map((entry) => asRow(entry, attributes));
  offer([headings(attributes), ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n", "answers.csv", "text/csv");
}

function asJson({ name, time, answer, version, problem, said }) {
  if (!answer) return { file: name, error: problem?.message ?? "not answered yet" };
  return { file: name, time, model_version: version, ...answer, ...(said && { said_to_be: said }) };
}

const further = () => Array.from({ length: NEXT }, (_, i) => i + 2);

const headings = (attributes) => [
  ...["file", "label", "confidence", "abstains", ...attributes],
  ...further().flatMap((k) => [`label_${k}`, `confidence_${k}`]),
  ...["true_label", "said_to_be", "time", "model_version", "id", "error"],
];

function asRow({ name, time, answer, version, problem, said }, attributes) {
  if (!answer) return [name, ...Array(attributes.length + 2 * NEXT + 8).fill(""), problem?.message ?? "not answered yet"];
  const top = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  return [
    ...[name, answer.label, number(answer.confidence), answer.abstains],
    ...attributes.map((key) => answer.attributes[key]),
    ...further().flatMap((k) => (top[k - 1] ? [top[k - 1][0], number(top[k - 1][1])] : ["", ""])),
    ...[answer.true_label, said, time, version, answer.id, ""],
  ];
}

const number = (value) => value.toFixed(6);

/** A spreadsheet would run a text that begins like a formula: such a file name gets an apostrophe in front. */
function cell(value) {
  const text = String(value ?? "");
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function offer(text, name, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser reads it after the click
}
