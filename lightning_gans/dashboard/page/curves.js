// Curves of the selected runs, one panel a metric.

import { aim, choice, fill, h, labelled, number, parts } from "page/dom.js";
import { ask, metrics, plotly, runs } from "page/data.js";
import { discard, draw, ink, layout } from "page/chart.js";
import { faint, look, swatch } from "page/palette.js";
import { band, curve, grouped, smoothed } from "page/series.js";
import { get, list, selected, set } from "page/state.js";
import { table } from "page/table.js";

const FEW = 6;
const LIKED = ["train/discriminator_loss", "train/generator_loss", "train/loss", "train/nll", "captured_chi2", "high_quality_chi2", "corrected", "fd_digits", "fd_mnist", "reverse_kl", "val/nll"];
const BANDS = { range: "band: least to greatest of the seeds", interval: "band: 95 % interval of the mean (Student's t over the seeds)" };
const BROKEN = "; a mean breaks where a seed begins or ends";

/** Metrics that the selected runs have, and those of them that are shown. */
function offered(chosen) {
  const there = metrics.filter((metric) => chosen.some(({ run }) => metric.name in run.metrics));
  const rank = (name) => { const i = LIKED.findIndex((liked) => name === liked || name.endsWith(`/${liked}`)); return i < 0 ? 99 : i; };
  const usual = there.filter((metric) => rank(metric.name) < 99).sort((a, b) => rank(a.name) - rank(b.name)).slice(0, FEW);
  const wanted = list("metrics");
  return { there, shown: wanted.length ? there.filter((metric) => wanted.includes(metric.name)) : usual.length ? usual : there.slice(0, FEW) };
}

/** The tab's element and how it is renewed. */
export function curvesTab() {
  const tools = h("div", { class: "tools" });
  const key = h("ul", { class: "key" });
  const panels = h("div", { class: "panels" });
  const numbers = h("details", { class: "numbers" }, h("summary", null, "The same as a table"), h("div", { class: "scroll" }));
  const element = h("div", { class: "tab curves" }, tools, key, panels, numbers);
  const kept = new Map();
  let round = 0;
  async function renew() {
    const mine = ++round;
    plotly(); // it comes while the curves do
    const chosen = selected().map(({ id, slot }) => ({ id, slot, run: runs.get(id) })).filter(({ run }) => run);
    const answers = new Map(await Promise.all(chosen.map(async ({ id }) => [id, await ask(`curves/${id}`)])));
    if (mine !== round) return; // asked again meanwhile
    const { there, shown } = offered(chosen);
    const busy = tools.contains(document.activeElement) || tools.querySelector("details[open]");
    if (!busy || !tools.children.length) fill(tools, controls(there, shown));
    const groups = get("seeds") ? grouped(chosen) : chosen.map((each) => ({ name: each.id, slot: each.slot, runs: [each] }));
    fill(key, legend(groups));
    for (const [name, panel] of kept) if (!shown.some((metric) => metric.name === name)) { discard(panel.chart); panel.element.remove(); kept.delete(name); }
    if (!chosen.length) return void fill(panels, h("p", { class: "hint" }, "Select runs in the table to see their curves."));
    panels.querySelector(".hint")?.remove();
    const rows = [];
    for (const metric of shown) {
      const panel = kept.get(metric.name) ?? frame(metric);
      kept.set(metric.name, panel);
      panels.append(panel.element);
      rows.push(...await paint(panel, metric, groups, answers));
      if (mine !== round) return;
    }
    fill(numbers.lastChild, table({ columns: NUMBERS, rows, caption: "Last, least and greatest value of each curve" }));
  }
  return { element, draw: renew };
}

const NUMBERS = [
  { id: "metric", title: "Metric", value: (row) => row.metric, rowhead: true }, { id: "run", title: "Run or group", value: (row) => row.name },
  { id: "last", title: "Last", number: true, value: (row) => row.last, cell: (row) => (row.diverged ? "diverged" : number(row.last)) }, { id: "least", title: "Least", number: true, value: (row) => row.least },
  { id: "most", title: "Greatest", number: true, value: (row) => row.most }, { id: "points", title: "Points", number: true, value: (row) => row.points },
];

