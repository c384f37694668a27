// The run table with its filter, and which runs are selected.

import { choice, fill, h, labelled } from "page/dom.js";
import { runs } from "page/data.js";
import { available, column, filtered, shown, usual } from "page/columns.js";
import { get, list, selected, set, toggle } from "page/state.js";
import { replace, table } from "page/table.js";
import { swatch } from "page/palette.js";
import { grouped } from "page/series.js";

const MOST = 28; // as many as there are looks
let last = null;

/** The left side of the page: `draw` renews the table. */
export function runsPane() {
  const holder = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs, scrollable" });
  const told = h("p", { class: "told", role: "status" });
  const chooser = h("div", { class: "choices" });
  const filter = h("input", {
    type: "search", value: get("filter"), placeholder: "ring lr<0.001", "aria-describedby": "filter-help",
    oninput: (event) => set({ filter: event.target.value }),
  });
  const states = [["", "any status"], ...["running", "finished", "stopped", "failed"].map((name) => [name, name])];
  const element = h("section", { class: "pane runs", "aria-label": "Runs" },
    h("div", { class: "tools" },
      labelled("Filter", filter), labelled("Status", choice(states, get("status"), (value) => set({ status: value }))),
      h("details", { class: "menu" }, h("summary", null, "Columns"), chooser),
      h("button", { type: "button", onclick: () => set({ sel: "-" }) }, "Select none")),
    h("p", { id: "filter-help", class: "hidden" }, "Words in name, model, data; key=value, key<value, key>value for settings and metrics; != excludes"),
    told, holder);
  function draw() {
    const rows = filtered();
    const slots = looks();
    const columns = [selection(rows, slots), ...shown()];
    const sort = get("sort", "-started");
    replace(holder, table({
      columns, rows, sort, onsort: (value) => set({ sort: value }), caption: "Runs, one a row",
      row: (run) => ({ "data-run": run.id, class: slots.has(run.id) ? "selected" : null, onclick: (event) => press(event, run, slots) }),
    }));
    fill(told, `${rows.length.toLocaleString("en")} of ${runs.size.toLocaleString("en")} runs, ${slots.size} selected`,
      slots.size >= MOST ? ` (at most ${MOST})` : "");
    if (document.activeElement !== filter && filter.value !== get("filter")) filter.value = get("filter");
    if (!chooser.contains(document.activeElement)) fill(chooser, choices());
  }
  return { element, draw };
}

/** Selected runs with the slots whose look they have: runs of one group share that of its first. */
function looks() {
  const chosen = selected().map((each) => ({ ...each, run: runs.get(each.id) }));
  if (!get("seeds")) return new Map(chosen.map(({ id, slot }) => [id, slot]));
  return new Map(grouped(chosen.filter(({ run }) => run)).flatMap((group) => group.runs.map(({ id }) => [id, group.slot])));
}

function press(event, run, slots) {
  if (event.target.closest("a, button, input, label")) return;
  choose(run.id, !slots.has(run.id), false);
}

function choose(id, on, all) {
  const order = [...document.querySelectorAll(".runs tbody tr")].map((row) => row.dataset.run);
  const [from, to] = [order.indexOf(last), order.indexOf(id)].sort((a, b) => a - b);
  for (const each of all && from >= 0 ? order.slice(from, to + 1) : [id]) {
    if (!on || selected().length < MOST) toggle(each, on);
  }
  last = id;
}

function selection(rows, slots) {
  const every = rows.length > 0 && rows.every((run) => slots.has(run.id));
  const all = h("input", {
    type: "checkbox", checked: every, "aria-label": "Select all that are shown", title: `selects at most ${MOST}`, "data-focus": "all",
    onchange: (event) => rows.forEach((run) => { if (!event.target.checked || selected().length < MOST) toggle(run.id, event.target.checked); }),
  });
  const cell = (run) => {
    const box = h("input", {
      type: "checkbox", checked: slots.has(run.id), "aria-label": `Select ${run.id}`, "data-focus": `box ${run.id}`,
      onclick: (event) => { choose(run.id, event.target.checked, event.shiftKey); },
    });
    const label = h("label", { class: "pick" }, box);
    if (slots.has(run.id)) label.insertAdjacentHTML("beforeend", swatch(slots.get(run.id)));
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
  return [h("div", { class: "row" }, search, h("button", { type: "button", onclick: () => { set({ cols: null }); document.activeElement.blur(); } }, "Usual ones")), groups];
}

function name(id) {
  const found = column(id);
  return id.startsWith("set:") ? id.slice(4) : [found.title, found.note && h("small", null, ` ${found.note}`)];
}

function pick(id, on) {
  const now = list("cols").length ? list("cols") : usual();
  set({ cols: on ? [...now, id] : now.filter((each) => each !== id) });
}
