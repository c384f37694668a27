// Plotly, dressed as the page is.

import { plotly } from "page/data.js";

/** The value of one of the page's colours. */
export function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Layout that all charts share. */
export function layout(x, y, more = {}) {
  const axis = (own) => ({
    gridcolor: ink("line"), zeroline: false, linecolor: ink("line"), tickfont: { size: 11 }, title: { font: { size: 11 }, standoff: 6 },
    automargin: true, hoverformat: ".5~g", ...own, ...(own.text ? { title: { text: own.text, font: { size: 11 }, standoff: 6 } } : {}),
  });
  return {
    font: { family: getComputedStyle(document.body).fontFamily, color: ink("ink"), size: 12 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 44, r: 10, t: 6, b: 36 },
    showlegend: false, hovermode: "closest", hoverlabel: { bgcolor: ink("raised"), bordercolor: ink("line"), font: { color: ink("ink"), size: 12 }, namelength: -1 },
    xaxis: axis(x), yaxis: axis(y), ...more,
  };
}

/** Draw traces into `element`, or renew what is there; `words` is what the picture shows, for who cannot see it. */
export async function draw(element, traces, look, words) {
  const library = await plotly();
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", words);
  await library.react(element, traces, look, { displayModeBar: false, responsive: true, doubleClick: false });
}

/** Forget a chart whose element goes away. */
export function discard(element) {
  window.Plotly?.purge(element);
}