function controls(there, shown) {
  const bands = choice([["range", "least to greatest"], ["interval", "95 % of the mean"]], get("band", "range"), (value) => set({ band: value }));
  bands.disabled = get("seeds") !== "1";
  const axes = [["samples", "samples seen"], ["time", "training time"]];
  const smoothing = h("output", null, get("smooth", "0"));
  const picks = h("div", { class: "choices" }, families(there).map(([family, some]) => h("fieldset", null, h("legend", null, family || "other"), some.map((metric) =>
    h("label", { title: metric.name }, h("input", {
      type: "checkbox", checked: shown.includes(metric), onchange: (event) => {
        const now = list("metrics").length ? list("metrics") : shown.map((each) => each.name);
        set({ metrics: event.target.checked ? [...now, metric.name] : now.filter((name) => name !== metric.name) });
      },
    }), parts(metric.name).short, " ", h("small", null, parts(metric.name).protocol))))));
  const zoom = (name, text) => labelled(text, h("input", { type: "number", min: 0, class: "short", value: get(name), onchange: (event) => set({ [name]: event.target.value }) }));
  return [
    h("details", { class: "menu" }, h("summary", null, "Metrics"), picks),
    labelled("Over", choice(axes, get("x", "samples"), (value) => set({ x: value, from: null, to: null }))),
    labelled("Smoothing", h("input", {
      type: "range", min: 0, max: 0.995, step: 0.005, value: get("smooth", "0"), id: "smoothing",
      oninput: (event) => { smoothing.value = event.target.value; set({ smooth: Number(event.target.value) || null }); },
    }), smoothing),
    labelled("Log scale", h("input", { type: "checkbox", checked: get("log") === "1", onchange: (event) => set({ log: event.target.checked ? 1 : null }) })),
    labelled("Mean over seeds", h("input", {
      type: "checkbox", checked: get("seeds") === "1", onchange: (event) => { bands.disabled = !event.target.checked; set({ seeds: event.target.checked ? 1 : null }); },
    })),
    labelled("Band", bands),
    h("details", { class: "menu" }, h("summary", null, get("from") || get("to") ? "Zoomed" : "Zoom"), h("div", { class: "choices" },
      h("p", { class: "soft" }, "Drag across a panel, or give the range:"),
      h("div", { class: "row" }, zoom("from", "From"), zoom("to", "to")),
      h("button", { type: "button", onclick: () => set({ from: null, to: null }) }, "Whole range"))),
    get("from") || get("to") ? h("button", { type: "button", onclick: () => set({ from: null, to: null }) }, "Whole range") : null,
  ];
}

function families(there) {
  const groups = new Map();
  for (const metric of there) groups.set(parts(metric.name).family, [...(groups.get(parts(metric.name).family) ?? []), metric]);
  return [...groups];
}

function legend(groups) {
  const items = groups.map(({ name, slot, runs: some }) => {
    const item = h("li");
    item.innerHTML = swatch(slot);
    item.append(name, some.length > 1 ? ` and ${some.length - 1} more seed${some.length > 2 ? "s" : ""}` : "");
    if (some.length > 1) item.title = some.map(({ id }) => id).join(", ");
    return item;
  });
  const [joined, uneven] = [groups.filter((group) => group.runs.length > 1), (group) => new Set(group.runs.map(({ run }) => run.samples)).size > 1];
  if (joined.length) items.push(h("li", { class: "note" }, BANDS[get("band", "range")], joined.some(uneven) && BROKEN));
  if (Number(get("smooth", "0")) && joined.length < groups.length) items.push(h("li", { class: "note" }, "pale: not smoothed"));
  return items;
}

function frame(metric) {
  const { family, protocol, short } = parts(metric.name);
  const { words } = aim(metric.goal);
  const chart = h("div", { class: "chart" });
  const element = h("section", { class: "panel", "data-metric": metric.name, "aria-label": metric.name },
    h("h3", { title: metric.name }, h("span", null, family === "train" || family === "val" ? `${family}/${short}` : short), h("small", null, [protocol, words].filter(Boolean).join(" · "))), chart);
  return { element, chart };
}

/** The line around a band: up along the greatest values, back along the least, around each stretch between gaps. */
function outline({ x, low, high }) {
  const gaps = [...x.keys()].filter((i) => x[i] === null);
  const stretches = [-1, ...gaps].map((gap, i) => [gap + 1, gaps[i] ?? x.length]);
  const around = (there, back) => stretches.flatMap(([from, to], i) => [...(i ? [null] : []), ...there.slice(from, to), ...back.slice(from, to).toReversed()]);
  return { x: around(x, x), y: around(high, low) };
}

