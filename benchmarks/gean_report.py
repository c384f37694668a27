"""The tables and the picture of the study of `gean.py`."""

import math
from statistics import mean

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from gean import (
    BUDGETS,
    DISTANCE,
    at_gans_rate,
    batches_for,
    broke,
    chosen,
    distance,
    finished,
    key,
    settings,
    studied,
)
from gean_play import DIRECTIONS, EPOCH, METHODS, PROBLEMS, moves_of
from scipy.stats import t as student

NAMES = list(METHODS)[:-1]
LABELS = {"ring": "squared energy distance", "digits": "Fréchet distance, pixels"}
TITLES = {"ring": "Ring", "digits": "Digits"}
COUNTED = {"ring": "modes of 8", "digits": "classes of 10"}
SHARE = {"ring": "good", "digits": "entropy"}
TOP = {"ring": 10.0, "digits": 150.0}
"""Above this a distance says only that all is lost: tables give no more, the picture ends."""
STYLES = ("--", ":")
COLOURS = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00")

Group = dict[tuple[str, str], list[dict]]
"""The runs, by seed, of each (method, direction) at one budget on one data set."""


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half width of the 95 % interval by Student's t."""
    width = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return mean(values), float(width)


def shown(values: list[float], top: float = math.inf) -> str:
    """Mean and interval in words; past ``top``, how many of the values are."""
    past = sum(value > top for value in values)
    if past:
        return f"{past} of {len(values)} past {top:.0f}; median {np.median(values):.3g}"
    centre, width = interval(values)
    places = 3 if centre < 1 else 2 if centre < 10 else 1
    return f"{centre:.{places}f} ± {width:.{places}f}"


def figures(value: float) -> str:
    """Two figures, and three near 1, where they tell."""
    return f"{value:.3g}" if 0.9 < value < 1.095 else f"{value:.2g}"


def quotient(ours: list[float], theirs: list[float]) -> str:
    """Geometric mean of ours / theirs, seed by seed, and its interval; bold where 1 is outside."""
    logs = np.log(np.minimum(ours, 1e300)) - np.log(np.minimum(theirs, 1e300))
    centre, width = interval(list(logs))
    if width > math.log(1e3):
        return "unsure beyond 1000"
    words = "{} ({} to {})".format(*map(figures, np.exp([centre, centre - width, centre + width])))
    return words if centre - width <= 0 <= centre + width else f"**{words}**"


def further(run: dict, budget: str, name: str) -> float:
    """The mean of another measure; 0 where a sample is not finite."""
    return mean((mark["generator"] or {name: 0})[name] for mark in run[budget])


def collect(data: str, seeds: int, job) -> Group:
    """What was studied on a data set; ``job`` makes a run of a setting and a seed."""
    runs = finished()
    return {
        (setting["method"], setting["direction"]): [
            runs[key(job(setting, seed))] for seed in range(seeds)
        ]
        for setting in settings([data])
    }


def references(data: str, seeds: int) -> dict[str, dict[str, list[float]]]:
    """What real samples measure, and their mean, repeated, as many as are generated."""
    found: dict[str, dict[str, list[float]]] = {"real samples": {}, "their mean alone": {}}
    for seed in range(seeds):
        problem = PROBLEMS[data](seed)
        real = problem.real(torch.Generator().manual_seed(seed))
        for name, events in zip(found, (real, real.mean(0).expand_as(real)), strict=True):
            for measure, value in problem.measure(events).items():
                found[name].setdefault(measure, []).append(value)
    return found


def evaluations(method: str) -> int:
    """Batches whose gradients make one move."""
    kind, _, window = method.partition(" ")
    return (EPOCH if window == "epoch" else int(window)) if kind == "accumulated" else 1


def row(group: Group, data: str, budget: str, name: tuple[str, str], rival: list[dict]) -> str:
    """A line of a table."""
    ours = group[name]
    distances = [distance(run, budget) for run in ours]
    averaged = [distance(run, budget, "generator_ema") for run in ours]
    cells = [
        *name,
        f"{ours[0]['lr']:g}",
        shown(distances, TOP[data]),
        "1" if rival is ours else quotient(distances, [distance(run, budget) for run in rival]),
        shown([further(run, budget, "modes") for run in ours]),
        shown([further(run, budget, SHARE[data]) for run in ours]),
        shown(averaged, TOP[data]),
        str(sum(broke(run, budget) for run in ours)),
    ]
    return "| " + " | ".join(cells) + " |"


def cost_table(group: Group, full: int) -> None:
    """Print what each method's moves cost."""
    print("\n| method | gradients of a move | moves of G in all | batches to equal moves |")
    print("|---|---|---|---|")
    for method in NAMES:
        made = group[method, "Adam"][0]["samples"][-1]["moves"]["generator"]
        needed = batches_for(method, moves_of(full))
        print(f"| {method} | {evaluations(method)} | {made} | {needed} |")


def table(group: Group, data: str, budget: str, known: dict) -> None:
    """Print one."""
    heads = [
        *("method", "direction", "lr", LABELS[data], "times GAN's", COUNTED[data]),
        *(SHARE[data], "distance of the average", "diverged"),
    ]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name, measures in known.items():
        distances, modes, share = (shown(values) for values in measures.values())
        print(f"| {name} | | | {distances} | | {modes} | {share} | | |")
    for direction in DIRECTIONS:
        for method in NAMES:
            print(row(group, data, budget, (method, direction), group["GAN", direction]))
    print()


