// The other peers: who they are, whether they are present, and what is known or claimed about them.
import { count, duration, empty, h, peer as peerName, percent, plain, plural, table } from "./text.js";

const SHOWN = 100;      // the best known come first
const STANDING = { known: "known", met: "met", stranger: "new here", banned: "ignored" };
const HEADS = ["peer", "seen", "groups it taught", "groups it took, claimed", "held-out, claimed", "step", "model", "reached at", "standing"];
const isGone = (peer) => peer.gone ?? peer.age_s === null;

export function peers({ status, names }) {
  const all = status.peers ?? [], here = all.filter((peer) => !isGone(peer)).length;
  return h("section", { id: "peers", "aria-labelledby": "peers-title" },
    h("h2", { id: "peers-title" }, "Peers ", h("span", { class: "dim" }, all.length ? `${here} here, ${all.length - here} gone` : "")),
    all.length ? table("Peers of this swarm", HEADS, all.slice(0, SHOWN).map((peer) => row(peer, names)), { class: "peers" })
      : empty("No other peer yet. One appears here within seconds of joining, with its name, address and step."),
    all.length > SHOWN ? h("p", { class: "note" }, `${all.length - SHOWN} more are not shown; swarmd status --json has all.`) : null,
    ignored(status.judgement?.ignored ?? [], names));
}

function row(peer, names) {
  const gone = isGone(peer);
  const lost = Object.entries(peer.points_lost ?? {}).map(([why, n]) => `${why} ${n}`).join(", ");
  const taught = peer.groups_used ?? peer.groups_taught;
  return { class: gone ? "gone" : null, cells: [
    peerName(peer.peer_id, names), seen(peer, gone),
    h("span", { title: `${count(peer.groups_pulled)} pulled and checked` }, count(taught)),
    h("span", { title: peer.pulls === undefined ? null : `it pulled ${count(peer.pulls)}` }, count(peer.groups_trained_on_claimed)),
    percent(peer.held_out_claimed), count(peer.step), h("span", { class: "cut", title: plain(peer.model ?? "") }, peer.model ?? "not known"), reach(peer.address),
    h("span", { class: peer.standing === "banned" ? "bad" : null, title: lost ? "lost points for: " + plain(lost) : null }, peer.on_trial ? "on trial" : STANDING[peer.standing] ?? peer.standing)] };
}

function seen(peer, gone) {
  const age = typeof peer.last_seen === "number" ? Date.now() / 1000 - peer.last_seen : peer.age_s;
  if (gone) return h("span", { class: "dim nowrap" }, typeof age === "number" ? `gone for ${duration(age)}` : "gone");
  return h("span", { class: "here nowrap" }, typeof age === "number" ? `${duration(age)} ago` : "connected");
}

/** Where it can be dialled, without the parts that every address has. */
function reach(address) {
  if (!address) return h("span", { class: "dim" }, "cannot be dialled");
  const [, , host, , port] = address.split("/");
  return h("code", { title: plain(address) }, port ? `${host.includes(":") ? `[${host}]` : host}:${port}` : address);
}

function ignored(list, names) {
  if (!list.length) return null;
  return h("details", { class: "more" }, h("summary", null, plural(list.length, "peer is ignored", "peers are ignored")),
    table("Ignored peers", ["peer", "for", "why"], list.slice(0, SHOWN).map((found) => ({ cells: [peerName(found.peer_id, names),
      found.seconds_left === null ? "until swarmd unban" : duration(found.seconds_left), found.reason] }))));
}