async function paint(panel, metric, groups, answers) {
  const axis = get("x", "samples");
  const weight = Number(get("smooth", "0"));
  const traces = [];
  const rows = [];
  for (const { name, slot, runs: some } of groups) {
    const curves = some.map(({ id }) => curve(answers.get(id), metric.name, axis)).filter(({ x }) => x.length);
    if (!curves.length) continue;
    const { colour, dash } = look(slot);
    const line = { color: colour, dash, width: 1.8 };
    const averaged = () => some.map(({ id }) => smoothed(answers.get(id), metric.name, axis, weight)).filter(({ x }) => x.length);
    let [shown, own] = [curves[0], name];
    if (curves.length > 1) {
      const joined = band(averaged(), get("band", "range"));
      if (!joined.x.length) continue;
      const counts = [...new Set(joined.n.filter(Boolean))].sort((a, b) => a - b);
      [shown, own] = [{ x: joined.x, y: joined.mean, text: joined.n.map((n) => `mean of ${n}`) }, `mean of ${counts.length > 1 ? `${counts[0]} to ${counts.at(-1)}` : counts[0]}: ${name}`];
      traces.push({ ...outline(joined), fill: "toself", fillcolor: faint(colour, 0.18), line: { width: 0 }, mode: "lines", hoverinfo: "skip" });
    } else if (weight) {
      traces.push({ ...curves[0], mode: "lines", line: { ...line, color: faint(colour, 0.3), width: 1, dash: "solid" }, hoverinfo: "skip" });
      shown = averaged()[0];
    }
    const mode = shown.x.length < 25 ? "lines+markers" : "lines";
    traces.push({ ...shown, mode, line, marker: { size: 4, color: colour }, name: own });
    const values = shown.y.filter((value) => value !== null);
    const diverged = some.filter(({ run }) => run.metrics[metric.name]?.[0] === null).length;
    rows.push({ metric: metric.name, name: own, diverged, last: diverged ? null : values.at(-1), least: values.reduce((a, b) => Math.min(a, b), Infinity), most: values.reduce((a, b) => Math.max(a, b), -Infinity), points: values.length });
  }
  const ideals = [...new Set(groups.flatMap((group) => group.runs.map(({ id }) => answers.get(id)?.ideals[metric.name])).filter((ideal) => typeof ideal === "number"))];
  const text = axis === "time" ? "seconds of training" : "samples seen";
  const range = get("from") || get("to") ? [Number(get("from", "0")), Number(get("to")) || Math.max(...traces.flatMap(({ x }) => x.at(-1) ?? 0))] : undefined;
  const guides = ideals.slice(0, 3).map((ideal) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: ideal, y1: ideal, line: { color: ink("soft"), width: 1, dash: "dot" } }));
  const labels = ideals.slice(0, 1).map((ideal) => ({ xref: "paper", x: 1, y: get("log") ? Math.log10(ideal) : ideal, text: `ideal ${number(ideal)}`, showarrow: false, xanchor: "right", yanchor: "bottom", font: { size: 10, color: ink("soft") } }));
  const log = get("log") === "1";
  const looks = layout({ text, rangemode: "tozero", range, autorange: !range }, { type: log ? "log" : "linear", ...(log ? { dtick: undefined } : {}) }, {
    shapes: log ? guides.filter(({ y0 }) => y0 > 0) : guides, annotations: log && !(ideals[0] > 0) ? [] : labels, dragmode: "zoom", uirevision: "kept",
  });
  looks.yaxis.fixedrange = true;
  const told = rows.map((row) => (row.diverged ? `${row.name} has diverged` : `${row.name} ends at ${number(row.last)}`)).join("; ");
  await draw(panel.chart, traces, looks, `${metric.name} over ${text}${ideals.length ? `, ideal ${number(ideals[0])}` : ""}: ${told || "no values"}`);
  if (!panel.listens) {
    panel.listens = true;
    panel.chart.on("plotly_relayout", (change) => {
      const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (from !== undefined) set({ from: Math.max(0, Math.round(from)), to: Math.round(to) });
    });
    panel.chart.on("plotly_doubleclick", () => set({ from: null, to: null }));
  }
  return rows;
}
