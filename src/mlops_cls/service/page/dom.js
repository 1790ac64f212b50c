// Elements from data. Text is always text: names of files and classes cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** A name that a line may break within: after _, - and /. */
export function breakable(name) {
  const parts = name.match(/[^_/-]*[_/-]|[^_/-]+/g) ?? [];
  return el("bdi", {}, ...parts.flatMap((part) => [part, el("wbr")]));
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, text);
}

/** A bar from 0 to 1, drawn in attributes, as the policy of the page forbids styles within it. */
export function bar(share, { mark, low, high } = {}) {
  const wide = (value) => `${(100 * value).toFixed(2)}%`;
  const rest = low === undefined ? [] : whisker(wide(low), wide(high));
  return svg(
    "svg",
    { class: "bar", "aria-hidden": "true" },
    svg("rect", { class: "track", y: 3, width: "100%", height: 8, rx: 2 }),
    svg("rect", { class: "filled", y: 3, width: wide(share), height: 8, rx: 2 }),
    mark !== undefined && svg("rect", { class: "mark", width: 3, height: 14, x: wide(mark) }),
    ...rest,
  );
}

function whisker(low, high) {
  const ends = [low, high].map((x) => svg("line", { x1: x, x2: x, y1: 2, y2: 12 }));
  return [svg("line", { x1: low, x2: high, y1: 7, y2: 7 }), ...ends];
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child || child === 0));
  return element;
}
