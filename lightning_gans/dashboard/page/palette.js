// Colours that people with any colour vision tell apart (after Okabe and Ito, 2008, made darker or lighter
// until each has a contrast of 3 : 1 with its ground), and dashes, so that colour is never the only sign.

const COLOURS = {
  light: ["#0072b2", "#d55e00", "#008f6c", "#b5488a", "#5e4100", "#3d9bd1", "#111111"],
  dark: ["#56b4e9", "#ff8b3d", "#1fc793", "#e79cc8", "#e6c700", "#4f83e0", "#ffffff"],
};
const DASHES = ["solid", "8px,3px", "2px,3px", "10px,3px,2px,3px"];

/** Whether the page is dark now. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Colour and dash of a slot; the first 28 slots are all different. */
export function look(slot) {
  const colours = COLOURS[isDark() ? "dark" : "light"];
  return { colour: colours[slot % colours.length], dash: DASHES[slot % DASHES.length] };
}

/** A colour's hex with an opacity. */
export function faint(hex, opacity) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return `rgba(${r},${g},${b},${opacity})`;
}

/** A colour between "good" (share 0) and "bad" (share 1), along cividis, its ends cut to be seen on the ground. */
export function along(share) {
  const stops = isDark()
    ? [[254, 232, 56], [190, 175, 110], [124, 123, 120], [80, 96, 140]]
    : [[0, 52, 110], [70, 85, 115], [135, 130, 115], [190, 172, 95]];
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(at), stops.length - 2);
  return `rgb(${stops[i].map((c, k) => Math.round(c + (at - i) * (stops[i + 1][k] - c))).join(",")})`;
}

/** A short line as a run's curves have it, as SVG text. */
export function swatch(slot) {
  const { colour, dash } = look(slot);
  const dashes = dash === "solid" ? "" : ` stroke-dasharray="${dash.replaceAll("px", "")}"`;
  return `<svg class="swatch" width="26" height="10" aria-hidden="true"><line x1="1" y1="5" x2="25" y2="5" stroke="${colour}" stroke-width="3"${dashes}/></svg>`;
}
