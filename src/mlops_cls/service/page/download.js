// The answers as a file, made in the browser.

import { el } from "./dom.js";

const NEXT = [2, 3]; // further classes in a row

export function downloadJson(entries, info) {
  const content = { model: info.name, model_version: info.model_version, answers: entries.map(asJson) };
  offer(JSON.stringify(content, null, 2), "answers.json", "application/json");
}

/** The columns of `mlops_cls.predict`'s table, and what only this page knows. */
export function downloadCsv(entries, info) {
  const columns = [
    ...["file", "label", "confidence", "abstains", ...Object.keys(info.attributes)],
    ...NEXT.flatMap((k) => [`label_${k}`, `confidence_${k}`]),
    ...["true_label", "said_to_be", "time", "model_version", "id", "error"],
  ];
  const rows = entries.map(asRow).map((row) => columns.map((name) => row[name]));
  const lines = [columns, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`);
  offer(lines.join(""), "answers.csv", "text/csv");
}

function asJson({ name, time, answer, version, problem, said }) {
  if (!answer) return { file: name, error: problem?.message ?? "not answered yet" };
  return { file: name, time, model_version: version, ...answer, ...(said && { said_to_be: said }) };
}

function asRow(entry) {
  const row = asJson(entry);
  if (row.error) return row;
  const top = Object.entries(row.probabilities).sort((a, b) => b[1] - a[1]);
  for (const k of NEXT) [row[`label_${k}`], row[`confidence_${k}`]] = top[k - 1] ?? [];
  return { ...row.attributes, ...row };
}

/** A spreadsheet would run a text that begins like a formula: such a file name gets an apostrophe in front. */
function cell(value) {
  if (typeof value === "number") return value.toFixed(6);
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function offer(text, name, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser reads it after the click
}
