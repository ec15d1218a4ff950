// Whether the peer learns: reward over its whole life, held-out success compared with the start, and each task.
import { bandChart, smoothed } from "./charts.js";
import { redraw } from "./redraw.js";
import { count, empty, h, percent, points, range, reward, s } from "./text.js";

const SPARK = { width: 180, height: 60, pad: 4 };

export function learningSection() {
  const rewards = bandChart({ title: "Reward of own groups", unit: "mean per step, 0 to 1", format: reward, tone: "own", label: "now" });
  const heldOut = bandChart({ title: "Held-out questions answered right", unit: "greedy answers to questions that nobody trains on", format: percent,
    tone: "held", label: "now" });
  const rewardBox = h("div"), heldBox = h("div"), tasks = h("div", { class: "tasks" }), tasksBox = h("div");
  const element = h("section", { id: "learning", "aria-labelledby": "learning-title" },
    h("h2", { id: "learning-title" }, "Learning"), h("div", { class: "pair" }, rewardBox, heldBox), tasksBox);

  function show(status) {
    const found = status.learning ?? {};
    const whole = found.reward?.step?.length > 1;
    showReward(whole ? found.reward : recent(status), whole);
    showHeldOut(found, status);
    showTasks(found, status);
  }

  function showReward(raw, whole) {
    const curve = smoothed(raw);
    if (curve.mean.length < 2) {
      rewardBox.replaceChildren(h("h3", null, "Reward of own groups"), empty("The curve begins with the second step, usually within a minute."));
      return;
    }
    if (!rewards.element.isConnected) rewardBox.replaceChildren(rewards.element);
    const last = curve.mean.length - 1;
    const change = `from ${reward(curve.mean[0])} at step ${count(curve.step[0])} to ${reward(curve.mean[last])} at step ${count(curve.step[last])}`;
    const band = whole ? " The band is one standard deviation between steps. The curve covers the whole life of this home." : " Only the newest steps are known.";
    rewards.show({ x: curve.step, mean: curve.mean, low: curve.low, high: curve.high, baseline: null, latest: change, note: `Smoothed over ${curve.steps === 1 ? "1 step" : count(curve.steps) + " steps"}.${band}`,
      summary: `Mean reward of own groups, ${change}.` });
  }

  function showHeldOut(found, status) {
    const curve = found.held_out, untrained = found.untrained;
    if (!curve?.step?.length) {
      const one = status.evaluation;
      heldBox.replaceChildren(h("h3", null, "Held-out questions answered right"), one
        ? empty(`${percent(one.success)} at step ${count(one.step)} (95%: ${range(one.interval)}). The curve begins with the second evaluation.`)
        : empty("The first evaluation comes within a few minutes of training. From then on this shows whether the model gets better at " +
          "questions that it never trained on, and how good it was before."));
      return;
    }
    if (!heldOut.element.isConnected) heldBox.replaceChildren(heldOut.element);
    const last = curve.step.length - 1;
    const now = `${percent(curve.success[last])} at step ${count(curve.step[last])} (95%: ${range([curve.low[last], curve.high[last]])})`;
    heldOut.show({ x: curve.step, mean: curve.success, low: curve.low, high: curve.high,
      baseline: untrained ? { value: untrained.success, label: `start ${percent(untrained.success)}` } : null, latest: now,
      note: "Each point pools the newest answer to every question. The band is its 95% interval.",
      summary: `Held-out success: ${now}` + (untrained ? `; untrained it was ${percent(untrained.success)}.` : ".") });
  }

  function showTasks(found, status) {
    const names = Object.keys(found.tasks ?? {}).length ? Object.keys(found.tasks) : Object.keys(status.evaluation?.tasks ?? {});
    if (!names.length) { tasksBox.replaceChildren(); return; }
    const everything = names.flatMap((name) => [...(found.held_out?.tasks?.[name] ?? []), found.tasks?.[name]?.untrained?.success ?? 0, found.tasks?.[name]?.now?.success ?? status.evaluation?.tasks?.[name] ?? 0]);
    const top = Math.max(0.2, ...everything);
    redraw(tasks, ...names.map((name) => task(name, found, status, top)));
    if (!tasks.isConnected) tasksBox.replaceChildren(h("h3", null, "Task by task"), tasks);
  }

  return { element, show };
}

/** The newest steps, for a status without a curve of the whole life. */
function recent(status) {
  const mean = status.reward_history ?? [];
  return { step: mean.map((_, i) => status.step - mean.length + 1 + i), mean, low: mean, high: mean };
}

function task(name, found, status, top) {
  const at = found.tasks?.[name] ?? {}, now = at.now?.success ?? status.evaluation?.tasks?.[name];
  const before = at.untrained?.success, curve = found.held_out?.tasks?.[name] ?? [];
  const change = at.trend ? `${points(at.trend.difference)} points, ${at.trend.word}` : typeof before === "number" ? `start ${percent(before)}` : "";
  const tone = { learned: "good", worse: "bad" }[at.trend?.word] ?? "dim";
  return h("article", { class: "task" },
    h("header", null, h("h4", null, broken(name)), h("span", { class: "num" }, percent(now))),
    curve.length < 2 && before === undefined ? null : spark(curve, before, top, `${name}: ${percent(now)} right now` + (typeof before === "number" ? `, ${percent(before)} untrained` : "")),
    change ? h("p", { class: tone }, change) : null);
}

/** Task names are long: allow a line break after each underscore. */
const broken = (name) => name.split("_").flatMap((part, i) => (i ? ["_", h("wbr"), part] : [part]));

/** `top` is the value at the upper edge, the same for all tasks, so that they can be compared. */
function spark(values, baseline, top, label) {
  const { width, height, pad } = SPARK;
  const y = (value) => (height - pad - value / top * (height - 2 * pad)).toFixed(1);
  const x = (i) => (pad + i * (width - 2 * pad) / Math.max(1, values.length - 1)).toFixed(1);
  const known = values.map((value, i) => [value, i]).filter(([value]) => value !== null);
  const picture = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "spark" },
    s("line", { x1: 0, x2: width, y1: y(0), y2: y(0), class: "floor" }));
  if (typeof baseline === "number") picture.append(s("line", { x1: 0, x2: width, y1: y(baseline), y2: y(baseline), class: "base" }));
  if (known.length > 1) picture.append(s("polyline", { points: known.map(([value, i]) => x(i) + "," + y(value)).join(" "), class: "curve" }));
  if (known.length) { const [value, i] = known.at(-1); picture.append(s("circle", { cx: x(i), cy: y(value), r: 3, class: "dot" })); }
  return picture;
}
