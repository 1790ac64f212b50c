// What this tab remembers until it is closed; where the browser forbids that, until the page is.

const memory = new Map();
// Two services may share a host, under paths of their own.
const PREFIX = `mlops_cls 1 ${location.pathname} `;

export function get(name) {
  try {
    return sessionStorage.getItem(PREFIX + name);
  } catch {
    return memory.get(name) ?? null;
  }
}

/** Return whether there was room. */
export function set(name, text) {
  try {
    sessionStorage.setItem(PREFIX + name, text);
    return true;
  } catch (error) {
    if (error.name === "QuotaExceededError") return false;
    memory.set(name, text);
    return true;
  }
}

export function remove(name) {
  memory.delete(name);
  try {
    sessionStorage.removeItem(PREFIX + name);
  } catch {
    // it was in memory alone
  }
}

export function names() {
  try {
    const own = Object.keys(sessionStorage).filter((name) => name.startsWith(PREFIX));
    return own.map((name) => name.slice(PREFIX.length));
  } catch {
    return [...memory.keys()];
  }
}
