// A person answers what peers fail most. The peer judges, signs and publishes; the attempts are kept here until then.
import { clock, empty, h, lines, peer as peerName, plural } from "./text.js";

const SKIPPED = 512;  // questions that are not asked again while this page is open
const FATES = {
  published: (answer) => `published, pulled by ${answer.pulled_by ? plural(answer.pulled_by, "peer", "peers") : "nobody yet"}`,
  waiting: () => "waits for the next round",
  lost: () => "not published: the peer stopped before its round",
  kept: (answer) => answer.right ? "not published" : "not published: no attempt is right",
};

/** Return the peer's answer. Throws an error with a message for people, and `refused` if the peer will not take this. */
async function ask(what, wanted) {
  const answer = await fetch("play/" + what, wanted === undefined ? { cache: "no-store" }
    : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(wanted) });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(found.error ?? "The peer is not answering right now. Try again."), { refused: answer.status < 500 });
  return found;
}

export function playSection() {
  let question = null, turns = [], attempts = [], refused = false, skipped = [], names = {}, own = "";
  const notice = h("p", { role: "status", id: "play-said" }), table = h("div"), earlier = h("div");
  const text = h("textarea", { id: "play-text", rows: 3, maxlength: 4096, onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) answer(); } });
  const name = h("input", { id: "play-name", maxlength: 56, autocomplete: "off" });
  const begin = h("button", { type: "button", onclick: () => next() }, "Ask me a question");
  const send = h("button", { type: "button", onclick: () => answer() }, "Answer");
  const end = h("button", { type: "button", class: "quiet", onclick: () => finish() }, "No further attempt");
  const tries = h("ol", { class: "completions" });
  const desk = h("div", { hidden: true }, table, h("p", null, h("label", { for: "play-text" }, "Your answer"), text), h("p", { class: "row" }, send, end), tries);
  const element = h("section", { id: "play", "aria-labelledby": "play-title", hidden: true },
    h("h2", { id: "play-title" }, "Play"),
    h("p", { class: "dim" }, "Answer what peers fail most. Your answers are signed with this peer's key, and anyone can read them."),
    h("p", { class: "row" }, h("label", { for: "play-name" }, "Name in the record (may be empty) "), name, begin), desk, notice, earlier);

  const told = (words) => { notice.textContent = lines(words); };

  let busy = false;
  async function quietly(what) {
    if (busy) return;  // a key that is held down repeats
    busy = true;
    for (const button of [begin, send, end]) button.disabled = true;
    try { await what(); } catch (error) { told(error.message); } finally {
      for (const button of [begin, send, end]) button.disabled = false;
      busy = false;
      const at = document.activeElement;  // the focus leaves what is disabled or hidden
      if (at === begin || at.contains(desk) || desk.contains(at)) (desk.hidden ? begin : text).focus();
    }
  }

  const next = () => quietly(async () => {
    if (attempts.length && !refused) await close();  // what was written counts; whoever asks again after a refusal gives it up
    else told("");
    question = await ask("question", { without: skipped.slice(-SKIPPED) });
    skipped.push(question.question);
    turns = []; attempts = []; refused = false;
    const { own: mine, others } = question;
    const failed = [["This peer was", mine], ["Others were", others]].filter(([, tally]) => tally.tries)
      .map(([who, tally]) => `${who} right in ${tally.right} of ${tally.tries} tries.`);
    table.replaceChildren(h("h3", null, question.task), h("p", { class: "dim" }, failed.join(" ") || "No peer was asked this yet."), h("pre", null, question.text));
    tries.replaceChildren();
    text.value = "";
    desk.hidden = false;
  });

  const answer = () => quietly(async () => {
    if (attempts.length >= question.attempts_max) { await close(); return; }  // the last send was refused
    const written = text.value;
    if (!written.trim()) { told("Write an answer first."); return; }
    const verdict = await ask("attempt", { question: question.question, turns: [...turns, written] });
    turns.push(written);
    tries.append(h("li", null, h("pre", null, written), h("p", { class: "verdict" }, verdict.said === null ? words(verdict) : verdict.said)));
    if (text.value === written) text.value = "";
    if (verdict.said !== null) return;
    attempts.push(turns);
    turns = []; refused = false;
    if ((verdict.right && verdict.plain) || attempts.length >= question.attempts_max) await close();
  });

  const finish = () => quietly(close);

  async function close() {
    if (attempts.length) {
      try {
        told((await ask("finish", { question: question.question, attempts, name: name.value || null })).message);
      } catch (error) { refused = Boolean(error.refused); throw error; }
    } else told("");
    desk.hidden = true;
    attempts = [];
    await look();
  }

  function words(verdict) {
    if (verdict.reward === null) return "Not judged yet: the judges of this task have no opinion.";
    if (!verdict.right) return verdict.reward ? `Not right: it earns ${verdict.reward.toFixed(2)} of 1.` : "Wrong.";
    return verdict.plain ? "Right." : "Right, but not as plain as the task writes it, and most peers train only on plain answers: write it again, or send it.";
  }

  async function look() {
    const found = await ask("answers");
    const by = found.claimed.map((peer) => h("li", null, peerName(peer.peer_id, { ...names, [peer.peer_id]: peer.name }, own), ` ${peer.gain >= 0 ? "+" : ""}${peer.gain.toFixed(3)} nats for a held-out right answer, over ${peer.groups} of your answers`));
    earlier.replaceChildren(
      h("h3", null, "Your answers"),
      by.length ? h("p", null, `They taught ${found.taught_claimed ? plural(found.taught_claimed, "peer", "peers") : "nobody"}, as these say:`) : empty("No peer has said yet what they did there. Peers measure it now and then."),
      h("ul", null, by),
      found.answers.length ? h("ul", null, found.answers.slice(0, 20).map(line)) : empty("None so far."));
  }

  const line = (answer) => h("li", null, h("b", null, answer.task), ` ${answer.gist}: ${answer.right} of ${answer.attempts} right, ${FATES[answer.state](answer)}, ${clock(answer.at)}`);

  let begun = false;
  return { element, async show(state) {
    names = { ...names, ...state.names };
    own = state.status.peer_id;
    if (begun || !state.status.plays) return;
    begun = true;
    element.hidden = false;
    try { await look(); } catch { begun = false; }  // asked again with the next state
  } };
}
