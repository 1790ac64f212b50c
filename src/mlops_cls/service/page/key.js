// The form for the API key, shown when the service asks for one.

import { forgetKey, useKey } from "./api.js";
import { byId } from "./dom.js";

const SENDABLE = /^[\x21-\x7e]+$/; // in a header

let given = null; // a promise while the form is shown

/** Return a promise that a key has been given; `problem` is what the service said without one, or of the last one. */
export function askKey(problem) {
  complain(problem.code === "wrong_key" ? problem.message : "");
  forgetKey();
  given ??= new Promise((resolve) => {
    byId("key").onsubmit = (event) => submitted(event, resolve);
    byId("key").hidden = false;
    byId("key-field").focus();
  });
  return given;
}

function submitted(event, resolve) {
  event.preventDefault();
  const text = byId("key-field").value.trim();
  if (!SENDABLE.test(text)) return complain("A key is made of letters, digits and signs, without spaces.");
  useKey(text);
  byId("key-field").value = "";
  byId("key").hidden = true;
  given = null;
  resolve();
}

function complain(text) {
  byId("key-wrong").textContent = text;
}
