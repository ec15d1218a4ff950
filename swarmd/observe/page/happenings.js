// What happened, newest first.
import { redraw } from "./redraw.js";
import { clock, empty, h } from "./text.js";

const KEPT = 256;  // as many as the peer remembers
const SHOWN = 60;
const QUIET = new Set(["pulled", "published", "peer_seen", "external_short"]);

export function eventsSection() {
  const list = h("ol", { class: "events", tabindex: "0", "aria-label": "Events, newest first" });
  const all = h("input", { type: "checkbox", id: "all-events", onchange: () => draw() });
  const element = h("section", { id: "events", "aria-labelledby": "events-title" },
    h("div", { class: "row" }, h("h2", { id: "events-title" }, "Events"), h("label", { for: "all-events" }, all, " with routine ones")), list);
  let kept = [];

  function draw() {
    const shown = kept.filter((event) => all.checked || !QUIET.has(event.name)).slice(0, SHOWN);
    redraw(list, ...(shown.length ? shown.map((event) => h("li", { class: event.level },
      h("time", { datetime: new Date(1000 * event.at).toISOString() }, clock(event.at)), h("span", null, event.level === "warning" || event.level === "error"
        ? h("b", null, event.level + ": ") : null, event.text))) : [h("li", null, empty("Steps, evaluations, checkpoints and warnings appear here as they happen."))]));
  }

  draw();
  return { element, add({ reset, events }) {
    kept = [...events.reverse(), ...(reset ? [] : kept)].slice(0, KEPT);
    draw();
  } };
}
