// What this peer and the others give each other: shares, who learned from whom, and what was refused.
import { lessons } from "./helping.js";
import { compact, count, empty, h, peer as peerName, percent, plural, reward } from "./text.js";

const SHOWN = 10;  // peers in the matrix: more would not be readable

const MEANING = {
  pull: "it could not be fetched", uninformative: "all its rewards are equal, so it teaches nothing", question: "its question is not the task's",
  held_out: "its question is held out", expired: "it is too old", scorer: "it could not be scored here", completion: "a completion hung the scorer",
  signature: "its signature is wrong", digest: "it is not what was announced", version: "it needs a different version of a task",
  unjudged: "the judges here have no opinion, or find no difference",
};

export function together({ status, names }) {
  return h("section", { id: "together", "aria-labelledby": "together-title" },
    h("h2", { id: "together-title" }, "Together"),
    h("div", { class: "pair uneven" }, h("div", null, shares(status), judged(status.judges ?? []), refused(status.groups?.rejected ?? {}), credit(status.credit, names)), matrix(status, names)));
}

/** What groups did for the peers that trained on them, in nats per held-out right answer. */
function credit(found, names) {
  const line = (peer) => h("li", null, peerName(peer.peer_id, names), `${peer.people ? " (people)" : ""} ${peer.gain >= 0 ? "+" : ""}${peer.gain.toFixed(3)} over ${plural(peer.groups, "group", "groups")}`);
  const list = (title, peers) => (peers?.length ? [h("h4", null, title), h("ul", { class: "plainlist" }, peers.slice(0, SHOWN).map(line))] : []);
  const lists = [...list("Others' groups here, measured", found?.measured), ...list("This peer's groups there, as others say", found?.claimed)];
  return h("div", null, h("h3", null, "What a group taught"), lists.length ? lists
    : empty("Now and then this peer measures how much likelier another peer's group makes right answers. What others say about its own groups is shown here too."));
}

function shares({ groups, reward: ofOwn, last_step: step }) {
  const own = groups?.own ?? 0, others = groups?.external_used ?? 0, all = own + others;
  if (!all) return h("div", null, h("h3", null, "What it trains on"), empty("Shown after the first step: the share of own groups, and of groups by others."));
  const bar = h("div", { class: "shares", role: "img", "aria-label": `${percent(own / all)} own groups, ${percent(others / all)} by others` },
    h("span", { class: "own" }), h("span", { class: "others" }));
  bar.children[0].style.flexGrow = own;
  bar.children[1].style.flexGrow = others;
  return h("div", null, h("h3", null, "What it trains on"), bar, h("ul", { class: "keys" },
    h("li", { class: "own" }, h("b", null, percent(own / all)), ` own: ${plural(own, "group", "groups")} made, ${count(groups.published)} published`),
    h("li", { class: "others" }, h("b", null, percent(others / all)), ` by others: ${count(groups.pulled)} pulled and checked, ${count(others)} trained on`)),
    typeof step?.reward_external === "number" ? h("p", { class: "note" }, `Reward in the last step: own groups ${reward(ofOwn?.last)}, those of others ${reward(step.reward_external)}, all scored here.`) : null);
}

function judged(tasks) {
  if (!tasks.length) return null;
  const agreeing = (share) => (typeof share === "number" ? ` (right on ${percent(share)} of known answers)` : "");
  const truth = (task) => (typeof task.truth === "number" && task.completions ? `: own reward ${reward(task.reward)}, truth ${reward(task.truth)}` : "");
  return h("div", null, h("h3", null, "Who judges"), h("ul", { class: "plainlist" }, tasks.map((task) => h("li", null, h("b", null, task.task), " ",
    task.judges.map((judge) => judge + agreeing(task.calibrated?.[judge])).join(", "), truth(task)))));
}

function refused(by) {
  const rows = Object.entries(by).sort((a, b) => b[1] - a[1]);
  return h("div", null, h("h3", null, "What was not taken"), rows.length
    ? h("ul", { class: "plainlist" }, rows.map(([why, n]) => h("li", null, h("b", null, count(n)), " ", MEANING[why] ?? why.replaceAll("_", " "))))
    : empty("Nothing so far. Groups that fail a check here are counted by reason."));
}

function matrix(status, names) {
  const found = lessons(status), others = ranked(found, status.peer_id);
  const ids = [status.peer_id, ...others.slice(0, SHOWN - 1)];
  const title = h("h3", null, "Who learned from whom");
  if (ids.length === 1) {
    return h("div", null, title, empty("When peers train on each other's groups, this shows who taught whom: a row for each learner, ",
      "a column for each teacher."));
  }
  const learners = ids.filter((id) => found.has(id)), silent = ids.length - learners.length;
  const label = (id) => (id === status.peer_id ? "this peer" : names[id] ?? id.slice(-6));
  const cell = (learner, teacher) => {
    const n = found.get(learner)?.get(teacher);
    if (learner === teacher) return h("td", { class: "self" }, "");
    if (!n) return h("td", null, "·");
    return h("td", { class: "level" + Math.max(1, Math.ceil(4 * Math.sqrt(n / Math.max(...found.get(learner).values())))), title: `${label(learner)} trained on ${count(n)} groups by ${label(teacher)}` }, compact(n));
  };
  return h("div", null, title,
    h("p", { class: "dim" }, "Groups that the peer of a row trained on, by the peer of a column. The first row is counted here; the others are what the peers say."),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Who learned from whom" }, h("table", { class: "matrix" },
      h("caption", { class: "hidden" }, "Rows are learners, columns are teachers, cells are groups"),
      h("thead", null, h("tr", null, h("td", { class: "corner" }, "learner ↓ teacher →"), ids.map((id) => h("th", { scope: "col" }, h("span", null, label(id)))))),
      h("tbody", null, learners.map((learner) => h("tr", null, h("th", { scope: "row" }, label(learner)), ids.map((teacher) => cell(learner, teacher))))))),
    silent ? h("p", { class: "note" }, `${plural(silent, "peer has", "peers have")} not said whom they learned from.`) : null,
    others.length > SHOWN - 1 ? h("p", { class: "note" }, `${plural(others.length - SHOWN + 1, "more peer is", "more peers are")} not shown.`) : null);
}

/** The other peers: first those that taught this one, by what was counted here, then by claims. A learner's claims count as shares, so that big numbers are no louder. */
function ranked(found, own) {
  const counted = found.get(own), claimed = new Map();
  const add = (id, share) => claimed.set(id, (claimed.get(id) ?? 0) + share);
  for (const [learner, teachers] of found) {
    const all = [...teachers.values()].reduce((sum, n) => sum + n, 0);
    if (learner !== own) add(learner, 1);
    for (const [teacher, n] of teachers) if (teacher !== own) add(teacher, n / Math.max(1, all));
  }
  return [...claimed.keys()].sort((a, b) => (counted.get(b) ?? 0) - (counted.get(a) ?? 0) || claimed.get(b) - claimed.get(a));
}
