// The columns of the run table, and which runs a filter lets through.

import { aim, badness, count, duration, h, moment, number, parts, status } from "page/dom.js";
import { base, differing, metrics, runs } from "page/data.js";
import { get, link, list } from "page/state.js";

const FACTS = {
  name: { title: "Run", rowhead: true, value: (run) => run.id, cell: (run) => h("a", { href: link({ tab: "run", run: run.id }), "data-focus": `run ${run.id}` }, run.id) },
  status: { title: "Status", value: (run) => run.status, cell: (run) => [status(run.status, run.why), run.warnings ? h("span", { class: "warned", title: `${run.warnings} warning(s)` }, ` ⚠ ${run.warnings}`, h("span", { class: "hidden" }, run.warnings === 1 ? " warning" : " warnings")) : null] },
  started: { title: "Started", descending: true, value: (run) => run.started, cell: (run) => moment(run.started) },
  seconds: { title: "Trained", number: true, descending: true, hint: "time spent training, without pauses", value: (run) => run.seconds, cell: (run) => duration(run.seconds) },
  samples: { title: "Samples", number: true, descending: true, hint: "training samples seen", value: (run) => run.samples, cell: (run) => count(run.samples) },
  batches: { title: "Batches", number: true, descending: true, value: (run) => run.batches, cell: (run) => count(run.batches) },
  warnings: { title: "Warnings", number: true, descending: true, value: (run) => run.warnings },
};

const LIKED = ["fd_digits", "fd_mnist", "fid", "captured_chi2", "high_quality_chi2", "corrected", "bits_per_dimension", "val/nll", "val/loss"];

/** Columns that are shown until others are chosen: what most runs are judged by. */
export function usual() {
  const seen = (metric) => [...runs.values()].filter((run) => metric.name in run.metrics).length;
  const rank = (metric) => LIKED.findIndex((name) => metric.name.endsWith(name));
  const liked = metrics.filter((metric) => rank(metric) >= 0).sort((a, b) => seen(b) - seen(a) || rank(a) - rank(b));
  const rest = metrics.filter((metric) => metric.goal !== null && rank(metric) < 0 && !metric.name.startsWith("gradients/")).sort((a, b) => seen(b) - seen(a));
  const three = [...liked, ...rest].slice(0, 3).map((metric) => `${rank(metric) < 0 || metric.goal === null ? "last" : "best"}:${metric.name}`);
  return ["name", "status", ...three, "samples", "seconds", "started"];
}

/** The columns that are shown now. */
export function shown() {
  const ids = list("cols").length ? list("cols") : usual();
  return ids.map(column).filter(Boolean);
}

/** Every column there is to choose from, by group: facts, metrics, and settings that differ. */
export function available() {
  const measured = metrics.flatMap((metric) => (metric.goal === null ? ["last"] : ["best", "last"]).map((which) => `${which}:${metric.name}`));
  return { Facts: Object.keys(FACTS), Metrics: measured, Settings: differing([...runs.values()]).map((key) => `set:${key}`) };
}

/** A column by its id: a fact, best:<metric>, last:<metric> or set:<setting>. */
export function column(id) {
  if (Object.hasOwn(FACTS, id)) return { id, ...FACTS[id] };
  const [kind, name] = [id.slice(0, id.indexOf(":")), id.slice(id.indexOf(":") + 1)];
  if (kind === "set") return setting(id, name);
  const metric = metrics.find((each) => each.name === name);
  return metric && (kind === "best" || kind === "last") ? measure(id, kind, metric) : null;
}

function setting(id, key) {
  const value = (run) => run.config[key];
  return {
    id, title: key.split(".").slice(-2).join("."), hint: key, value: (run) => plain(value(run)),
    number: [...runs.values()].some((run) => typeof value(run) === "number"),
    cell: (run) => (value(run) === undefined ? "–" : typeof value(run) === "number" ? number(value(run)) : plain(value(run))),
    mark: (run) => (key in run.own && key in base ? "differs" : null),
  };
}

/** A setting as it is written in a config. */
export function plain(value) {
  return typeof value === "number" ? value : value === undefined ? "" : value === null ? "null" : String(value);
}

function measure(id, which, metric) {
  const { protocol, short, family } = parts(metric.name);
  const { sign, words } = aim(metric.goal);
  const value = (run) => run.metrics[metric.name]?.[which === "best" ? 1 : 0];
  const all = metric.goal === null ? [] : [...runs.values()].map(value).filter((each) => typeof each === "number");
  const least = Math.min(...all.map((each) => badness(each, metric.goal)));
  const leaders = all.filter((each) => badness(each, metric.goal) === least).length;
  return {
    id, number: true, value, title: `${family === "train" || family === "val" ? `${family}/` : ""}${short}\u00a0${sign}`, note: [which, protocol].filter(Boolean).join(" · "),
    hint: `${metric.name}, ${which} value${words && `; ${words}`}`, descending: metric.goal === "maximize",
    mark: (run) => (2 * leaders < all.length && typeof value(run) === "number" && badness(value(run), metric.goal) === least ? "leads" : null),
    cell: (run) => {
      const at = which === "best" && run.metrics[metric.name]?.[2];
      return at ? h("span", { title: `after ${count(at)} samples` }, number(value(run))) : number(value(run));
    },
  };
}

/** Whether a run is let through. Words must all be in its name, status, model or data, -words must not; key=value,
 * key<value and key>value compare a setting (by the end of its name) or a metric's last value. */
function matcher(text) {
  const tests = text.trim().split(/\s+/).filter(Boolean).map((word) => {
    const [, key, sign, wanted] = word.match(/^([^=<>!]+)(!=|<=|>=|=|<|>)(.*)$/) ?? [];
    if (!sign) {
      const not = word.length > 1 && word.startsWith("-");
      const low = word.slice(not ? 1 : 0).toLowerCase();
      return (run) => [run.id, run.status, run.config.model, run.config.data].some((each) => String(each ?? "").toLowerCase().includes(low)) !== not;
    }
    return (run) => values(run, key).some((value) => holds(value, sign, wanted)) !== (sign === "!=");
  });
  return (run) => tests.every((test) => test(run));
}

function values(run, key) {
  const names = [];
  for (const name in run.config) if (name === key || name.endsWith(`.${key}`)) names.push(run.config[name]);
  for (const [name, value] of Object.entries(run.metrics)) if (name === key || name.endsWith(`/${key}`)) names.push(value[0]);
  if (key === "status") names.push(run.status);
  if (key === "samples" || key === "batches" || key === "warnings" || key === "seconds") names.push(run[key]);
  return names.filter((value) => value !== undefined);
}

function holds(value, sign, wanted) {
  if (sign === "=" || sign === "!=") {
    return typeof value === "number" ? value === Number(wanted) : String(value).toLowerCase() === wanted.toLowerCase();
  }
  const [a, b] = [Number(value), Number(wanted)];
  return sign === "<" ? a < b : sign === ">" ? a > b : sign === "<=" ? a <= b : a >= b;
}

/** The runs that the filter and the status let through. */
export function filtered() {
  const lets = matcher(get("filter"));
  const wanted = get("status");
  return [...runs.values()].filter((run) => (!wanted || run.status === wanted) && lets(run));
}
