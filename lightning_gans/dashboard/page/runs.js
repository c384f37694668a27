// The run table with its filter, and which runs are selected.

import { choice, fill, h, labelled, refill, say } from "page/dom.js";
import { runs } from "page/data.js";
import { available, column, filtered, shown, usual } from "page/columns.js";
import { get, list, selected, set, toggle } from "page/state.js";
import { table } from "page/table.js";
import { swatch } from "page/palette.js";
import { grouped } from "page/series.js";

const MOST = 28; // as many as there are looks
const HELP = "Words in name, status, model, data; -word leaves out; key=value, key!=value, key<value, key>value for settings and metrics";
let last = null;

/** The left side of the page: `draw` renews the table. */
export function runsPane() {
  const holder = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs, scrollable" });
  const told = h("p", { class: "told", role: "status" });
  const chooser = h("div", { class: "choices" });
  const filter = h("input", {
    type: "search", value: get("filter"), placeholder: "ring lr<0.001", "aria-describedby": "filter-help", title: HELP,
    oninput: (event) => set({ filter: event.target.value }),
  });
  const states = [["", "any status"], ...["running", "finished", "stopped", "failed", "unreadable"].map((name) => [name, name])];
  const element = h("section", { class: "pane runs", "aria-label": "Runs" },
    h("div", { class: "tools" },
      labelled("Filter", filter), labelled("Status", choice(states, get("status"), (value) => set({ status: value }))),
      h("details", { class: "menu", ontoggle: (event) => { if (event.target.open) refill(chooser, choices()); } }, h("summary", null, "Columns"), chooser),
      h("button", { type: "button", onclick: () => set({ sel: "-" }) }, "Select none")),
    h("p", { id: "filter-help", class: "hidden" }, HELP),
    told, holder);
  function draw() {
    const rows = filtered();
    const slots = looks();
    const columns = [selection(rows, slots), ...shown()];
    const sort = get("sort", "-started");
    refill(holder, table({
      columns, rows, sort, onsort: (value) => set({ sort: value }), caption: "Runs, one a row", hidden: [column(sort.replace(/^-/, ""))].filter(Boolean),
      row: (run) => ({ "data-run": run.id, class: slots.has(run.id) ? "selected" : null, onclick: (event) => press(event, run) }),
    }));
    tell(rows.length, slots.size);
    if (document.activeElement !== filter && filter.value !== get("filter")) filter.value = get("filter");
  }
  function tell(n, chosen) {
    say(told, `${n.toLocaleString("en")} of ${runs.size.toLocaleString("en")} runs, ${chosen} selected${chosen >= MOST ? ` (at most ${MOST})` : ""}`);
  }
  /** Only the selection has changed: the rows stay as they are, for there may be a thousand. */
  function mark() {
    const slots = looks();
    const rows = holder.querySelectorAll("tbody tr");
    for (const row of rows) {
      const id = row.dataset.run;
      row.classList.toggle("selected", slots.has(id));
      dress(row.querySelector(".pick"), id, slots);
    }
    holder.querySelector("thead input").checked = rows.length > 0 && [...rows].every((row) => slots.has(row.dataset.run));
    tell(rows.length, slots.size);
  }
  return { element, draw, mark };
}

/** Selected runs with the slots whose look they have: runs of one group share that of its first. */
function looks() {
  const chosen = selected().map((each) => ({ ...each, run: runs.get(each.id) }));
  if (!get("seeds")) return new Map(chosen.map(({ id, slot }) => [id, slot]));
  return new Map(grouped(chosen.filter(({ run }) => run)).flatMap((group) => group.runs.map(({ id }) => [id, group.slot])));
}

function press(event, run) {
  if (event.target.closest("a, button, input, label")) return;
  choose(run.id, !selected().some(({ id }) => id === run.id), false);
}

/** Tick a run's box, and show the look of its curves beside it. */
function dress(label, id, slots) {
  label.firstElementChild.checked = slots.has(id);
  label.querySelector("svg")?.remove();
  if (slots.has(id)) label.insertAdjacentHTML("beforeend", swatch(slots.get(id)));
}

function choose(id, on, all) {
  const order = [...document.querySelectorAll(".runs tbody tr")].map((row) => row.dataset.run);
  const [from, to] = [order.indexOf(last), order.indexOf(id)].sort((a, b) => a - b);
  toggle(all && from >= 0 ? order.slice(from, to + 1) : [id], on, MOST);
  last = id;
}

function selection(rows, slots) {
  const every = rows.length > 0 && rows.every((run) => slots.has(run.id));
  const all = h("input", {
    type: "checkbox", checked: every, "aria-label": "Select all that are shown", title: `selects at most ${MOST}`, "data-focus": "all",
    onchange: (event) => toggle(rows.map((run) => run.id), event.target.checked, MOST),
  });
  const cell = (run) => {
    const box = h("input", {
      type: "checkbox", "aria-label": `Select ${run.id}`, "data-focus": `box ${run.id}`,
      onclick: (event) => { choose(run.id, event.target.checked, event.shiftKey); },
    });
    const label = h("label", { class: "pick" }, box);
    dress(label, run.id, slots);
    return label;
  };
  return { id: "selected", title: "", head: all, cell, value: null };
}

/** The menu that chooses columns. */
function choices() {
  const now = list("cols").length ? list("cols") : usual();
  const search = h("input", {
    type: "search", placeholder: "find a column", "aria-label": "Find a column",
    oninput: (event) => groups.forEach((group) => group.querySelectorAll("label").forEach((label) => {
      label.hidden = !label.textContent.toLowerCase().includes(event.target.value.toLowerCase());
    })),
  });
  const groups = Object.entries(available()).filter(([, ids]) => ids.length).map(([title, ids]) => h("fieldset", null, h("legend", null, title),
    ids.map((id) => h("label", { title: column(id).hint }, h("input", {
      type: "checkbox", checked: now.includes(id), onchange: (event) => pick(id, event.target.checked),
    }), name(id)))));
  return [h("div", { class: "row" }, search, h("button", { type: "button", "data-focus": "usual", onclick: (event) => { const menu = event.target.closest(".choices"); set({ cols: null }); refill(menu, choices()); } }, "Usual ones")), groups];
}

function name(id) {
  const found = column(id);
  return id.startsWith("set:") ? id.slice(4) : [found.title, found.note && h("small", null, ` ${found.note}`)];
}

function pick(id, on) {
  const now = list("cols").length ? list("cols") : usual();
  set({ cols: on ? [...now, id] : now.filter((each) => each !== id) });
}
