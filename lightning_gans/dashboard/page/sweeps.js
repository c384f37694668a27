// Sweeps: which parameters matter, what the objective did, every trial.

import { aim, badness, choice, count, fill, h, labelled, number, parts, refill, shorten, status } from "page/dom.js";
import { ask, runs } from "page/data.js";
import { draw as plot, discard, ink, layout } from "page/chart.js";
import { along, look } from "page/palette.js";
import { parallel } from "page/parallel.js";
import { get, joined, link, set } from "page/state.js";
import { table } from "page/table.js";

/** The view's element and how it is renewed. */
export function sweepsView() {
  const element = h("div", { class: "sweeps" });
  let shown = null;
  let round = 0;
  async function draw(changed) {
    const mine = ++round;
    const all = await ask("sweeps");
    if (!all?.length) return void fill(element, h("p", { class: "hint" }, "There are no sweeps below this folder yet; lightning sweep starts one."));
    const name = all.some((each) => each.name === get("sweep")) ? get("sweep") : all[0].name;
    const [sweep, weights] = [await ask(`sweep/${name}`), await ask(`importance/${name}`)];
    if (mine !== round || !sweep) return;
    const now = JSON.stringify([all, sweep, weights, get("best"), get("trial"), get("trials"), get("loss"), changed === null]);
    if (now === shown && element.firstChild && !(changed && changed.has("view"))) return;
    shown = now;
    element.querySelectorAll(".chart").forEach(discard);
    await build(element, all, name, sweep, weights ?? { method: "", parameters: {} }, () => mine === round);
  }
  let width = 0;
  window.addEventListener("resize", () => {
    if (element.isConnected && width !== window.innerWidth) { width = window.innerWidth; shown = null; draw(null); }
  });
  return { element, draw };
}

/** Put all of a sweep into `element`; charts are left out once this is not what is wanted any more. */
async function build(element, all, name, sweep, weights, wanted) {
  const goal = { minimize: "minimize", maximize: "maximize" }[sweep.metric.goal] ?? sweep.metric.goal;
  const done = sweep.trials.filter(isDone);
  const best = [...done].sort((a, b) => badness(a.value, goal) - badness(b.value, goal));
  const ranks = new Map(best.map((trial, i) => [trial.number, best.length > 1 ? i / (best.length - 1) : 0]));
  const names = [...new Set(sweep.trials.flatMap((trial) => Object.keys(trial.parameters)))]
    .filter((key) => new Set(sweep.trials.map((trial) => JSON.stringify(trial.parameters[key]))).size > 1)
    .sort((a, b) => (weights.parameters[b] ?? 0) - (weights.parameters[a] ?? 0));
  const objective = parts(sweep.metric.name).short;
  const short = shorten(names);
  const head = [heading(all, name, sweep, goal, best, short, objective)];
  if (!done.length) {
    refill(element, head, h("p", { class: "hint" }, "No trial is complete yet."), trials(sweep, goal, short, objective));
    return;
  }
  // All there from the start, for each chart takes the width that its panel has when it is drawn.
  const charts = new Map([...short.keys()].map((key) => [key, h("div", { class: "chart" })]));
  const panels = h("div", { class: "panels" }, [...short].map(([key, text]) => h("section", { class: "panel", "aria-label": `${objective} against ${key}` }, h("h3", { title: key }, h("span", null, text)), charts.get(key))));
  refill(element, head, coordinates(sweep, done, best, ranks, short, objective), h("div", { class: "columns" }, importance(weights, short), h("section", { class: "block" }, h("h3", null, "Objective over trials"), h("div", { class: "chart" }))),
    h("section", { class: "block" }, h("h3", null, `${objective} against each parameter`), panels), trials(sweep, goal, short, objective));
  await history(element.querySelector(".columns .chart"), sweep, goal, objective);
  for (const [key, text] of short) if (wanted()) await against(charts.get(key), sweep, done, ranks, key, text, objective);
}

function heading(all, name, sweep, goal, best, short, objective) {
  const states = new Map();
  for (const trial of sweep.trials) states.set(trial.state, (states.get(trial.state) ?? 0) + 1);
  return h("header", { class: "block" },
    h("div", { class: "tools" }, labelled("Sweep", choice(all.map((each) => [each.name, each.name]), name, (value) => set({ sweep: value, trial: null, best: null }), { "data-focus": "sweep" })),
      labelled("Objective on a log scale", h("input", { type: "checkbox", checked: get("loss") === "log", "data-focus": "log", onchange: (event) => set({ loss: event.target.checked ? "log" : null }) })),
      h("p", { class: "soft" }, `${sweep.method} search, ${aim(goal).words || goal}: `, h("code", null, sweep.metric.name)),
      h("p", null, [...states].map(([state, n]) => [status(state), ` ${n}  `]))),
    best.length ? h("p", { class: "best" }, `Best: trial ${best[0].number}, ${objective} `, h("strong", null, number(best[0].value)),
      best[0].low !== null && best[0].low !== undefined ? ` (${number(best[0].low)} to ${number(best[0].high)})` : best[0].spread ? ` ± ${number(best[0].spread)}` : "",
      ` with ${[...short].map(([key, text]) => `${text} ${plain(best[0].parameters[key])}`).join(", ")} · `, h("a", { href: toRuns(best[0].runs), "data-focus": "best" }, "its runs")) : null);
}

