// How others join, what this peer is, and its settings.
import { redraw } from "./redraw.js";
import { bytes, count, duration, empty, facts, h, rate, table } from "./text.js";

const AGAIN_MS = 10_000;  // after settings that could not be read

export function joinSection() {
  const command = h("code", { id: "join-command" }), said = h("span", { role: "status", class: "dim" });
  const button = h("button", { type: "button", onclick: copy }, "Copy");
  const box = h("div", { class: "command" }, command, button), none = empty("This peer has no address yet that others could join through. It is looking for one; see “Is it well?”.");
  const element = h("section", { id: "join", "aria-labelledby": "join-title" }, h("h2", { id: "join-title" }, "Join this swarm"),
    h("p", { class: "dim" }, "On another machine with swarmd:"), box, none, said);

  async function copy() {
    try {
      await navigator.clipboard.writeText(command.textContent);  // missing unless the page is on https or loopback
    } catch {
      getSelection().selectAllChildren(command);
      document.execCommand("copy");
    }
    said.textContent = "Copied.";
    setTimeout(() => { said.textContent = ""; }, 2000);
  }

  return { element, show(status) {
    command.textContent = status.join_command ?? "";
    box.hidden = !status.join_command;
    none.hidden = Boolean(status.join_command);
  } };
}

export function aboutSection() {
  const now = h("div"), settings = h("div");
  const element = h("section", { id: "settings", "aria-labelledby": "settings-title" },
    h("h2", { id: "settings-title" }, "This peer"), now, settings);
  let asked = null;

  async function ask(pid) {
    asked = pid;
    try {
      const answer = await fetch("settings", { cache: "no-store" });
      if (!answer.ok) throw new Error("status " + answer.status);
      const found = await answer.json();
      redraw(settings, plan(found.plan), listed(found.settings ?? {}, found.changed ?? []));
    } catch { setTimeout(() => { asked = null; }, AGAIN_MS); }  // then the next state asks again
  }

  return { element, show(status) {
    const always = [...reached(status.reach), ["swarm", status.swarm], ["round", count(status.round)], ["sandbox", status.sandbox?.length ? status.sandbox.join("; ") : "all layers"],
      ["version", status.version], ["peer id", status.peer_id]];
    redraw(now, facts(status.swarm_view ? always : [...always.slice(0, 2), ["model", status.model], ["device", `${status.device}, ${status.dtype}`],
      ["trained", status.lora ? `LoRA ${status.lora}` : "all weights"], ["tokens per second", rate(status.tokens_per_s)],
      ["written per day", bytes(status.disk?.bytes_a_day)], ["checkpoint every", duration(status.disk?.save_every_s || null)],
      ...machine(status), ...always.slice(2)]));
    if (asked !== status.pid) ask(status.pid);  // settings change only with the process
  } };
}

/** How others reach this peer, and how groups arrived; empty if the status does not say. */
function reached(reach) {
  if (!reach?.says) return [];
  const ways = reach.ways ?? {}, came = `${count(ways.direct ?? 0)} directly, ${count(ways.relay ?? 0)} through relays, ${count(ways.inline ?? 0)} from the DHT`;
  const relaying = reach.places ? [["relays for", `${count(reach.places)} peers, ${bytes(reach.relayed_bytes)}`]] : [];
  return [["reached", reach.remedy ? `${reach.says}. To improve it: ${reach.remedy}` : reach.says], ["groups came", came], ...relaying];
}

/** Memory and traffic; empty if the status has neither. */
function machine({ memory, traffic }) {
  const used = memory ? [["memory", bytes(memory.process) + (memory.limit ? `, ${bytes(memory.limit)} allowed on the device` : "")]] : [];
  return traffic ? [...used, ["groups in, out", `${bytes(traffic.pulled_bytes)}, ${bytes(traffic.served_bytes)}`]] : used;
}

function plan(found) {
  if (!found?.reasons?.length) return h("div");
  return h("details", { class: "more" }, h("summary", null, "Plan: why it runs this way"), h("ul", { class: "plainlist" }, found.reasons.map((reason) => h("li", null, reason))));
}

function listed(settings, changed) {
  const rows = [];
  const walk = (value, key) => {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) for (const [name, inner] of Object.entries(value)) walk(inner, key ? `${key}.${name}` : name);
    else rows.push([key, value === null ? "unset" : Array.isArray(value) ? value.join(", ") || "none" : String(value)]);
  };
  walk(settings, "");
  const cells = rows.map(([key, value]) => ({ cells: [h("code", null, key), value, changed.includes(key) ? "set" : "default"] }));
  return h("details", { class: "more" }, h("summary", null, "Settings"), table("Settings", ["setting", "value", "from"], cells));
}
