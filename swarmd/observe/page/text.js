// Text and numbers for people, and elements to hold them.
//
// Names, models, questions and answers come from strangers. They enter the page as text nodes only, and characters
// that turn, hide or break text are shown escaped.

const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/gu;
const escaped = (c) => "\\u{" + c.codePointAt(0).toString(16) + "}";

export const plain = (value) => String(value).replace(UNSAFE, escaped);
export const lines = (value) => String(value).split("\n").map(plain).join("\n");

/** An element. `attributes` with null or false are left out; children are nodes or text. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes);
  element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false)
    .map((c) => (c instanceof Node ? c : lines(c))));
  return element;
}

/** The same for SVG. */
export function s(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes);
  element.append(...children);
  return element;
}

function fill(element, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
}

export const UNKNOWN = "–";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (isNumber(value) ? Math.round(value).toLocaleString("en").replaceAll(",", "\u202f") : UNKNOWN);
export const compact = (value) => (value < 1000 ? count(value) : value < 99_500 ? (value / 1000).toFixed(value < 9950 ? 1 : 0) + "k" : Math.round(value / 1000) + "k");
export const reward = (value) => (isNumber(value) ? value.toFixed(2) : UNKNOWN);
export const rate = (value) => (isNumber(value) ? (value < 10 ? value.toFixed(1) : count(value)) : UNKNOWN);
export const percent = (value) => (isNumber(value) ? Math.round(100 * value) + "\u202f%" : UNKNOWN);
export const range = (pair) => (pair ? Math.round(100 * pair[0]) + " to " + percent(pair[1]) : UNKNOWN);
export const points = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(Math.round(100 * value));
export const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many);

export function bytes(value) {
  if (!isNumber(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return (unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)) + " " + units[unit];
}

export function duration(seconds) {
  if (!isNumber(seconds)) return UNKNOWN;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return whole + "\u00a0s";
  if (whole < 3600) return Math.floor(whole / 60) + "\u00a0min";
  if (whole < 86400) return Math.floor(whole / 3600) + "\u00a0h " + Math.floor((whole % 3600) / 60) + "\u00a0min";
  return Math.floor(whole / 86400) + "\u00a0d " + Math.floor((whole % 86400) / 3600) + "\u00a0h";
}

export const clock = (unix) => new Date(1000 * unix).toLocaleTimeString("en-GB");

/** A peer: its two-word name, and the end of its id so that namesakes stay apart. */
export function peer(id, names, own) {
  const name = names[id];
  return h("span", { class: "peer", title: plain(id) }, name ?? id.slice(0, 10) + "…", " ",
    h("span", { class: "tail" }, own === id ? "this peer" : "…" + id.slice(-6)));
}

/** A table that becomes one card per row on a narrow screen. Cells are nodes or text. */
export function table(caption, heads, rows, attributes) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, h("table", attributes,
    h("caption", { class: "hidden" }, caption),
    h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", null, rows.map(({ cells, ...more }) => h("tr", more, cells.map((cell, i) =>
      h(i ? "td" : "th", i ? { "data-head": heads[i] } : { scope: "row" }, cell ?? UNKNOWN)))))));
}

export const empty = (...text) => h("p", { class: "empty" }, ...text);

export const facts = (pairs) => h("dl", { class: "facts" },
  pairs.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value ?? UNKNOWN))));
