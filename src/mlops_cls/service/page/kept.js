// What this tab remembers until it is closed; where the browser forbids that, until the page is.

const memory = new Map();

export function get(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return memory.get(name) ?? null;
  }
}

/** Return whether there was room. */
export function set(name, text) {
  try {
    sessionStorage.setItem(name, text);
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
    sessionStorage.removeItem(name);
  } catch {
    // it was in memory alone
  }
}

export function names() {
  try {
    return Object.keys(sessionStorage);
  } catch {
    return [...memory.keys()];
  }
}