/** Whether a trial has its value, and so its place in the pictures. */
function isDone(trial) {
  return trial.state === "complete" && typeof trial.value === "number";
}

/** A value; of a class or function its last name. */
function last(value) {
  return typeof value === "string" ? value.split(".").at(-1) : value;
}

function plain(value) {
  return number(last(value));
}

/** The address of the run table with some runs selected. */
function toRuns(some) {
  return link({ view: "runs", sel: joined(some), filter: null, status: null });
}

/** Emphasise a trial, or no more. */
function press(trial) {
  set({ trial: get("trial") === String(trial.number) ? null : trial.number });
}

function isLog(sweep, key) {
  return String(sweep.parameters[key]?.distribution ?? "").includes("log");
}

function coordinates(sweep, done, best, ranks, short, objective) {
  const most = Math.min(Number(get("best")) || Math.ceil(done.length / 4), done.length);
  const axes = [...[...short].map(([key, name]) => ({ name, log: isLog(sweep, key), value: (trial) => last(trial.parameters[key]) ?? "–" })), { name: objective, log: get("loss") === "log", value: (trial) => trial.value }];
  const bright = new Set(best.slice(0, most).map((trial) => trial.number));
  const told = h("output", null, String(most));
  const slider = h("input", { type: "range", min: 1, max: done.length, value: most, id: "bright", "data-focus": "bright", oninput: () => { told.value = slider.value; }, onchange: () => set({ best: slider.value }) });
  const picture = parallel({
    axes, trials: done, rank: (trial) => ranks.get(trial.number), bright: (trial) => bright.has(trial.number), chosen: get("trial") === "" ? null : Number(get("trial")),
    choose: press, words: `Parallel coordinates of ${done.length} complete trials over ${[...short.values()].join(", ")} and ${objective}; the best has ${number(best[0].value)}. The table below has every value.`,
    space: document.getElementById("main").clientWidth - 64,
  });
  return h("section", { class: "block" }, h("div", { class: "tools" }, h("h3", null, "Parallel coordinates"), labelled("Emphasise the best", slider, told), h("p", { class: "ramp" }, "best ", h("span", { style: `background:linear-gradient(90deg,${[0, 0.33, 0.67, 1].map(along).join(",")})` }), " worst")), picture);
}

function importance(weights, short) {
  const most = Math.max(...Object.values(weights.parameters), 1e-9);
  const bars = [...short].filter(([key]) => key in weights.parameters).map(([key, name]) => h("tr", null, h("th", { scope: "row", title: key }, name),
    h("td", null, h("div", { class: "meter", "aria-hidden": "true" }, h("span", { style: `width:${(100 * weights.parameters[key]) / most}%` }))), h("td", { class: "number" }, number(Number(weights.parameters[key].toPrecision(2))))));
  const explained = typeof weights.explained === "number" ? ` The forest explains ${Math.round(100 * Math.max(weights.explained, 0))} % of the variance of held-out trials${weights.explained < 0.2 ? ": too little to trust these" : ""}.` : "";
  return h("section", { class: "block" }, h("h3", null, "Parameter importance"), bars.length ? h("table", { class: "bars" }, h("caption", { class: "hidden" }, "Importance of each parameter"), h("tbody", null, bars)) : null,
    h("p", { class: "soft" }, `${weights.method[0]?.toUpperCase() ?? ""}${weights.method.slice(1)}.${explained}`));
}

async function history(element, sweep, goal, objective) {
  const done = sweep.trials.filter(isDone).sort((a, b) => a.number - b.number);
  let lead = null;
  const leads = done.map((trial) => (lead = lead === null || badness(trial.value, goal) < badness(lead, goal) ? trial.value : lead));
  const [point, line] = [look(0), look(1)];
  await plot(element, [
    { x: done.map((t) => t.number), y: done.map((t) => t.value), mode: "markers", marker: { color: point.colour, size: 7 }, name: "trial", error_y: spread(done) },
    { x: done.map((t) => t.number), y: leads, mode: "lines", line: { shape: "hv", color: line.colour, width: 2 }, name: "best so far" },
  ], layout({ text: "trial" }, objectiveAxis(objective), { showlegend: true, legend: { orientation: "h", y: 1.12 } }), `${objective} of ${done.length} trials in order; the best so far ends at ${number(leads.at(-1))}`);
}

