// Parallel coordinates: one line a trial, through its value on each parameter's axis and its objective.

import { h, number, svg } from "page/dom.js";
import { along } from "page/palette.js";

const [HEIGHT, TOP, BOTTOM, SIDE] = [300, 34, 22, 70];

/** An axis for the values of some trials: where each lies, from 0 (bottom) to 1, and its ticks. */
export function scale(values, log) {
  if (values.every((value) => typeof value === "number")) {
    const turn = log && values.every((value) => value > 0) ? Math.log10 : (value) => value;
    const [low, high] = [Math.min(...values.map(turn)), Math.max(...values.map(turn))];
    const place = (value) => (high > low ? (turn(value) - low) / (high - low) : 0.5);
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => low + share * (high - low)).map((tick) => (turn === Math.log10 ? 10 ** tick : tick));
    return { place, ticks: high > low ? ticks : [values[0]], text: (tick) => number(Number(tick.toPrecision(2))) };
  }
  const kinds = [...new Set(values.map(String))].sort();
  return { place: (value) => (kinds.length > 1 ? kinds.indexOf(String(value)) / (kinds.length - 1) : 0.5), ticks: kinds, text: (tick) => tick };
}

/** The picture.
 *
 * axes: [{name, log, value(trial)}], the last is the objective; rank(trial): 0 the best to 1 the worst;
 * bright(trial): whether it is emphasised; choose(trial): called when a line is pressed;
 * space: the pixels there are for it in a row. */
export function parallel({ axes, trials, rank, bright, choose, chosen, words, space }) {
  const width = Math.max(axes.length * 130, space);
  const x = (i) => SIDE + (i * (width - 2 * SIDE)) / Math.max(axes.length - 1, 1);
  const scales = axes.map((axis) => scale(trials.map(axis.value), axis.log));
  const y = (i, value) => HEIGHT - BOTTOM - scales[i].place(value) * (HEIGHT - TOP - BOTTOM);
  const dim = trials.filter((trial) => !bright(trial));
  const lines = [...dim, ...trials.filter(bright).sort((a, b) => rank(b) - rank(a))].map((trial) => {
    const path = axes.map((axis, i) => `${i ? "L" : "M"}${x(i).toFixed(1)},${y(i, axis.value(trial)).toFixed(1)}`).join("");
    const text = `trial ${trial.number}: ${axes.map((axis) => `${axis.name} ${number(axis.value(trial))}`).join(", ")}`;
    return svg("path", {
      d: path, class: `trial${bright(trial) ? "" : " dim"}${chosen === trial.number ? " chosen" : ""}`, stroke: along(rank(trial)), onclick: () => choose(trial),
    }, svg("title", null, text));
  });
  const rules = axes.map((axis, i) => svg("g", { class: "axis", transform: `translate(${x(i)},0)` },
    svg("line", { y1: TOP, y2: HEIGHT - BOTTOM }),
    svg("text", { y: TOP - 14, class: "name", "text-anchor": i === 0 ? "start" : i === axes.length - 1 ? "end" : "middle", x: i === 0 ? -SIDE + 4 : i === axes.length - 1 ? SIDE - 4 : 0 }, axis.name),
    scales[i].ticks.map((tick) => [svg("line", { x1: -4, x2: 4, y1: y(i, tick), y2: y(i, tick) }), svg("text", { x: -8, y: y(i, tick) + 4, "text-anchor": "end", class: "tick" }, scales[i].text(tick))])));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": words, class: "parallel", width, height: HEIGHT }, lines, rules);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Parallel coordinates, scrollable" }, picture);
}
