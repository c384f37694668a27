// Pictures of the selected runs side by side, over training.

import { choice, count, fill, h, labelled } from "page/dom.js";
import { ask, exported, file, runs } from "page/data.js";
import { swatch } from "page/palette.js";
import { get, selected, set } from "page/state.js";

const WHAT = {
  samples: "samples drawn from latents that stay the same", modes: "which modes samples serve", quality: "samples with the training images nearest to them",
  reconstructions: "reconstructions", "whole run": "the whole run",
};
const STEP = 600; // milliseconds a frame

/** The last picture at or before `samples`, else the first. */
function shownAt(pictures, samples) {
  const before = pictures.filter((picture) => picture.samples <= samples);
  return before.at(-1) ?? pictures[0] ?? null;
}

/** What a picture shows, in words. */
export function words(kind, picture, run) {
  const when = picture.samples === null ? "" : ` after ${picture.samples.toLocaleString("en")} training samples`;
  if (picture.name === "real") return `${run}: real samples, to compare with`;
  return `${run}: ${picture.samples === null ? picture.name.replaceAll("_", " ") + ", " : ""}${WHAT[kind] ?? kind}${when}`;
}

/** The tab's element and how it is renewed. */
export function picturesTab() {
  const slider = h("input", { type: "range", min: 0, step: 1, id: "moment", oninput: () => set({ at: moments[Number(slider.value)] }) });
  const told = h("output");
  const kinds = h("select", { onchange: () => set({ kind: kinds.value }) });
  const play = h("button", { type: "button", onclick: () => (timer ? stop() : start()) }, "▶ Play");
  const real = h("input", { type: "checkbox", onchange: () => set({ real: real.checked ? 1 : null }) });
  const size = choice([["s", "small"], ["m", "medium"], ["l", "large"]], get("size", "m"), (value) => set({ size: value }));
  const gallery = h("div", { class: "gallery" });
  const element = h("div", { class: "tab pictures" },
    h("div", { class: "tools" }, labelled("Show", kinds), h("label", { class: "field wide" }, h("span", null, "Training"), slider, told), play,
      labelled("Real samples, too", real), labelled("Size", size)), gallery);
  let moments = [];
  let timer = null;
  let round = 0;
  const compared = new Set();

  function start() {
    if (Number(slider.value) >= moments.length - 1) set({ at: moments[0] });
    play.textContent = "❚❚ Pause";
    timer = setInterval(() => {
      const next = Number(slider.value) + 1;
      if (next >= moments.length || !element.isConnected) stop(); else set({ at: moments[next] });
    }, STEP);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ Play";
  }
  async function draw() {
    const mine = ++round;
    const chosen = selected().filter(({ id }) => runs.has(id));
    const answers = await Promise.all(chosen.map(async (each) => ({ ...each, pictures: (await ask(`run/${each.id}`))?.pictures ?? {} })));
    if (mine !== round) return;
    const there = [...new Set(answers.flatMap(({ pictures }) => Object.keys(pictures)))].sort((a, b) => order(a) - order(b));
    const kind = there.includes(get("kind")) ? get("kind") : there[0];
    if (document.activeElement !== kinds) fill(kinds, there.map((name) => h("option", { value: name, selected: name === kind }, name)));
    real.checked = get("real") === "1";
    moments = [...new Set(answers.flatMap(({ pictures }) => (pictures[kind] ?? []).map(({ samples }) => samples)))].filter((each) => each !== null).sort((a, b) => a - b);
    const wanted = get("at") === "" ? Infinity : Number(get("at"));
    const place = Math.max(0, moments.findLastIndex((each) => each <= wanted));
    slider.max = Math.max(moments.length - 1, 0);
    slider.disabled = play.disabled = moments.length < 2;
    slider.value = place;
    told.value = moments.length ? `${count(moments[place])} samples` : "–";
    slider.setAttribute("aria-valuetext", told.value);
    gallery.dataset.size = get("size", "m");
    compared.clear();
    const figures = answers.flatMap(({ id, slot, pictures }) => shown(pictures[kind] ?? [], moments[place], runs.get(id)).map((picture) => ({ id, slot, kind, picture })));
    // Elements are kept where they can be, so that nothing flickers while the slider moves.
    while (gallery.children.length > figures.length || gallery.querySelector("p")) gallery.lastElementChild.remove();
    figures.forEach((each, i) => place_(gallery, i, each));
    if (!figures.length) fill(gallery, h("p", { class: "hint" }, chosen.length ? "These runs have left no pictures." : "Select runs in the table to see their pictures."));
  }
  /** The picture of now, and those of no moment; real samples of the same data once. */
  function shown(pictures, now, run) {
    const timed = pictures.filter(({ samples }) => samples !== null);
    const wanted = real.checked && !compared.has(run.config.data);
    if (wanted) compared.add(run.config.data);
    const others = pictures.filter(({ samples, name }) => samples === null && (name === "real" ? wanted : !timed.length));
    return [...(timed.length ? [shownAt(timed, now)] : []), ...others];
  }
  return { element, draw };
}

function order(kind) {
  const place = Object.keys(WHAT).indexOf(kind);
  return place < 0 ? 99 : place;
}

function place_(gallery, i, { id, slot, kind, picture }) {
  const figure = gallery.children[i] ?? gallery.appendChild(h("figure", null, h("a", null, h("img")), h("figcaption")));
  const [link, image] = [figure.firstElementChild, figure.querySelector("img")];
  const address = file(picture.file);
  if (image.getAttribute("src") !== address) image.src = address;
  image.alt = words(kind, picture, id);
  if (!exported) { // browsers open no page from an address that holds it
    link.href = address;
    link.target = "_blank";
  }
  figure.lastElementChild.innerHTML = swatch(slot);
  figure.lastElementChild.append(h("span", null, id), h("small", null, picture.samples === null ? picture.name.replaceAll("_", " ") : `${count(picture.samples)} samples`));
}
