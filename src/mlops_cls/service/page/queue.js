// Pictures are sent one by one in a few lanes. A service that is busy is waited for, by all lanes, and asked again.

import { cancelled } from "./api.js";

const LANES = 2;
const TRIES = 8;
const LONGEST = 60;

export class Queue {
  #waiting = [];
  #lanes = 0;
  #stop = new AbortController();
  #openAt = 0;
  #why = null; // of the last wait

  /**
   * `send(entry, signal)` returns what is then known of it or throws a `Problem`; `changed(entry)` is told of every
   * change of its `state`: waiting, sending, pausing, answered, failed; `askKey(problem)` returns a promise of a key.
   */
  constructor({ send, changed, askKey }) {
    Object.assign(this, { send, changed, askKey });
  }

  add(entries) {
    for (const entry of entries) this.#tell(entry, "waiting");
    this.#waiting.push(...entries);
    while (this.#lanes < LANES && this.#waiting.length) this.#run();
  }

  /** Leave nothing waiting, and let go of what is under way. */
  cancel() {
    this.#stop.abort();
    this.#stop = new AbortController();
    for (const entry of this.#waiting.splice(0)) this.#tell(entry, "failed", { problem: cancelled() });
  }

  async #run() {
    this.#lanes++;
    for (let entry; (entry = this.#waiting.shift()); ) await this.#finish(entry);
    this.#lanes--;
  }

  async #finish(entry) {
    try {
      this.#tell(entry, "answered", await this.#answer(entry, this.#stop.signal));
    } catch (problem) {
      this.#tell(entry, "failed", { problem });
    }
  }

  async #answer(entry, signal) {
    for (let tries = 1; ; tries++) {
      await this.#untilOpen(entry, signal);
      this.#tell(entry, "sending");
      try {
        return await this.send(entry, signal);
      } catch (problem) {
        if (problem.aboutKey) await this.#untilKey(entry, problem, signal);
        else if (!problem.passes || tries >= TRIES) throw problem;
        else this.#close(problem, tries);
      }
    }
  }

  #close(problem, tries) {
    // No sooner than the service says, and later each time: in all a minute and more.
    const seconds = Math.min(Math.max(problem.wait ?? 1, 2 ** (tries - 2)), LONGEST);
    this.#openAt = Math.max(this.#openAt, Date.now() + 1000 * seconds);
    this.#why = problem;
  }

  async #untilOpen(entry, signal) {
    for (let left; (left = this.#openAt - Date.now()) > 0; ) {
      this.#tell(entry, "pausing", { problem: this.#why, seconds: Math.ceil(left / 1000) });
      await sleep(Math.min(left, 1000), signal);
    }
    if (signal.aborted) throw cancelled();
  }

  async #untilKey(entry, problem, signal) {
    this.#tell(entry, "pausing", { problem });
    await unlessAborted(this.askKey(problem), signal);
  }

  #tell(entry, state, more = {}) {
    Object.assign(entry, { state }, more);
    this.changed(entry);
  }
}

const sleep = (milliseconds, signal) =>
  unlessAborted(new Promise((resolve) => setTimeout(resolve, milliseconds)), signal);

function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(cancelled());
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
