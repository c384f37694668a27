// Where answers come from: the server, or, in an exported page, the page itself.

const kept = document.getElementById("kept");
const embedded = kept && JSON.parse(kept.textContent);
const known = new Map();

/** Whether this page is one file, without a server. */
export const exported = Boolean(embedded);

/** The answer to a question such as "curves/ring/version_0"; null if there is none. The server is asked
 * again each time, and sends anew only what has changed. */
export async function ask(question) {
  if (embedded) return embedded.answers[question] ?? null;
  const before = known.get(question);
  const answer = await fetch(`/api/${escaped(question)}`, { headers: before ? { "If-None-Match": before.mark } : {} });
  if (answer.status === 304) return before.content;
  if (!answer.ok) return null;
  const content = await answer.json();
  known.set(question, { mark: answer.headers.get("ETag"), content });
  return content;
}

/** The address of a picture or table. */
export function file(name) {
  if (embedded) return embedded.files[name] ?? "";
  return "/files/" + escaped(name);
}

/** A name in an address; one that is not UTF-8 is not found, but harms nothing. */
function escaped(name) {
  return name.toWellFormed().split("/").map(encodeURIComponent).join("/");
}

/** All runs by name, with their whole settings; `metrics` are the columns that there are. */
export const runs = new Map();
export let metrics = [];
export let base = {};
let token = null;

/** Take in what is new of the runs; the names of those that changed, null if nothing did. */
export async function refresh() {
  const answer = embedded ? (token ? null : embedded.answers.runs) : await changes();
  if (!answer) return null;
  if (answer.whole) { runs.clear(); base = Object.assign(Object.create(null), answer.base); }
  token = answer.token;
  metrics = answer.metrics;
  for (const name of answer.gone) runs.delete(name);
  for (const run of answer.runs) runs.set(run.id, whole(run));
  return new Set([...answer.gone, ...answer.runs.map((run) => run.id)]);
}

async function changes() {
  const answer = await fetch("/api/runs" + (token ? `?since=${token}` : ""));
  if (!answer.ok && answer.status !== 204) throw new Error(`the server says ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

function whole(run) {
  const config = Object.create(base);
  Object.assign(config, run.config);
  for (const key of run.lacks) config[key] = undefined;
  const values = Object.create(null);
  for (const [index, value] of Object.entries(run.metrics)) values[metrics[index].name] = value;
  return { ...run, own: run.config, config, metrics: values };
}

/** Settings that are not the same in all of `some` runs, in their usual order. */
export function differing(some) {
  const keys = new Set(some.flatMap((run) => [...Object.keys(run.own), ...run.lacks]));
  const order = [...Object.keys(base), ...[...keys].filter((key) => !(key in base))];
  return order.filter((key) => keys.has(key) && new Set(some.map((run) => JSON.stringify(run.config[key]))).size > 1);
}

let library = null;

/** Plotly, loaded when it is first needed. */
export function plotly() {
  library ??= load();
  return library;
}

async function load() {
  const script = document.createElement("script");
  const inline = document.getElementById("plotly");
  if (inline) {
    const bytes = Uint8Array.from(atob(inline.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    script.src = URL.createObjectURL(new Blob([await new Response(stream).text()], { type: "text/javascript" }));
  } else script.src = "/plotly.js";
  await new Promise((done, failed) => { script.onload = done; script.onerror = failed; document.head.append(script); });
  return window.Plotly;
}
