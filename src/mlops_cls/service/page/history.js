// The answers of this tab, oldest first, so that a reload (which a phone does on its own) loses none of them.

import * as kept from "./kept.js";

const PREFIX = "answer ";

export function restore() {
  return stored().map((name) => JSON.parse(kept.get(name)));
}

/** Keep an answered picture: what is said of it and its small preview, never the picture. */
export function save(entry) {
  const { number, name, preview, answer, version, time, said } = entry;
  const text = JSON.stringify({ number, name, preview, answer, version, time, said });
  while (!kept.set(keyOf(number), text)) {
    const oldest = stored()[0];
    if (oldest === undefined) return; // one answer alone is larger than what the browser keeps
    kept.remove(oldest);
  }
}

export function clear() {
  stored().forEach(kept.remove);
}

const keyOf = (number) => PREFIX + String(number).padStart(9, "0");

const stored = () => kept.names().filter((name) => name.startsWith(PREFIX)).sort();
