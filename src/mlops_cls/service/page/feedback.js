// The right class of an answer, as a person says it, where the service collects that.

import { feedback as send } from "./api.js";
import { button, el } from "./dom.js";
import { save } from "./history.js";

/** Return the question; the choice and the thanks come in its place. */
export function feedback(entry, classes) {
  const box = el("div", { class: "feedback", role: "group", "aria-label": `Is the answer for ${entry.name} right?` });
  if (entry.said) thank(box, entry, classes);
  else ask(box, entry, classes);
  return box;
}

function ask(box, entry, classes) {
  box.replaceChildren(
    el("span", {}, entry.answer.abstains ? "Is the best guess right?" : "Is this right?"),
    button("Yes", () => say(box, entry, classes, entry.answer.label)),
    button("No", () => choose(box, entry, classes)),
  );
}

function choose(box, entry, classes) {
  const others = classes.filter((name) => entry.said || name !== entry.answer.label);
  const options = others.map((name) => el("option", { value: name, selected: name === entry.said }, name));
  const list = el("select", {}, ...options);
  const back = entry.said ? thank : ask;
  box.replaceChildren(
    el("label", {}, "What is it? ", list),
    button("Send", () => say(box, entry, classes, list.value)),
    button("Back", () => focused(box, back, entry, classes)),
  );
  list.focus();
}

async function say(box, entry, classes, label) {
  try {
    await send(entry.answer.id, label);
  } catch (problem) {
    focused(box, ask, entry, classes);
    box.prepend(el("p", { role: "alert", class: "wrong" }, problem.message));
    return;
  }
  entry.said = label;
  save(entry);
  focused(box, thank, entry, classes);
}

function thank(box, entry, classes) {
  const words = el("span", { role: "status" }, "Thank you. Noted as ", el("b", {}, entry.said), ".");
  box.replaceChildren(words, button("Change", () => choose(box, entry, classes)));
}

/** Show something else, without losing the place of who uses the keyboard. */
function focused(box, show, entry, classes) {
  show(box, entry, classes);
  box.querySelector("button").focus();
}
