// The newest groups: question, completions, the reward that the publisher claims and the one given here.
import { drawing } from "./drawing.js";
import { pictures } from "./images.js";
import { clock, empty, h, lines, peer as peerName, percent, reward } from "./text.js";

const SHOWN = 20;  // groups requested at once: a screen or two
const KINDS = [["own", "Own"], ["others", "Others'"], ["refused", "Not taken"]];
const NOTHING = {
  own: "Own groups appear after the first step that had something to teach: one whose completions were not all right or all wrong.",
  others: "Groups by others appear here once a peer has joined, and this peer has pulled and checked one of its groups.",
  refused: "Nothing so far. A group that fails a check is listed here with the reason.",
};

export function rolloutsSection() {
  let kind = "own", names = {}, own = "", asked = 0;
  const list = h("div", { id: "rollout-list", role: "tabpanel", "aria-labelledby": "tab-own" });
  const tabs = KINDS.map(([name, label]) => h("button", { type: "button", role: "tab", id: "tab-" + name, "aria-controls": "rollout-list", onclick: () => choose(name) }, label));
  const newer = h("button", { type: "button", class: "quiet", onclick: () => load() }, "Show the newest");
  const element = h("section", { id: "rollouts", "aria-labelledby": "rollouts-title" },
    h("h2", { id: "rollouts-title" }, "Rollouts"),
    h("div", { class: "row" }, h("div", { role: "tablist", "aria-label": "Whose rollouts", class: "tabs", onkeydown: arrows }, tabs), newer), list);

  function arrows(event) {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const shown = tabs.filter((tab) => !tab.hidden);
    const next = shown.at((shown.findIndex((tab) => tab.tabIndex === 0) + move) % shown.length);
    next.click();
    next.focus();
  }

  function choose(name) { kind = name; mark(); load(); }

  function mark() {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(KINDS[i][0] === kind));
      tab.tabIndex = KINDS[i][0] === kind ? 0 : -1;
    });
    list.setAttribute("aria-labelledby", "tab-" + kind);
  }

  async function load() {
    const mine = ++asked, wanted = kind;
    try {
      const answer = await fetch(`records?kind=${wanted}&limit=${SHOWN}`, { cache: "no-store" });
      if (mine !== asked) return;
      if (!answer.ok) throw new Error("status " + answer.status);
      const found = await answer.json();
      names = { ...names, ...found.names };
      list.replaceChildren(...(found.records.length ? found.records.map((record) => card(record, wanted)) : [empty(NOTHING[wanted])]));
    } catch {
      if (mine === asked) list.replaceChildren(empty("The peer is not sending its rollouts right now. Try again with “Show the newest”."));
    }
  }

  const card = (record, of) => (of === "refused" ? refusal(record) : group(record));

  function refusal(record) {
    return h("div", { class: "group" }, h("p", { class: "head" }, h("span", { class: "when" }, clock(record.at)),
      record.publisher ? peerName(record.publisher, names, own) : "unknown", h("span", { class: "fate" }, record.fate)));
  }

  function group(record) {
    const right = record.completions.map((c) => c.reward);
    const mean = right.reduce((sum, r) => sum + r, 0) / Math.max(1, right.length);
    return h("details", { class: "group" },
      h("summary", null, h("span", { class: "head" }, h("span", { class: "when" }, clock(record.at)), h("b", null, record.task),
        h("span", { class: "first" }, (record.question ?? "").split("\n")[0].slice(0, 120)),
        h("span", { class: "squares", role: "img", "aria-label": `mean reward ${reward(mean)} of ${right.length} completions` },
          right.map((r) => h("i", { class: r >= 0.99 ? "full" : r > 0.01 ? "half" : "none" }))),
        h("span", { class: "num" }, reward(mean)))),
      h("p", { class: "fate" }, "By ", peerName(record.publisher, names, own), ` with ${record.model}, step ${record.step}, round ${record.round}. ${record.fate}`),
      h("h4", null, "Question"), record.question === null ? empty("Only the task's source can regenerate the question, and it is not installed here.") : h("pre", null, record.question), pictures(record.images),
      h("h4", null, "Completions"), h("ol", { class: "completions" }, record.completions.map(completion)));
  }

  function completion(found) {
    const here = found.reward, claimed = found.claimed, differs = claimed !== null && Math.abs(here - claimed) > 0.005;
    return h("li", null, h("p", { class: "verdict" },
      h("span", { class: "chip " + (here >= 0.99 ? "good" : "none") }, `${reward(here)} here`),
      claimed === null ? null : h("span", { class: differs ? "chip bad" : "dim" }, `${reward(claimed)} ${differs ? "claimed: not the same" : "claimed"}`),
      found.finished ? null : h("span", { class: "dim" }, "cut off at the token limit")), h("pre", null, found.text || "(nothing)"), drawing(found.text));
  }

  mark();
  let begun = false;
  return { element, show(state) {
    names = { ...names, ...state.names };
    own = state.status.peer_id;
    if (begun) return;
    begun = true;
    const observes = Boolean(state.status.swarm_view);
    tabs[0].hidden = observes;  // an observer has none
    if (observes) kind = "others";
    mark();
    load();
  } };
}
