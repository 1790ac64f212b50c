// The service's routes. What goes wrong becomes a `Problem` with a sentence for a person.

import * as kept from "./kept.js";

const KEY = "api key";
const MINUTES = 2;

export class Problem extends Error {
  /** `code` as in the service's problem-JSON, or "unreachable", "cancelled" or "strange"; `wait` in seconds. */
  constructor(code, detail, { wait } = {}) {
    super(detail);
    this.code = code;
    this.wait = wait;
  }

  get aboutKey() {
    return this.code === "no_key" || this.code === "wrong_key";
  }

  get passes() {
    return ["busy", "not_ready", "too_many_requests"].includes(this.code);
  }
}

export const cancelled = () => new Problem("cancelled", "Cancelled before it was answered.");

export const hasKey = () => Boolean(kept.get(KEY));
export const useKey = (text) => kept.set(KEY, text);
export const forgetKey = () => kept.remove(KEY);

export const info = () => json("info");
export const monitoring = () => json("monitoring");
export const samples = async () => (await json("samples")).samples;
export const sampleImage = async (id) => (await ask(`samples/image?id=${id}&size=280`)).blob();
export const sampleAnswer = (id, signal) => json(`samples/${id}/predict`, { signal });
export const feedback = (id, label) =>
  ask("feedback", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ id, label }),
  });

/** The picture goes without its name, which is nobody's business but the user's. */
export function predict(picture, signal) {
  const body = new FormData();
  body.append("file", picture, "picture");
  return json("predict", { method: "POST", body, signal });
}

async function json(path, options) {
  const response = await ask(path, options);
  try {
    return await response.json();
  } catch {
    throw new Problem("strange", "The answer cannot be read. Is something between this page and its service?");
  }
}

async function ask(path, { signal, headers, ...options } = {}) {
  const key = kept.get(KEY);
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { ...headers, ...(key && { "X-API-Key": key }) },
      signal: AbortSignal.any([AbortSignal.timeout(MINUTES * 60_000), ...(signal ? [signal] : [])]),
    });
  } catch (error) {
    throw signal?.aborted ? cancelled() : unanswered(error);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

function unanswered(error) {
  if (error.name === "TimeoutError") return new Problem("timeout", `No answer within ${MINUTES} minutes.`);
  return new Problem(
    "unreachable",
    navigator.onLine
      ? "The service cannot be reached. It may have been stopped, or the network is down."
      : "This device is offline. Try again when it has a network.",
  );
}

async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  const detail = said.detail ?? `The service answered ${response.status} and did not say why.`;
  return new Problem(said.code ?? "strange", detail, { wait: secondsUntil(response.headers.get("Retry-After")) });
}

/** Retry-After is a number of seconds or a date: RFC 9110, 10.2.3. */
function secondsUntil(text) {
  if (text === null) return undefined;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(seconds, 0) : undefined;
}
