// Settings in which the selected runs differ.

import { breakable, fill, h, number, refill } from "page/dom.js";
import { differing, runs } from "page/data.js";
import { plain } from "page/columns.js";
import { swatch } from "page/palette.js";
import { link, selected } from "page/state.js";

/** The tab's element and how it is renewed. */
export function differencesTab() {
  const element = h("div", { class: "tab" });
  function draw() {
    const chosen = selected().map(({ id, slot }) => ({ slot, run: runs.get(id) })).filter(({ run }) => run);
    if (chosen.length < 2) return void fill(element, h("p", { class: "hint" }, "Select two runs or more to see in which settings they differ."));
    const keys = differing(chosen.map(({ run }) => run));
    const head = h("tr", null, h("th", { scope: "col" }, "Setting"), chosen.map(({ run, slot }) => {
      const cell = h("th", { scope: "col" });
      cell.innerHTML = swatch(slot);
      cell.append(h("a", { href: link({ tab: "run", run: run.id }) }, breakable(run.id)));
      return cell;
    }));
    const body = keys.map((key) => {
      const values = chosen.map(({ run }) => plain(run.config[key]));
      const usual = commonest(values);
      return h("tr", null, h("th", { scope: "row" }, breakable(key)), values.map((value) =>
        h("td", { class: value === usual ? null : "differs" }, value === "" ? h("span", { class: "none" }, "not there") : typeof value === "number" ? number(value) : breakable(String(value)))));
    });
    refill(element, h("p", { class: "told" }, `${keys.length} setting${keys.length === 1 ? "" : "s"} differ${keys.length === 1 ? "s" : ""} among ${chosen.length} runs; marked is what is not the commonest value.`),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Differing settings, scrollable" }, h("table", { class: "sticky differences" },
        h("caption", { class: "hidden" }, "Settings in which the selected runs differ"), h("thead", null, head), h("tbody", null, body))));
  }
  return { element, draw };
}

function commonest(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
}