function objectiveAxis(objective) {
  return { text: objective, type: get("loss") === "log" ? "log" : "linear", exponentformat: "e" };
}

/** Intervals over the seeds of each trial, where there are several. */
function spread(some) {
  if (!some.some((trial) => typeof trial.low === "number")) return undefined;
  return { type: "data", symmetric: false, array: some.map((t) => (t.high ?? t.value) - t.value), arrayminus: some.map((t) => t.value - (t.low ?? t.value)), thickness: 1, width: 0, color: ink("soft") };
}

async function against(chart, sweep, done, ranks, key, name, objective) {
  const values = done.map((trial) => trial.parameters[key]);
  const numeric = values.every((value) => typeof value === "number");
  const marks = sweep.parameters[key]?.values?.length <= 6 ? [...new Set(values)] : isLog(sweep, key) ? decades(values) : null;
  const ticks = numeric && marks ? { tickvals: marks, ticktext: marks.map(number) } : {};
  await plot(chart, [{
    x: numeric ? values : values.map((value) => String(last(value))), y: done.map((trial) => trial.value), mode: "markers", text: done.map((trial) => `trial ${trial.number}`), error_y: spread(done),
    marker: { size: 8, color: done.map((trial) => along(ranks.get(trial.number))), line: { width: done.map((trial) => (String(trial.number) === get("trial") ? 3 : 0.5)), color: ink("ink") } }, hovertemplate: "%{text}<br>%{x}: %{y}<extra></extra>",
  }], layout({ type: numeric ? (isLog(sweep, key) ? "log" : "linear") : "category", text: name, exponentformat: "e", nticks: 6, tickangle: 0, ...ticks }, objectiveAxis(objective)), `${objective} against ${key}, ${done.length} trials`);
}

/** Round numbers between the least and the greatest value: the powers of ten, with 2 and 5 where these are few. */
function decades(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const powers = Array.from({ length: 40 }, (_, i) => 10 ** (i - 20)).filter((power) => power > low / 10 && power <= high);
  const all = (factors) => powers.flatMap((power) => factors.map((factor) => factor * power)).filter((value) => value >= low && value <= high);
  return [all([1]), all([1, 3]), all([1, 2, 5])].find((some) => some.length >= 3) ?? all([1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

function trials(sweep, goal, short, objective) {
  const columns = [
    { id: "number", title: "Trial", value: (trial) => trial.number, rowhead: true, cell: (trial) => !isDone(trial) ? trial.number : h("button", {
      type: "button", class: "small", "data-focus": `trial ${trial.number}`, "aria-label": `Emphasise trial ${trial.number}`, "aria-pressed": String(String(trial.number) === get("trial")), onclick: () => press(trial),
    }, trial.number) },
    { id: "state", title: "State", value: (trial) => trial.state, cell: (trial) => status(trial.state) },
    { id: "value", title: `${objective} ${aim(goal).sign}`, number: true, descending: goal === "maximize", value: (trial) => trial.value },
    sweep.trials.some((trial) => trial.values?.length > 1) && { id: "spread", title: "Over seeds", number: true, value: (trial) => trial.spread, cell: (trial) => (trial.values?.length > 1 ? `${trial.values.map(number).join(", ")}` : "–") },
    ...[...short].map(([key, title]) => ({ id: key, title, hint: key, number: typeof sweep.trials[0]?.parameters[key] === "number", value: (trial) => last(trial.parameters[key]) })),
    { id: "samples", title: "Samples", number: true, value: (trial) => trial.samples_seen, cell: (trial) => count(trial.samples_seen) },
    sweep.trials.some((trial) => trial.message) && { id: "message", title: "Message", value: (trial) => trial.message ?? "", cell: (trial) => trial.message || "–" },
    { id: "runs", title: "Runs", value: null, cell: (trial) => { const there = trial.runs.filter((run) => runs.has(run)); return there.length ? h("a", { href: toRuns(there), "data-focus": `runs ${trial.number}` }, `show ${there.length}`) : "–"; } },
  ].filter(Boolean);
  const holder = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Trials, scrollable" });
  const draw = (sort) => refill(holder, table({
    columns, rows: sweep.trials, sort, caption: "Trials, one a row", onsort: (value) => { set({ trials: value }); draw(value); },
    row: (trial) => ({ "data-trial": trial.number, class: isDone(trial) ? (String(trial.number) === get("trial") ? "drawn selected" : "drawn") : null, onclick: (event) => { if (isDone(trial) && !event.target.closest("a, button")) press(trial); } }),
  }));
  draw(get("trials", goal === "maximize" ? "-value" : "value"));
  return h("section", { class: "block" }, h("h3", null, "Trials"), holder);
}
