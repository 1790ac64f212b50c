// The list of answers, its progress and its filter.

import { card, kind, passing, spoken } from "./card.js";
import { button, byId } from "./dom.js";
import { count } from "./words.js";

const FILTERED = 4; // from so many on, one may want to see some alone
const KINDS = { all: "All", sure: "Answered", unsure: "Not sure enough", failed: "No answer" };

export class Results {
  #entries = [];
  #items = new Map();
  #shown = "all";

  /** `about()` returns what is known of the model, `again(entries)` sends them once more. */
  constructor({ about, again }) {
    Object.assign(this, { about, again });
    byId("again").onclick = () => again(this.#failed);
  }

  get entries() {
    return [...this.#entries];
  }

  /** The newest batch stands first, in the order in which it was chosen. */
  add(batch) {
    this.#entries.unshift(...batch);
    const items = batch.map((entry) => this.#draw(entry));
    byId("answers").prepend(...items);
    this.#summarise();
  }

  update(entry) {
    const old = this.#items.get(entry);
    if (!old) return; // cleared while it was under way
    const focused = old.contains(document.activeElement);
    const drawn = this.#draw(entry);
    old.replaceWith(drawn);
    if (focused) drawn.focus();
    this.#summarise();
  }

  clear() {
    this.#entries = [];
    this.#items.clear();
    byId("answers").replaceChildren();
    this.#summarise();
  }

  #draw(entry) {
    const item = card(entry, this.about(), () => this.again([entry]));
    item.hidden = this.#hides(entry);
    this.#items.set(entry, item);
    return item;
  }

  #hides = (entry) => this.#shown !== "all" && kind(entry) !== this.#shown;

  #summarise() {
    byId("results").hidden = this.#entries.length === 0;
    byId("results").classList.toggle("several", this.#entries.length > 1);
    const numbers = Object.fromEntries(Object.keys(KINDS).map((each) => [each, this.#count(each)]));
    if (!this.#count("open")) byId("again").hidden = this.#failed.length < 2;
    this.#offerKinds(numbers);
  }

  get #failed() {
    return this.#entries.filter((entry) => entry.state === "failed" && passing(entry));
  }

  #count = (each) => this.#entries.filter((entry) => each === "all" || kind(entry) === each).length;

  /** Offer to see one kind alone, where there are many, of more than one kind. */
  #offerKinds(numbers) {
    const kinds = Object.keys(KINDS).filter((each) => each === "all" || numbers[each]);
    byId("filter").hidden = numbers.all < FILTERED || kinds.length < 3;
    if (byId("filter").hidden && this.#shown !== "all") this.#show("all");
    const had = byId("filter").querySelector(":focus")?.dataset.kind;
    byId("filter").replaceChildren(...kinds.map((each) => this.#kindButton(each, numbers[each])));
    byId("filter").querySelector(`[data-kind="${had}"]`)?.focus();
  }

  #kindButton(each, number) {
    const pressed = String(each === this.#shown);
    return button(`${KINDS[each]} (${number})`, () => this.#show(each), { "data-kind": each, "aria-pressed": pressed });
  }

  #show(each) {
    this.#shown = each;
    for (const [entry, item] of this.#items) item.hidden = this.#hides(entry);
    this.#summarise();
  }
}

/** Say what is done of what was sent last, to all who look, and at its end to all who listen. */
export class Progress {
  #batch = [];

  add(entries) {
    if (!this.#open.length) this.#batch = [];
    this.#batch.push(...entries.filter((entry) => !this.#batch.includes(entry)));
    this.update();
  }

  update() {
    const done = this.#batch.length - this.#open.length;
    showTools(!this.#open.length);
    Object.assign(byId("bar"), { max: this.#batch.length, value: done });
    byId("count").textContent = `${done} of ${count(this.#batch.length, "picture")}`;
    if (this.#batch.length && !this.#open.length) this.#finish();
  }

  get #open() {
    return this.#batch.filter((entry) => kind(entry) === "open");
  }

  #finish() {
    say(this.#batch.length === 1 ? spoken(this.#batch[0]) : summary(this.#batch));
    this.#batch = [];
  }
}

/** The tools, or the progress in their place; a button that goes must not take the place of the keyboard with it. */
function showTools(idle) {
  const [from, to] = idle ? ["progress", "tools"] : ["tools", "progress"];
  const focused = byId(from).contains(document.activeElement);
  byId(from).hidden = true;
  byId(to).hidden = false;
  if (focused) byId(idle ? "results-title" : "cancel").focus();
}

export const say = (text) => (byId("said").textContent = text);

function summary(batch) {
  const number = (each) => batch.filter((entry) => kind(entry) === each).length;
  const parts = [`${number("sure")} answered`];
  if (number("unsure")) parts.push(`${number("unsure")} not sure enough`);
  if (number("failed")) parts.push(`${number("failed")} without an answer`);
  return `${count(batch.length, "picture")} done: ${parts.join(", ")}.`;
}
