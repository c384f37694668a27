// Elements, and how numbers, times and names are written.

/** An element: h("a", {href: "#x", onclick: f}, "text", [more]). Properties that begin with "on" are
 * listeners; null and false are left out. Text is never taken for HTML. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same in SVG. */
export function svg(tag, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity));
  return element;
}

/** Put `children` in the place of all that is in `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return element;
}

const SIGNS_OF_ITS_OWN = ["data-focus", "data-sort", "id", "aria-label", "href"];

function own(element) {
  return SIGNS_OF_ITS_OWN.map((name) => element.hasAttribute(name) && `[${name}="${CSS.escape(element.getAttribute(name))}"]`).find(Boolean);
}

/** The same where the new children are the old ones renewed: the focus stays on what has the same sign of its own
 * (data-focus, else its name or address), and what is scrolled stays so. */
export function refill(element, ...children) {
  const focus = element.contains(document.activeElement) && document.activeElement !== element ? own(document.activeElement) : null;
  const scrolled = [element, ...element.querySelectorAll("[role=region]")].filter((each) => each.scrollTop || each.scrollLeft).map((each) => [each === element ? null : own(each), each.scrollTop, each.scrollLeft]);
  fill(element, ...children);
  for (const [sign, top, left] of scrolled) (sign ? element.querySelector(sign) : element)?.scrollTo({ top, left, behavior: "instant" });
  if (focus) element.querySelector(focus)?.focus({ preventScroll: true });
  return element;
}

/** Say something in a place that is read out: only if it is new. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A number with four digits that count: 0.001235, 12.35, 1,234, 1.235e-7. */
export function number(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value !== "number") return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e7) return value.toExponential(3).replace(/\.?0+e/, "e").replace("-", "−");
  if (Number.isInteger(value) || size >= 1000) return Math.round(value).toLocaleString("en").replace("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

/** Each name's last parts, as many as tell it from the others: model.generator_optimizer.lr is lr where it is alone. */
export function shorten(names) {
  const end = (name, n) => name.split(".").slice(-n).join(".");
  return new Map(names.map((name) => {
    let n = 1;
    while (n < name.split(".").length && names.some((other) => other !== name && end(other, n) === end(name, n))) n += 1;
    return [name, end(name, n)];
  }));
}

/** Samples seen, shortly: 512 k, 1.23 M. */
export function count(value) {
  if (value === null || value === undefined) return "–";
  if (value < 10000) return value.toLocaleString("en");
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${letter}`;
  }
  return String(value);
}

/** Seconds as 12 s, 3:05 min, 2:10 h, 3.1 d. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}:${two((seconds % 3600) / 60)} h`;
  return `${(seconds / 86400).toFixed(1)} d`;
}

/** A moment (seconds since 1970) as 2026-11-27 18:40, in local time. */
export function moment(seconds) {
  if (!seconds) return "–";
  const date = new Date(seconds * 1000);
  const local = new Date(date - date.getTimezoneOffset() * 60000);
  return local.toISOString().slice(0, 16).replace("T", " ");
}

/** The parts of a metric's name: family (train, modes, …), protocol, and what is measured. */
export function parts(metric) {
  const all = metric.split("/");
  return { family: all.length > 1 ? all[0] : "", protocol: all.slice(1, -1).join("/"), short: all.at(-1) };
}

/** Which values are good, in a sign and in words. */
export function aim(goal) {
  if (goal === "minimize") return { sign: "↓", words: "lower is better" };
  if (goal === "maximize") return { sign: "↑", words: "higher is better" };
  if (typeof goal === "number") return { sign: `→${goal}`, words: `nearer to ${goal} is better` };
  return { sign: "", words: "" };
}

/** A number of how bad a value is for a goal: less is better. */
export function badness(value, goal) {
  if (goal === "maximize") return -value;
  return typeof goal === "number" ? Math.abs(value - goal) : value;
}

/** A name that may be broken after its underscores, dots and slashes. */
export function breakable(name) {
  return name.split(/(?<=[_./])/).flatMap((part, i) => (i ? [h("wbr"), part] : [part]));
}

/** A labelled control. */
export function labelled(text, control, ...more) {
  return h("label", { class: "field" }, h("span", null, text), control, more);
}

/** A drop-down list: options are [value, text]. */
export function choice(options, value, onchange, more = {}) {
  const list = h("select", { ...more, onchange: (event) => onchange(event.target.value) });
  for (const [key, text] of options) list.append(h("option", { value: key, selected: key === value }, text));
  return list;
}

/** A button that copies a text. */
export function copier(text, what) {
  return h("button", {
    type: "button", class: "small", "aria-label": `Copy ${what}`,
    onclick: async (event) => {
      const button = event.currentTarget;
      try { await navigator.clipboard.writeText(text); button.textContent = "copied"; } catch { button.textContent = "select it"; }
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    },
  }, "copy");
}

const SIGNS = { running: "▶", finished: "✓", stopped: "■", failed: "✕", unreadable: "?", complete: "✓", pruned: "✂", waiting: "…" };

/** A status as a coloured sign with its word. */
export function status(name, why = null) {
  return h("span", { class: `status ${name}`, title: why }, h("span", { "aria-hidden": "true" }, SIGNS[name] ?? "?"), " ", name, why && h("span", { class: "hidden" }, `: ${why}`));
}
