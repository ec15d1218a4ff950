// The three questions a person asks first: is it well, is it learning, is it helping.
import { count, duration, h, percent, plural, points, range, rate, reward } from "./text.js";

export const answer = (question, tone, mark, word, said, more) => h("section", { class: "answer " + tone, "aria-label": question },
  h("h2", null, question), h("p", { class: "word" }, h("span", { class: "mark", "aria-hidden": "true" }, mark), word),
  h("p", { class: "said" }, said), more);

export function answers(state) {
  const status = state.status;
  return h("div", { class: "answers" }, well(status), learning(status), helping(status));
}

function well(status) {
  if (!status.health) {
    return answer("Is it well?", "wait", "…", "Starting", `${status.phase}, for ${duration(status.uptime_s)}. ` +
      "The rest of this page fills in once the peer has joined the swarm.");
  }
  const { ok, reasons } = status.health;
  const saved = status.disk?.saved_step > 0 ? `saved at step ${count(status.disk.saved_step)}` : "nothing saved yet";
  const pace = status.steps_per_minute ? `${rate(status.steps_per_minute)} per minute, ` : "";
  const facts = `Step ${count(status.step)}, ${pace}up ${duration(status.uptime_s)}, ${saved}.`;
  return ok ? answer("Is it well?", "good", "✓", "Yes", `${sentence(status.phase)}. ${facts}`, news(status))
    : answer("Is it well?", "bad", "!", "It needs you", facts, h("ul", { class: "reasons" }, reasons.map((r) => h("li", null, r))));
}

export function news(status) {  // a newer version of the swarm
  return status.news ? h("p", { class: "said" }, sentence(status.news)) : undefined;
}

const sentence = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

const WORDS = { learned: ["good", "✓", "Yes"], worse: ["bad", "!", "It got worse"] };

function learning(status) {
  const found = status.learning ?? {}, now = found.now ?? status.evaluation ?? null, mean = status.reward?.mean_20;
  const rewardNow = typeof mean === "number" ? `Reward of the last 20 steps: ${reward(mean)}.` : "";
  if (!now && found.untrained) {
    const { success, interval, questions } = found.untrained;
    return answer("Is it learning?", "wait", "…", `${percent(success)} right, untrained`, `95% interval ${range(interval)}, on ` +
      `${plural(questions, "held-out question", "held-out questions")}. The next evaluation shows what training changed. ${rewardNow}`);
  }
  if (!now) {
    return answer("Is it learning?", "wait", "…", "Not known yet", `${rewardNow} The first answer comes with the first ` +
      "evaluation on held-out questions, which nobody trains on.");
  }
  if (!found.trend) {
    const before = found.untrained ? `Untrained: ${percent(found.untrained.success)}. ` : "";
    return answer("Is it learning?", "wait", "…", `${percent(now.success)} right`, `${before}95% interval ${range(now.interval)}, on ` +
      `${plural(now.questions, "held-out question", "held-out questions")}. A trend needs the same questions a second time. ${rewardNow}`);
  }
  const [tone, mark, word] = WORDS[found.trend.word] ?? ["wait", "…", "Not clear yet"];
  const since = found.trend.since_step === 0 ? "since it began" : `since step ${count(found.trend.since_step)}`;
  const [low, high] = found.trend.interval;
  return answer("Is it learning?", tone, mark, word, h("span", null,
    found.untrained ? h("b", null, `${percent(found.untrained.success)} → ${percent(now.success)}`) : h("b", null, percent(now.success)),
    ` of held-out questions right. ${points(found.trend.difference)} points ${since} (95%: ${points(low)} to ${points(high)}), `,
    `on ${count(found.trend.questions)} questions. ${rewardNow}`));
}

function helping(status) {
  const found = status.helping, published = `${plural(status.groups?.published ?? 0, "group", "groups")} published.`;
  const answered = (tone, mark, word, said) => answer("Is it helping?", tone, mark, word, said);
  if (!status.peers?.length && !found?.pulls) {
    return answered("wait", "…", "Nobody is here yet", "It trains alone. Others join with the command at the end of this page.");
  }
  if (!found) return answered("wait", "…", "Not known yet", `${published} This version does not count who pulled them.`);
  const pulled = found.pulled_by ? `${plural(found.pulled_by, "peer has", "peers have")} pulled ${count(found.pulls)} of them.` : "Nobody has pulled one yet.";
  const trained = found.trained_on_by_claimed
    ? `${plural(found.trained_on_by_claimed, "peer says that it", "peers say that they")} trained on ${count(found.groups_trained_on_claimed)}.`
    : "No peer has said yet that it trained on one.";
  if (found.pulled_by) return answered("good", "✓", "Yes", `${published} ${pulled} ${trained}`);
  return answered("wait", "…", "Not yet", `${published} ${pulled} ${trained}`);
}
