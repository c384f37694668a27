// What is shown, kept in the address: a link or a reload shows the same.

const listeners = new Set();
let values = read();

function read() {
  return Object.fromEntries(new URLSearchParams(location.hash.replace(/^#/, "")));
}

/** A value of the state, or `otherwise`. */
export function get(key, otherwise = "") {
  return values[key] ?? otherwise;
}

/** A value that is a list. */
export function list(key) {
  return values[key] ? values[key].split("|").map(unescaped) : [];
}

/** A list as a value: items may hold what divides them, and letters that no address can (of a folder's name that is not
 * UTF-8 each byte is half a surrogate pair). */
export function joined(items) {
  return items.map((item) => item.replace(/[%|\p{Surrogate}]/gu, (letter) => `%u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`)).join("|");
}

function unescaped(item) {
  return item.replace(/%u([0-9a-f]{4})/g, (_, code) => String.fromCharCode(parseInt(code, 16)));
}

/** Change values; null removes one. Whoever listens is told which keys changed, unless it is done quietly. */
export function set(changes, { quietly = false } = {}) {
  const changed = [];
  for (const [key, value] of Object.entries(changes)) {
    const text = Array.isArray(value) ? joined(value) : value === null || value === "" ? undefined : String(value);
    if (values[key] === (text || undefined)) continue;
    changed.push(key);
    if (text) values[key] = text; else delete values[key];
  }
  if (!changed.length) return;
  const hash = "#" + new URLSearchParams(values).toString();
  history.replaceState(null, "", hash);
  if (!quietly) listeners.forEach((listener) => listener(new Set(changed)));
}

/** Call `listener` with the set of keys that change. */
export function listen(listener) {
  listeners.add(listener);
}

/** An address that differs from the present one in `changes`. */
export function link(changes) {
  const all = { ...values, ...changes };
  for (const [key, value] of Object.entries(all)) if (value === null) delete all[key];
  return "#" + new URLSearchParams(all).toString();
}

window.addEventListener("hashchange", () => {
  if (location.hash === "#main") return; // the skip link
  const before = values;
  values = read();
  const keys = new Set([...Object.keys(before), ...Object.keys(values)].filter((key) => before[key] !== values[key]));
  if (keys.size) listeners.forEach((listener) => listener(keys));
});
window.addEventListener("popstate", () => window.dispatchEvent(new Event("hashchange")));

/** Selected runs by slot: an empty slot keeps the others' colours as they are. */
export function selected() {
  return list("sel").map((id, slot) => ({ id, slot })).filter(({ id }) => id && id !== "-");
}

/** Select or deselect runs, at most so many in all. */
export function toggle(ids, on, most) {
  const slots = list("sel").map((slot) => (slot === "-" ? "" : slot)); // "-" is: none, on purpose
  for (const id of ids) {
    const place = slots.indexOf(id);
    if (!on && place >= 0) slots[place] = "";
    if (!on || place >= 0 || slots.filter(Boolean).length >= most) continue;
    const empty = slots.indexOf("");
    if (empty < 0) slots.push(id); else slots[empty] = id;
  }
  while (slots.length && !slots.at(-1)) slots.pop();
  set({ sel: slots.length ? slots : "-" });
}
