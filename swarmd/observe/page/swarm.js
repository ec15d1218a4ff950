// A whole swarm, as an observer that does not train sees it.
import { bandChart } from "./charts.js";
import { redraw } from "./redraw.js";
import { bytes, count, duration, empty, facts, h, peer as peerName, percent, plural, reward, table } from "./text.js";
import { answer, news } from "./well.js";

const SHOWN = 50;        // ranked peers
const GROUPS_MIN = 10;   // with fewer, success says little and the peer is not ranked
const HEADS = ["rank", "peer", "success, scored here", "95% interval", "groups scored", "success, claimed"];

export function swarmSection() {
  const chart = bandChart({ title: "Members", unit: "peers that are there, the observer not counted", format: count, tone: "own", label: "now", time: true });
  const curve = h("div"), kinds = h("div", { class: "kinds" }), traffic = h("div"), board = h("div");
  const element = h("div", { class: "swarm" },
    h("section", { id: "members", "aria-labelledby": "members-title" }, h("h2", { id: "members-title" }, "The swarm"),
      h("div", { class: "pair" }, curve, kinds), traffic),
    h("section", { id: "board", "aria-labelledby": "board-title" }, h("h2", { id: "board-title" }, "Success"), board));

  return { element, show({ status, names }) {
    const view = status.swarm_view;
    showMembers(view);
    redraw(kinds, shares("Models", view.models), shares("Devices", view.devices));
    redraw(traffic, facts([["groups published, claimed", count(view.groups_published_claimed)], ["groups scored here", count(view.groups_scored)],
      ["bytes pulled here", bytes(view.bytes_pulled)], ["connections", count(view.connections)]]));
    redraw(board, ranking(view.board, names));
  } };

  function showMembers(view) {
    if (view.members_at.length < 2) {
      curve.replaceChildren(h("h3", null, "Members"), empty("The curve begins in two minutes. It keeps the last thirty days."));
      return;
    }
    if (!chart.element.isConnected) curve.replaceChildren(chart.element);
    const now = view.members.at(-1), most = Math.max(...view.members);
    const latest = `${plural(now, "member", "members")} now, ${count(most)} at most`;
    chart.show({ x: view.members_at, mean: view.members, low: view.members, high: view.members, baseline: null, latest, summary: latest,
      note: "Counted once a minute, by who was heard in the last three minutes." });
  }
}

export function swarmAnswers({ status }) {
  const view = status.swarm_view, here = status.peers.filter((peer) => !peer.gone).length;
  const ranked = view.board.filter((peer) => peer.groups >= GROUPS_MIN);
  const { ok, reasons } = status.health;
  return h("div", { class: "answers" },
    ok ? answer("Is it well?", "good", "✓", "Yes", `It has observed for ${duration(status.uptime_s)}, and trains nothing.`, news(status))
      : answer("Is it well?", "bad", "!", "It needs you", "", h("ul", { class: "reasons" }, reasons.map((reason) => h("li", null, reason)))),
    answer("Who is here?", here ? "good" : "wait", here ? "✓" : "…", plural(here, "peer", "peers"),
      here ? `${plural(Object.keys(view.models).length, "model", "models")} on ${plural(Object.keys(view.devices).length, "kind of device", "kinds of devices")}.`
        : "Peers announce themselves every half minute. They appear here as they do."),
    answer("How good are they?", ranked.length ? "good" : "wait", ranked.length ? "✓" : "…",
      ranked.length > 1 ? `${reward(Math.min(...ranked.map((peer) => peer.success)))} to ${reward(Math.max(...ranked.map((peer) => peer.success)))}` : ranked.length ? reward(ranked[0].success) : "Not known yet",
      ranked.length ? `Mean reward, scored here, of the newest groups of ${plural(ranked.length, "peer", "peers")}.`
        : `A peer is ranked once ${GROUPS_MIN} of its groups were pulled and scored here.`));
}

function shares(title, counts) {
  const rows = Object.entries(counts), all = rows.reduce((sum, [, n]) => sum + n, 0);
  return h("div", null, h("h3", null, title), rows.length
    ? h("ul", { class: "plainlist" }, rows.map(([name, n]) => h("li", null, h("b", null, percent(n / all)), ` ${name} (${count(n)})`)))
    : empty("What the peers say of themselves appears here with the first of them."));
}

function ranking(board, names) {
  if (!board.length) {
    return empty("The board begins with the first group that was pulled and scored here. Peers publish a group every few seconds.");
  }
  let rank = 0;
  const row = (found) => ({ cells: [found.groups >= GROUPS_MIN ? String(++rank) : "too few", peerName(found.peer_id, names), h("b", null, reward(found.success)),
    found.interval ? found.interval.map(reward).join(" to ") : "not known yet", count(found.groups), reward(found.claimed)] });
  const enough = board.filter((found) => found.groups >= GROUPS_MIN), rest = board.filter((found) => found.groups < GROUPS_MIN);
  return h("div", null, table("Peers by success", HEADS, [...enough, ...rest].slice(0, SHOWN).map(row)),
    h("p", { class: "note" }, "Success is the mean reward of a peer's newest groups, at most 100, pulled and scored again here. The rank is by the lower end of its interval. Peers publish only groups whose ",
      "rewards differ, so it is nearer to one half than the peer's success on all questions. The claimed value is the peer's own word, over all its groups."));
}
