// A grid of letters as coloured cells. A stranger's text can only choose between five known classes.
import { h } from "./text.js";

const COLOURS = { R: "red", G: "green", B: "blue", Y: "yellow", "-": null };
const SIZE_MIN = 2, SIZE_MAX = 16;

/** The grid in the answer of a completion, drawn; null if there is none. */
export function drawing(completion) {
  const end = completion.lastIndexOf("</answer>"), start = completion.lastIndexOf("<answer>", end);
  if (end < 0 || start < 0) return null;
  const rows = completion.slice(start + "<answer>".length, end).trim().split("\n"), size = rows.length;
  if (size < SIZE_MIN || size > SIZE_MAX || !rows.every((row) => row.length === size && [...row].every((c) => Object.hasOwn(COLOURS, c)))) return null;
  return h("div", { class: "drawing", role: "img", "aria-label": `a drawing of ${size} x ${size} cells` },
    rows.map((row) => h("div", null, [...row].map((c) => h("i", { class: COLOURS[c] })))));
}
