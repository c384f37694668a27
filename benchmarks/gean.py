"""GAN against GEAN on Ring and Digits, at equal samples seen and at equal moves; five seeds.

    python benchmarks/gean.py run       # resumable, one JSON line a run in runs/gean.jsonl
    python benchmarks/gean.py report    # the tables, and docs/gean.png

Every setting (data, method, direction, budget) takes the learning rate of `DIRECTIONS` that did
best for it in a pilot of half the length, one run for each rate, on a seed of its own; then it
plays its seeds, and once more at the rate that was chosen for GAN. The budget of moves is what the
accumulated method makes with a window of an epoch. A distance is the mean of those at the four
`MARKS` of a budget. Cost: 892 runs, 34 minutes of two workers on two cores with some other work.
"""

import argparse
import json
import logging
import math
import multiprocessing
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import mean

import torch
from gean_play import DIRECTIONS, EPOCH, METHODS, PROBLEMS, moves_of, play

RUNS = Path("runs/gean.jsonl")
BATCHES = 2560
PILOT_SEED = 100
BUDGETS = ("samples", "moves")
DISTANCE = {"ring": "energy", "digits": "frechet"}


def key(job: dict) -> str:
    """What tells one run from another."""
    names = ("data", "method", "direction", "lr", "seed", "batches", "full")
    return json.dumps([job[name] for name in names])


def finished() -> dict[str, dict]:
    """The runs on file, by key."""
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    return {key(run): run for run in map(json.loads, lines)}


def distance(run: dict, budget: str, network: str = "generator") -> float:
    """Mean distance to the true data at the marks of a budget; infinite if a sample is."""
    found = [mark[network] for mark in run[budget]]
    return math.inf if None in found else mean(m[DISTANCE[run["data"]]] for m in found)


def broke(run: dict, budget: str) -> bool:
    """Whether a run had diverged by the end of a budget."""
    return run["diverged"] is not None and run[budget][-1]["batches"] == run["diverged"]


def settings(data: list[str]) -> list[dict]:
    """Every combination that is studied."""
    return [
        {"data": name, "method": method, "direction": direction}
        for name in data
        for method in list(METHODS)[:-1]
        for direction in DIRECTIONS
    ]


def pilots(setting: dict, full: int) -> list[dict]:
    """A run of half the length for each learning rate."""
    rates, half = DIRECTIONS[setting["direction"]][1], full // 2
    seed = {"seed": PILOT_SEED, "batches": half, "full": half}
    return [{**setting, "lr": lr, **seed} for lr in rates]


def chosen(setting: dict, budget: str, full: int, runs: dict[str, dict]) -> float:
    """The learning rate that did best at ``budget`` in the pilot runs."""
    tried = [runs[key(job)] for job in pilots(setting, full)]
    return min(tried, key=lambda run: (broke(run, budget), distance(run, budget)))["lr"]


def batches_for(method: str, moves: int) -> int:
    """Batches in which both players make ``moves`` moves."""
    kind, _, window = method.partition(" ")
    size = EPOCH if window == "epoch" else int(window or 1)
    if kind == "accumulated":
        return moves * size
    # The generator starts when the discriminator has ended as many phases.
    return moves if kind == "GAN" else moves + math.ceil(moves / size) * size


def studied(setting: dict, budget: str, seed: int, full: int, runs: dict[str, dict]) -> dict:
    """The run that stands for a setting at a budget; one run for both if their rates agree."""
    lr = chosen(setting, budget, full, runs)
    short = budget == "moves" and lr != chosen(setting, "samples", full, runs)
    batches = batches_for(setting["method"], moves_of(full)) if short else full
    return {**setting, "lr": lr, "seed": seed, "batches": batches, "full": full}


def at_gans_rate(setting: dict, seed: int, full: int, runs: dict[str, dict]) -> dict:
    """The whole run with the learning rate that was chosen for GAN."""
    lr = chosen({**setting, "method": "GAN"}, "samples", full, runs)
    return {**setting, "lr": lr, "seed": seed, "batches": full, "full": full}


def start_worker() -> None:
    """One core, no chatter."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def play_all(pool: ProcessPoolExecutor, jobs: list[dict], what: str) -> None:
    """Play what is not on file yet, and append it there."""
    known, started = finished(), time.perf_counter()
    todo = [job for name, job in {key(job): job for job in jobs}.items() if name not in known]
    futures = [pool.submit(play, job) for job in todo]
    for done, future in enumerate(as_completed(futures), 1):
        with RUNS.open("a") as file:
            file.write(json.dumps(future.result()) + "\n")
        spent = time.perf_counter() - started
        left = spent / done * (len(todo) - done)
        print(f"{what} {done}/{len(todo)}, {spent / 60:.1f} min, {left / 60:.1f} left", flush=True)


def run(data: list[str], seeds: int, workers: int, full: int) -> None:
    """The pilot, then the study."""
    RUNS.parent.mkdir(exist_ok=True)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=start_worker) as pool:
        play_all(pool, [job for s in settings(data) for job in pilots(s, full)], "pilot")
        runs = finished()
        jobs = [
            studied(setting, budget, seed, full, runs)
            for seed in range(seeds)
            for setting in settings(data)
            for budget in BUDGETS
        ]
        same = [{**job, "method": list(METHODS)[-1]} for job in jobs if job["method"] == "GAN"]
        jobs += [job for job in same if job["seed"] == 0 and job["batches"] == full]
        jobs += [at_gans_rate(s, seed, full, runs) for seed in range(seeds) for s in settings(data)]
        play_all(pool, jobs, "study")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--data", choices=(*PROBLEMS, "all"), default="all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, default=BATCHES)
    options = parser.parse_args()
    data = list(PROBLEMS) if options.data == "all" else [options.data]
    if options.what == "run":
        run(data, options.seeds, options.workers, options.batches)
    else:
        from gean_report import report

        report(data, options.seeds, options.batches)
