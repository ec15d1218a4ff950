// The page: its sections, and what makes each of them redraw.
import { aboutSection, joinSection } from "./about.js";
import { eventsSection } from "./happenings.js";
import { lessons } from "./helping.js";
import { learningSection } from "./learning.js";
import { peers } from "./peers.js";
import { playSection } from "./play.js";
import { redraw } from "./redraw.js";
import { rolloutsSection } from "./rollouts.js";
import { connect } from "./stream.js";
import { swarmAnswers, swarmSection } from "./swarm.js";
import { clock, h, plain } from "./text.js";
import { together } from "./together.js";
import { answers } from "./well.js";

const at = (id) => document.getElementById(id);
const OBSERVED = [["members", "The swarm"], ["board", "Success"], ["rollouts", "Rollouts"], ["peers", "Peers"], ["events", "Events"], ["join", "Join"], ["settings", "This peer"]];
const TRAINING = [["learning", "Learning"], ["together", "Together"], ["rollouts", "Rollouts"], ["play", "Play"], ["peers", "Peers"], ["events", "Events"], ["join", "Join"], ["settings", "This peer"]];

const events = eventsSection(), learning = learningSection(), rollouts = rolloutsSection(), play = playSection(), join = joinSection(), about = aboutSection(), swarm = swarmSection();
const top = h("div", { id: "top" }), togetherBox = h("div"), peersBox = h("div");
const later = [swarm.element, learning.element, togetherBox, rollouts.element, play.element, peersBox, events.element, join.element, about.element];

at("main").append(top, ...later);
for (const element of later) element.hidden = true;

const drawn = new Map();

/** Render again only if what it shows has changed. */
function update(box, state, render, ...from) {
  const key = JSON.stringify(from);
  if (drawn.get(box) === key) return;
  drawn.set(box, key);
  redraw(box, render(state));
}

/** The lessons without ages, which change constantly. */
const lessonsKey = (status) => [...lessons(status)].map(([learner, teachers]) => [learner, ...teachers]);

function onState(state) {
  const { status, names } = state;
  document.title = `${status.health && !status.health.ok ? "! " : ""}${plain(names[status.peer_id] ?? "swarmd")} · swarmd`;
  at("title").textContent = plain(status.swarm ?? "swarmd");
  redraw(at("identity"), h("span", null, names[status.peer_id]), h("span", { class: "tail" }, " …" + status.peer_id.slice(-6)));
  at("identity").title = plain(status.peer_id);
  const observes = Boolean(status.swarm_view);
  update(top, state, observes ? swarmAnswers : answers, status);
  if (!status.health) return;  // still starting: the answers say so
  for (const element of later) if (element !== play.element) element.hidden = false;  // shown only where a person can play
  swarm.element.hidden = !observes;
  learning.element.hidden = togetherBox.hidden = observes;
  navigate(observes ? OBSERVED : TRAINING);
  if (observes) swarm.show(state);
  else {
    learning.show(status);
    update(togetherBox, state, together, status.groups, status.last_step, status.credit, lessonsKey(status), names);
  }
  update(peersBox, state, peers, status.peers, status.judgement?.ignored, names);
  rollouts.show(state);
  play.show(state);
  join.show(status);
  about.show(status);
}

function navigate(sections) {
  if (at("sections").childElementCount !== sections.length || at("sections").firstChild.hash !== "#" + sections[0][0]) {
    at("sections").replaceChildren(...sections.map(([id, label]) => h("a", { href: "#" + id }, label)));
  }
}

function onLink(since) {
  const link = at("link");
  link.className = "link " + (since === null ? "good" : "bad");
  const words = since === null ? "live" : typeof since === "string" ? since : `the peer has not answered since ${clock(since / 1000)}`;
  if (link.textContent !== words) link.textContent = words;  // each new text is read out
  document.body.classList.toggle("stale", since !== null);
}

connect({ onState, onEvents: (found) => events.add(found), onLink });
