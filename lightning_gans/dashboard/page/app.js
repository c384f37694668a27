// The page: its views and tabs, what renews them, and what keeps it live.

import { fill, h, refill, say } from "page/dom.js";
import { exported, refresh, runs } from "page/data.js";
import { get, link, list, listen, set } from "page/state.js";
import { isDark } from "page/palette.js";
import { runsPane } from "page/runs.js";
import { curvesTab } from "page/curves.js";
import { picturesTab } from "page/pictures.js";
import { differencesTab } from "page/differences.js";
import { runTab } from "page/run.js";
import { sweepsView } from "page/sweeps.js";

const EVERY = 3000; // milliseconds between two looks
const main = document.getElementById("main");
const told = document.getElementById("state");
const TABS = { curves: "Curves", pictures: "Pictures", differences: "Differences", run: "Run" };

const pane = runsPane();
const tabs = { curves: curvesTab(), pictures: picturesTab(), differences: differencesTab(), run: runTab() };
const bar = h("div", { class: "tabs", role: "tablist", "aria-label": "Of the selected runs" }, Object.entries(TABS).map(([id, text]) => h("button", {
  type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "tabpanel", onclick: () => set({ tab: id }), onkeydown: (event) => arrow(event, id),
}, text)));
const panel = h("div", { id: "tabpanel", role: "tabpanel", tabindex: "-1" });
const compare = h("div", { class: "compare" }, pane.element, h("section", { class: "pane", "aria-label": "Selected runs" }, bar, panel));
const sweeps = sweepsView();

function arrow(event, id) {
  const ids = Object.keys(TABS);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = ids[(ids.indexOf(id) + step + ids.length) % ids.length];
  set({ tab: next });
  document.getElementById(`tab-${next}`).focus();
}

/** Show the view and tab that the address says; draw what depends on `changed` (null: everything). */
function show(changed = null) {
  const view = get("view", "runs");
  const element = view === "sweeps" ? sweeps.element : compare;
  if (main.firstElementChild !== element) fill(main, element);
  navigation(view);
  if (view === "sweeps") return sweeps.draw(changed);
  const tab = Object.hasOwn(TABS, get("tab")) ? get("tab") : "curves";
  for (const button of bar.children) {
    const own = button.id === `tab-${tab}`;
    button.setAttribute("aria-selected", own);
    button.tabIndex = own ? 0 : -1;
  }
  panel.setAttribute("aria-labelledby", `tab-${tab}`);
  if (panel.firstElementChild !== tabs[tab].element) fill(panel, tabs[tab].element);
  const ofTable = ["filter", "status", "sort", "cols", "view"];
  if (!changed || ofTable.some((key) => changed.has(key))) pane.draw();
  else if (changed.has("sel") || changed.has("seeds")) pane.mark();
  const onlyTable = changed && [...changed].every((key) => ["filter", "status", "sort", "cols"].includes(key));
  if (!onlyTable) return tabs[tab].draw();
}

function navigation(view) {
  refill(document.getElementById("views"), [["runs", "Runs"], ["sweeps", "Sweeps"]].map(([id, text]) =>
    h("a", { href: link({ view: id }), "data-focus": id, "aria-current": view === id ? "page" : null }, text)));
}

/** A first look has something to look at: the newest runs. */
function first() {
  if (list("sel").length) return;
  const newest = [...runs.values()].sort((a, b) => b.started - a.started).slice(0, 3);
  if (newest.length) set({ sel: newest.map((run) => run.id) }, { quietly: true });
}

async function look() {
  try {
    const changed = await refresh();
    const running = [...runs.values()].filter((run) => run.status === "running").length;
    say(told, exported ? `${runs.size} runs, as they were when this was written` : `${runs.size.toLocaleString("en")} runs, ${running} running · live`);
    told.className = "";
    if (changed) { first(); await show(); } else if (get("view") === "sweeps") await sweeps.draw(new Set());
    document.body.dataset.ready = "yes";
  } catch (error) {
    say(told, `not live: ${error.message}; trying again`);
    told.className = "lost";
  }
}

const THEMES = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" };
const button = document.getElementById("theme");

function theme(name) {
  if (name) document.documentElement.dataset.theme = name; else delete document.documentElement.dataset.theme;
  button.textContent = THEMES[name];
  try { localStorage.setItem("theme", name); } catch { /* a page from a file may keep nothing */ }
}

function remembered() {
  try { return localStorage.getItem("theme") ?? ""; } catch { return ""; }
}

theme(Object.hasOwn(THEMES, remembered()) ? remembered() : "");
button.addEventListener("click", () => {
  const names = isDark() ? ["", "light", "dark"] : ["", "dark", "light"];
  theme(names[(names.indexOf(document.documentElement.dataset.theme ?? "") + 1) % 3]);
  show();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show());
listen((changed) => show(changed));
// A menu closes on Escape, with the focus back on its name, and when the focus or the pointer goes elsewhere.
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
for (const kind of ["focusin", "pointerdown"]) {
  document.addEventListener(kind, (event) => document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; }));
}
await look();
if (!exported) {
  let looking = false;
  setInterval(async () => {
    if (looking || document.hidden) return;
    looking = true;
    await look();
    looking = false;
  }, EVERY);
}
