// Curves with a band, on uPlot: labels on the curves themselves, a readout under the pointer, and the same as a table.
import { redraw } from "./redraw.js";
import { count, h, table } from "./text.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const FONT = "12px system-ui, sans-serif";
const LABEL_PX = 74;    // room for labels right of the last point
const SMOOTHED = 12;  // a curve is smoothed over one in this many of its points
const TABLE_ROWS = 24;  // rows of a chart's table; a longer curve is thinned out
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7];

/**
 * A chart of `mean` with a band from `low` to `high` over `x`, both kept from 0 up.
 * `show({x, mean, low, high, baseline, summary, latest, note})` draws; `baseline` is {value, label} or null.
 */
export function bandChart({ title, unit, format, tone, label, time = false }) {
  const plot = h("div", { class: "plot", role: "img" });
  const readout = h("output", { class: "readout", "aria-live": "off" });
  const rowsBox = h("div"), asTable = h("details", { class: "as-table", ontoggle: () => tabulate() }, h("summary", null, "As a table"), rowsBox);
  const note = h("p", { class: "note" });
  const element = h("figure", { class: "chart" },
    h("figcaption", null, h("h3", null, title), h("p", { class: "dim" }, unit), readout), plot, note, asTable);
  let chart = null, shown = null, markers = false;

  const where = (x) => (time ? new Date(1000 * x).toLocaleString("en-GB") : `step ${count(x)}`);

  function options() {
    const line = colour(tone), dim = colour("dim"), rule = colour("line");
    const axis = { stroke: dim, font: FONT, ticks: { show: false }, border: { show: false } };
    return {
      width: plot.clientWidth || 320, height: plot.clientHeight || 220, padding: [14, LABEL_PX, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, fill: line, stroke: line } },
      scales: { x: { time, range: (_, low, high) => (low === high ? [low - 1, high + 1] : [low, high]) },
        y: { range: () => [0, ceiling(shown)] } },
      axes: [
        { ...axis, space: time ? 70 : 50, ...(time ? { values: (_, values) => values.map((x) => moment(x, values)) } : { incrs: STEPS, values: (_, values) => values.map(count) }), grid: { show: false }, size: 30, border: { show: true, stroke: rule, width: 1 } },
        { ...axis, grid: { stroke: rule, width: 1 }, size: 44, values: (_, values) => values.map(format) }],
      series: [{}, { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } },
        { stroke: line, width: 2, points: { show: () => markers, size: 5, fill: line, stroke: line } }],
      bands: [{ series: [1, 2], fill: colour(tone + "-band") }],
      hooks: { draw: [drawLabels], setCursor: [readOut] },
    };
  }

  function drawLabels(u) {
    const { ctx, bbox } = u, ratio = devicePixelRatio;
    const last = shown.mean.length - 1, right = bbox.left + bbox.width;
    let y = u.valToPos(shown.mean[last], "y", true);
    ctx.save();
    ctx.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    if (shown.baseline) {
      const base = u.valToPos(shown.baseline.value, "y", true);
      ctx.strokeStyle = ctx.fillStyle = colour("dim");
      ctx.lineWidth = 1.25 * ratio;
      ctx.setLineDash([4 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, base);
      ctx.lineTo(right, base);
      ctx.stroke();
      ctx.font = `${12 * ratio}px system-ui, sans-serif`;
      const apart = Math.abs(y - base) < 15 * ratio ? (y <= base ? 15 : -15) * ratio : 0;
      ctx.fillText(shown.baseline.label, right + 8 * ratio, y + (apart || base - y));
      ctx.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    }
    ctx.fillStyle = colour(tone);
    ctx.fillText(`${label} ${format(shown.mean[last])}`, right + 8 * ratio, y);
    ctx.restore();
  }

  function readOut(u) {
    const at = u.cursor.idx;
    readout.textContent = at === null || at === undefined ? shown.latest
      : `${where(shown.x[at])}: ${format(shown.mean[at])}` + (shown.low[at] < shown.high[at] ? ` (${format(shown.low[at])} to ${format(shown.high[at])})` : "");
  }

  function draw() {
    chart?.destroy();
    plot.replaceChildren();
    chart = new uPlot(options(), columns(), plot);
  }

  const columns = () => [shown.x, shown.high, shown.low, shown.mean];

  new ResizeObserver(() => { if (chart && plot.clientWidth) chart.setSize({ width: plot.clientWidth, height: plot.clientHeight }); })
    .observe(plot);
  document.addEventListener("themechange", () => { if (chart) draw(); });

  return {
    element,
    show(found) {
      shown = found;
      markers = found.x.length <= 40;
      plot.setAttribute("aria-label", found.summary);
      readout.textContent = found.latest;
      note.textContent = found.note;
      if (chart) chart.setData(columns()); else draw();
      tabulate();
    },
  };

  function tabulate() {
    if (!asTable.open) return;
    const every = Math.ceil(shown.x.length / TABLE_ROWS), end = shown.x.length - 1;
    const rows = [...shown.x.keys()].filter((i) => (end - i) % every === 0).reverse()
      .map((i) => ({ cells: [where(shown.x[i]), format(shown.mean[i]), `${format(shown.low[i])} to ${format(shown.high[i])}`] }));
    redraw(rowsBox, table(title, [time ? "time" : "step", label, "band"], rows));
  }
}

/** The time of day, or the date if the axis spans several days. */
function moment(x, values) {
  const date = new Date(1000 * x);
  return values.at(-1) - values[0] > 2 * 86400 ? date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })
    : date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** Centred means over about one in SMOOTHED of the points, so that a trend shows; `steps` says over how many. */
export function smoothed({ step, mean, low, high }) {
  const window = Math.max(1, Math.floor(mean.length / SMOOTHED)), half = Math.floor(window / 2);
  const smooth = (values) => values.map((_, i) => {
    const near = values.slice(Math.max(0, i - half), i + half + 1);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
  const last = step.length - 1, steps = Math.round((step[last] - step[0]) / Math.max(1, last) * (2 * half + 1));
  return { step, mean: smooth(mean), low: smooth(low), high: smooth(high), steps: Math.max(1, steps) };
}

/** The top of the y axis: a little above all values, so that curves use the height. Rates end at the next tenth. */
function ceiling({ high, baseline }) {
  const top = Math.max(0.15, baseline?.value ?? 0, ...high);
  return top > 1 ? Math.ceil(1.1 * top) + 1 : Math.min(1.02, Math.ceil(10.5 * top) / 10);
}