def panel(axes, group: Group, values, lines: list[float], top: float | None) -> None:
    """Draw means, intervals and seeds of every setting; those past ``top`` at the edge."""
    floor = lines[0] / 3
    for at, direction in enumerate(DIRECTIONS):
        for x, method in enumerate(NAMES):
            found = [values(run) for run in group[method, direction]]
            place, colour = x + 0.19 * (at - 1.5), COLOURS[at]
            seen = found if top is None else [min(value, top) for value in found]
            axes.plot([place] * len(seen), seen, ".", ms=3, color=colour, alpha=0.5, zorder=2)
            if top is not None and max(found) > top:
                axes.plot(place, top, "^", ms=7, color=colour, clip_on=False, zorder=4)
                continue
            centre, width = interval(found)
            low = centre - width if top is None else max(centre - width, floor)
            axes.plot([place] * 2, [low, centre + width], color=colour, lw=1.6, zorder=3)
            axes.plot(place, centre, "o", ms=5.5, color=colour, zorder=4)
    for line, style in zip(lines, STYLES, strict=False):
        axes.axhline(line, color="black", ls=style, lw=1, zorder=1)
    axes.set_xlim(-0.6, len(NAMES) - 0.4)
    for x in range(1, len(NAMES)):
        axes.axvline(x - 0.5, color="0.9", lw=0.8, zorder=0)
    if top is None:
        axes.set_ylim(-0.4, lines[0] + 0.4)
    else:
        axes.set_yscale("log")
        axes.set_ylim(floor, top)
    names = [name.replace("accumulated", "accum.").replace(" ", "\n") for name in NAMES]
    axes.set_xticks(range(len(NAMES)), names, fontsize=9)


def picture(groups: dict[tuple[str, str], Group], known: dict, full: int) -> None:
    """Write docs/gean.png: distances and what is covered, both budgets, each data set."""
    rows = [(data, kind) for data in known for kind in ("distance", "modes")]
    figure, grid = plt.subplots(
        len(rows), 2, figsize=(13, 2.9 * len(rows) + 0.9), sharex=True, sharey="row", squeeze=False
    )
    for line, (data, kind) in zip(grid, rows, strict=True):
        for axes, budget in zip(line, BUDGETS, strict=True):
            group, measure = groups[data, budget], "modes" if kind == "modes" else DISTANCE[data]
            lines = [mean(measures[measure]) for measures in known[data].values()]
            if kind == "distance":
                panel(axes, group, lambda run, b=budget: distance(run, b), lines, TOP[data])
            else:
                panel(axes, group, lambda run, b=budget: further(run, b, "modes"), lines[:1], None)
        label = LABELS[data] + " (log)" if kind == "distance" else COUNTED[data]
        line[0].set_ylabel(f"{TITLES[data]}: {label}")
    grid[0][0].set_title(f"equal samples seen: {full} batches")
    grid[0][1].set_title(f"equal moves: {moves_of(full)} of each player")
    marks = [plt.Line2D([], [], marker="o", color=colour, lw=1.6) for colour in COLOURS]
    marks += [plt.Line2D([], [], color="black", ls=style) for style in STYLES]
    marks += [plt.Line2D([], [], marker="^", color="0.4", ls="")]
    figure.legend(
        marks,
        [*DIRECTIONS, *known[rows[0][0]], "a seed lies past the edge"],
        loc="upper center",
        ncols=7,
        frameon=False,
    )
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / figure.get_figheight()))
    figure.savefig("docs/gean.png", dpi=110)


def report(data: list[str], seeds: int, full: int) -> None:
    """Print the tables, write the picture."""
    runs, groups = finished(), {}
    known = {name: references(name, seeds) for name in data}
    for name in data:
        for budget in BUDGETS:
            groups[name, budget] = collect(
                name, seeds, lambda s, seed, b=budget: studied(s, b, seed, full, runs)
            )
            print(f"### {TITLES[name]}, equal {budget}\n")
            table(groups[name, budget], name, budget, known[name])
        print(f"### {TITLES[name]}, equal samples, all at the learning rate chosen for GAN\n")
        group = collect(name, seeds, lambda s, seed: at_gans_rate(s, seed, full, runs))
        table(group, name, "samples", known[name])
        print("GAN at half the samples, as many moves of each player as phased at all of them:")
        for direction in DIRECTIONS:
            halves = [distance(r, "half") for r in groups[name, "samples"]["GAN", direction]]
            print(f"* {direction}: {shown(halves, TOP[name])}")
            for method in NAMES[-4:]:
                ours = groups[name, "samples"][method, direction]
                print(f"  * {method}: {quotient([distance(r, 'samples') for r in ours], halves)}")
        print()
    same = 0
    for setting in settings(data):
        if setting["method"] == "GAN":
            job = studied(setting, "samples", 0, full, runs)
            gan, window = runs[key(job)], runs[key({**job, "method": list(METHODS)[-1]})]
            same += all(gan[budget] == window[budget] for budget in BUDGETS)
    print(f"Accumulated with a window of 1 is GAN to the last digit in {same} runs.")
    extremes = {name: (rates[0], rates[-1]) for name, (_, rates) in DIRECTIONS.items()}
    pairs = [(setting, budget) for setting in settings(data) for budget in BUDGETS]
    ends = sum(chosen(s, b, full, runs) in extremes[s["direction"]] for s, b in pairs)
    print(f"Learning rates at an end of their grid: {ends} of {len(pairs)}.")
    for what, length in {"pilot": full // 2, "study": full}.items():
        seconds = [run["seconds"] for run in runs.values() if run["full"] == length]
        print(f"{what}: {len(seconds)} runs, {sum(seconds) / 3600:.2f} hours of a worker")
    cost_table(groups[data[0], "samples"], full)
    picture(groups, known, full)
