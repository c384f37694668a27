// All there is to say of one run.

import { copier, count, duration, fill, h, moment, number, refill, status } from "page/dom.js";
import { ask, base, exported, file, runs } from "page/data.js";
import { words } from "page/pictures.js";
import { get, selected } from "page/state.js";
import { table } from "page/table.js";

const COLUMNS = [
  { id: "name", title: "Metric", rowhead: true, value: (row) => row.name },
  { id: "value", title: "Value", number: true, value: (row) => row.value },
  { id: "interval", title: "95 % interval", number: true, value: (row) => row.low, cell: (row) => (row.low === null || row.low === undefined ? "–" : `${number(row.low)} to ${number(row.high)}`) },
  { id: "ideal", title: "Ideal", number: true, value: (row) => row.ideal },
  { id: "n", title: "N", number: true, value: (row) => row.n },
  { id: "kind", title: "Of", value: (row) => [row.kind, row.protocol].filter(Boolean).join(" ") },
  { id: "samples", title: "After", number: true, value: (row) => row.samples, cell: (row) => count(row.samples) },
];

/** The run that is looked at: the one that was named, else the first that is selected. */
function meant() {
  return runs.get(get("run")) ?? runs.get(selected()[0]?.id);
}

/** The tab's element and how it is renewed. */
export function runTab() {
  const element = h("article", { class: "tab run" });
  let shown = null;
  let round = 0;
  async function draw() {
    const mine = ++round;
    const run = meant();
    if (!run) return void fill(element, h("p", { class: "hint" }, "Press a run's name in the table to see all of it."));
    const about = await ask(`run/${run.id}`);
    const now = JSON.stringify([run, about]);
    if (mine !== round || now === shown || !about) return;
    shown = now;
    refill(element, head(run), facts(run), warned(about), commands(about), numbers(about), gallery(run, about), settings(run, about), files(about));
  }
  return { element, draw };
}

function head(run) {
  return h("header", null, h("h2", null, run.id), h("p", null, status(run.status), " ", h("span", { class: "soft" }, run.why)));
}

function facts(run) {
  const all = {
    Model: run.config.model, Data: run.config.data, Seed: run.config.seed_everything, "Samples seen": run.samples.toLocaleString("en"), Batches: run.batches.toLocaleString("en"),
    Trained: duration(run.seconds), Started: moment(run.started), "Last written": moment(run.touched),
  };
  return h("dl", { class: "facts" }, Object.entries(all).filter(([, value]) => value !== undefined && value !== null).map(([key, value]) => h("div", null, h("dt", null, key), h("dd", null, String(value)))));
}

function warned(about) {
  if (!about.warnings.length) return null;
  return h("section", { class: "warnings", "aria-label": "Warnings" }, h("h3", null, `⚠ ${about.warnings.length} warning${about.warnings.length > 1 ? "s" : ""}`),
    h("ul", null, about.warnings.map((each) => h("li", null, h("small", null, `after ${count(each.samples_seen)} samples: `), each.message))));
}

function command(text, what) {
  return h("div", { class: "command" }, h("code", null, text), copier(text, what));
}

function commands(about) {
  const earlier = about.sittings.map((sitting, i) => h("li", null,
    h("small", null, `${moment(Date.parse(sitting.started) / 1000)}${i ? `, from batch ${sitting.batch.toLocaleString("en")}` : ""} · ${sitting.outcome ?? "no end noted"} · version ${sitting.version}${sitting.processes > 1 ? ` · ${sitting.processes} processes` : ""}`),
    command(sitting.command, "the command line")));
  return h("section", null, h("h3", null, "Command"),
    h("p", { class: "soft" }, "The same again, from its resolved settings:"), command(about.again, "the command that reproduces it"),
    earlier.length ? [h("p", { class: "soft" }, earlier.length > 1 ? "As it was started and gone on with:" : "As it was started:"), h("ol", { class: "plain" }, earlier)] : null,
    h("p", { class: "soft" }, "Samples of it:"), command(about.sample, "the command that samples"));
}

function numbers(about) {
  if (!about.numbers.length) return null;
  return h("section", null, h("h3", null, "Numbers"), h("p", { class: "soft" }, "Of the last evaluation. Ideal: what a perfect sampler, or as many held-out real samples, get at this N."),
    h("div", { class: "scroll" }, table({ columns: COLUMNS, rows: about.numbers, caption: "Metrics of the last evaluation", sticky: false })));
}

function gallery(run, about) {
  const some = Object.entries(about.pictures).flatMap(([kind, all]) => {
    const timed = all.filter(({ samples }) => samples !== null).slice(-1);
    return [...timed, ...all.filter(({ samples }) => samples === null)].map((picture) => ({ kind, picture }));
  });
  if (!some.length) return null;
  return h("section", null, h("h3", null, "Pictures"), h("div", { class: "gallery", "data-size": "s" }, some.map(({ kind, picture }) => {
    const address = file(picture.file);
    return h("figure", null, h("a", exported ? null : { href: address, target: "_blank" }, h("img", { src: address, alt: words(kind, picture, run.id), loading: "lazy" })),
      h("figcaption", null, h("span", null, kind === "whole run" ? picture.name : kind), kind !== "whole run" && h("small", null, picture.samples === null ? picture.name : `${count(picture.samples)} samples`)));
  })));
}

/** The resolved settings; lines whose setting differs from what most runs have are marked. */
function settings(run, about) {
  const own = new Set(Object.keys(run.own).filter((key) => key in base).map((key) => key.split(".").at(-1)));
  const lines = about.config.split("\n").map((line) => {
    const key = line.match(/^\s*(?:- )?([\w.]+):/)?.[1];
    return h("span", { class: own.has(key) ? "differs" : null }, line + "\n");
  });
  return h("section", null, h("h3", null, "Settings ", copier(about.config, "the settings")),
    h("p", { class: "soft" }, "config.yaml, resolved, without secrets; marked are names of settings that most other runs have otherwise."),
    h("pre", { tabindex: "0", role: "region", "aria-label": "Settings, scrollable" }, lines));
}

function files(about) {
  if (exported || !about.files.length) return null;
  return h("section", null, h("h3", null, "Files"), h("ul", { class: "plain" }, about.files.map((name) => h("li", null, h("a", { href: file(name), download: "" }, name)))));
}
