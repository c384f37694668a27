// A table that sorts by any of its columns, for runs, trials and numbers.

import { breakable, h, number } from "page/dom.js";

/** Order two values: numbers by size, texts by their letters and the numbers in them; what is missing is last. */
export function compare(a, b, descending) {
  const none = (value) => value === null || value === undefined || value === "";
  if (none(a) || none(b)) return none(a) - none(b);
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return descending ? -order : order;
}

/** Rows in the order of a column's values; equal ones stay as they are. */
function sorted(rows, column, descending) {
  if (!column) return rows;
  const keyed = rows.map((row) => [column.value(row), row]);
  return keyed.sort(([a], [b]) => compare(a, b, descending)).map(([, row]) => row);
}

/** A table element.
 *
 * columns: {id, title, note, hint, value(row), cell(row), number, head} each; without `value` it does not sort.
 * sort: "id" or "-id" for descending; onsort is told the new one. row(row) gives a row's attributes.
 * A column's `descending` makes the first press sort descending; `hidden` columns sort without being shown. */
export function table({ columns, rows, sort, onsort, caption, row = () => ({}), sticky = true, hidden = [] }) {
  const descending = sort?.startsWith("-");
  const by = [...columns, ...hidden].find((column) => column.id === sort?.replace(/^-/, "") && column.value);
  const head = columns.map((column) => {
    const active = by === column;
    const content = [breakable(column.title), column.note && h("small", null, column.note)];
    const press = () => onsort(active ? (descending ? column.id : `-${column.id}`) : `${column.descending ? "-" : ""}${column.id}`);
    return h("th", {
      scope: "col", class: column.number ? "number" : column.rowhead ? "first" : null, title: column.hint,
      "aria-sort": !column.value ? null : active ? (descending ? "descending" : "ascending") : "none",
    }, column.head ?? (column.value && onsort
      ? h("button", { type: "button", "data-sort": column.id, "data-hint": column.hint, "aria-description": column.hint, onclick: press }, h("span", null, content),
        h("span", { class: "arrow", "aria-hidden": "true" }, active ? (descending ? "▼" : "▲") : ""))
      : content));
  });
  const body = sorted(rows, by, descending).map((each) => h("tr", row(each), columns.map((column) => {
    const content = column.cell ? column.cell(each) : column.number ? number(column.value(each)) : column.value(each) ?? "–";
    const marks = [column.number && "number", column.mark?.(each)].filter(Boolean).join(" ");
    return h(column.rowhead ? "th" : "td", { class: marks || null, scope: column.rowhead ? "row" : null }, content);
  })));
  return h("table", { class: sticky ? "sticky" : null },
    h("caption", { class: "hidden" }, caption), h("thead", null, h("tr", null, head)), h("tbody", null, body));
}
