// The right class of an answer, as a person says it, where the service collects that.

import { feedback as send } from "./api.js";
import { button, el } from "./dom.js";
import { save } from "./history.js";

/** Return the question, and in its place later the choice or the thanks. */
export function feedback(entry, classes) {
  const box = el("div", { class: "feedback", role: "group", "aria-label": `Is the answer for ${entry.name} right?` });
  const show = (...children) => box.replaceChildren(...children);
  const say = async (label) => {
    try {
      await send(entry.answer.id, label);
    } catch (problem) {
      return show(el("p", { role: "alert", class: "wrong" }, problem.message), ...question());
    }
    entry.said = label;
    save(entry);
    thank();
    box.querySelector("button").focus();
  };
  const question = () => [
    el("span", {}, entry.answer.abstains ? "Is the best guess right?" : "Is this right?"),
    button("Yes", () => say(entry.answer.label)),
    button("No", () => choose()),
  ];
  const choose = () => {
    const list = choice(classes, entry);
    show(el("label", {}, "What is it? ", list), button("Send", () => say(list.value)), button("Back", () => show(...question())));
    list.focus();
  };
  const thank = () => show(el("span", { role: "status" }, "Thank you. Noted as ", el("b", {}, entry.said), "."), button("Change", choose));
  if (entry.said) thank();
  else show(...question());
  return box;
}

function choice(classes, { said, answer }) {
  const others = classes.filter((name) => said || name !== answer.label);
  return el("select", {}, ...others.map((name) => el("option", { value: name, selected: name === said }, name)));
}
