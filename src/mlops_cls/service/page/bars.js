// The probabilities of the classes as a list of bars, most probable first.

import { bar, breakable, button, el } from "./dom.js";
import { percent } from "./words.js";

const ALL = 10; // as many are shown at once
const FIRST = 5; // of more
const BESIDE = 3; // where several pictures stand beside each other: the style sheet hides the others

export function bars(probabilities, { mark } = {}) {
  const rows = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const first = rows.slice(0, rows.length <= ALL ? ALL : FIRST);
  const list = el("ol", { class: "bars" }, ...first.map((row, i) => line(row, i ? {} : { mark })));
  return rows.length > BESIDE ? [list, more(list, rows.slice(first.length), rows.length)] : [list];
}

function line([name, probability], { mark, small } = {}) {
  return el(
    "li",
    { class: small && "slim" },
    el("span", { class: "class" }, breakable(name)),
    el("span", { class: "n" }, percent(probability)),
    bar(probability, { mark }),
  );
}

function more(list, rows, number) {
  const closed = `Show all ${number} classes`;
  const rest = rows.map((row) => line(row, { small: true }));
  const toggle = button(closed, () => {
    const open = list.classList.toggle("open");
    if (open) list.append(...rest);
    else rest.forEach((row) => row.remove());
    toggle.setAttribute("aria-expanded", String(open));
    toggle.textContent = open ? "Show fewer" : closed;
  }, { class: rows.length ? "link" : "link beside", "aria-expanded": "false" });
  return toggle;
}
