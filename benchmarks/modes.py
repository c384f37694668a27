"""Modes that shipped recipes and their rivals capture, over seeds.

    python benchmarks/modes.py run [--rows recipe GAN ...] [--data ring grid ...] [--seeds 10]
    python benchmarks/modes.py report

Each run is a `lightning fit` of a shipped YAML with the row's options, in a process of its own on
one core, two at a time; what is counted is the last line of its modes.jsonl. Runs that are in
benchmarks/modes.jsonl are not run again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t

RUNS = Path(__file__).with_suffix(".jsonl")
DATA = {
    "ring": ["configs/ring.yaml"],
    "grid": ["configs/grid.yaml"],
    "grid100": ["configs/grid.yaml", "--data.side=10"],
    "ring, power 1": ["configs/ring.yaml", "--data.power=1.0"],
    "10-D mixture": ["configs/mixture_random.yaml"],
}
STACKED = {
    "stacked MNIST": ["configs/stacked_mnist.yaml"],
    "stacked MNIST, D of half": ["configs/benchmarks/stacked_mnist_tiny_half.yaml"],
    "stacked MNIST, D of a quarter": ["configs/benchmarks/stacked_mnist_tiny_quarter.yaml"],
}
PLAIN = ["--model.objective=lightning_gans.objectives.non_saturating", "--model.penalties=[]"]
ROWS = {
    "recipe": [],
    "GAN": PLAIN,
    "LSGAN": ["--model.objective=LeastSquares", "--model.penalties=[]"],
    "WGAN-GP": [
        "--model.objective=lightning_gans.objectives.wasserstein",
        "--model.penalties=[{class_path: GradientPenalty}]",
        "--model.schedule=Alternating",
        "--model.schedule.ratio=5",
    ],
    "R3GAN, weights constant": [
        "--model.penalties=[{class_path: R1, init_args: {gamma: 0.05}}, "
        "{class_path: R2, init_args: {gamma: 0.05}}]"
    ],
    "PacGAN2": [*PLAIN, "--model.discriminator.packing=2"],
    "Unrolled 5": [*PLAIN, "--model.update=Unrolled", "--model.update.steps=5"],
    "GEAN 4": [*PLAIN, "--model.schedule=Accumulated", "--model.schedule.window=4"],
}
REMEDIES = {
    "packs of 2": ["--model.discriminator.packing=2", "--data.batch_size=256"],
    "R3GAN": ["--model=R3GAN", "--model.discriminator.norm=none"],
}
METRICS = ("captured_chi2", "high_quality_chi2", "reverse_kl", "total_variation", "spread")


def finished() -> list[dict]:
    """The runs on file."""
    return [json.loads(line) for line in RUNS.read_text().splitlines()] if RUNS.exists() else []


def play(data: str, row: str, seed: int, batches: int | None) -> dict:
    """One run, as a user would start it; its last evaluation."""
    folder = Path("runs/modes_study") / f"{data}_{row}_{seed}".replace(" ", "_").replace(",", "")
    shutil.rmtree(folder, ignore_errors=True)
    config, *options = (DATA | STACKED)[data]
    command = [
        *(sys.executable, "-m", "lightning_gans", "fit", f"--config={config}", *options),
        *(f"--seed_everything={seed}", f"--data.seed={seed}", f"--run.folder={folder}"),
        *("--run.wandb=disabled", "--trainer.accelerator=cpu", "--trainer.log_every_n_steps=500"),
        *("--samples.every_n_epochs=1000", "--modes.every_n_epochs=1000"),
        *(ROWS | REMEDIES)[row],
    ]
    if batches is not None:
        command.append(f"--trainer.max_steps={batches}")
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            command, stdout=told, stderr=told, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        _, status, used = os.wait4(process.pid, 0)
        told.seek(0)
        words = told.read()
    seconds = round(time.perf_counter() - started, 1)
    cpu, code = round(used.ru_utime + used.ru_stime, 1), os.waitstatus_to_exitcode(status)
    found = sorted(folder.glob("*/*/modes.jsonl"))
    last = json.loads(found[0].read_text().splitlines()[-1]) if found else None
    if code and last is None:
        raise RuntimeError(f"{' '.join(command)}\n{words}")
    return {
        **{"data": data, "row": row, "seed": seed, "seconds": seconds, "cpu": cpu, "rc": code},
        **{"tried": batches, "batches": last["batch"]},
        **{key: last[key] for key in ("n", "protocol", "counts")},
        **{name: measured["value"] for name, measured in last["metrics"].items()},
        "low": {name: measured["low"] for name, measured in last["metrics"].items()},
        "high": {name: measured["high"] for name, measured in last["metrics"].items()},
        "ideal": {name: measured["ideal"] for name, measured in last["metrics"].items()},
    }


def run(data: list[str], rows: list[str], seeds: range, batches: int | None, workers: int) -> None:
    """Play what is not on file yet."""
    known = {(r["data"], r["row"], r["seed"]) for r in finished() if r["tried"] == batches}
    jobs = [(d, r, s) for s in seeds for d in data for r in rows if (d, r, s) not in known]
    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(play, *job, batches) for job in jobs]
        for count, future in enumerate(as_completed(futures), 1):
            with RUNS.open("a") as file:
                file.write(json.dumps(future.result()) + "\n")
            spent = (time.perf_counter() - started) / 60
            left = spent / count * (len(jobs) - count)
            print(f"{count}/{len(jobs)}, {spent:.1f} min, {left:.1f} left", flush=True)


def interval(values: list[float], digits: int) -> str:
    """Mean and half the 95 % interval (Student t)."""
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):.{digits}f} ± {half:.{digits}f}"


def table(title: str, head: str) -> None:
    """The head of a table in Markdown."""
    print(f"\n{title}\n\n| data | row | seeds | {head} |\n" + "|---" * (head.count("|") + 4) + "|")


def report() -> None:
    """Tables in Markdown, of whole runs; a perfect sampler's numbers are in brackets."""
    runs = [run for run in finished() if run["tried"] is None]

    def of(data: str, row: str) -> list[dict]:
        return [run for run in runs if (run["data"], run["row"]) == (data, row)]

    table(
        "Points",
        "broke off | modes | fewest | HQ % | worst HQ | reverse KL | worst KL | TV | spread "
        "| s a run",
    )
    for data, row in product(DATA, ROWS):
        if len(own := of(data, row)) < 2:
            continue
        modes, quality, kl, tv, spread = ([r[name] for r in own] for name in METRICS)
        ideal = own[0]["ideal"]
        wanted = 100 * ideal["high_quality_chi2"]
        quality = [100 * share for share in quality]
        far = max(quality, key=lambda share: abs(share - wanted))
        print(
            f"| {data} | {row} | {len(own)} | {sum(r['rc'] != 0 for r in own)} | "
            f"{interval(modes, 1)} | {min(modes):.0f} | "
            f"{interval(quality, 2)} ({wanted:.2f}) | {far:.2f} | "
            f"{interval(kl, 4)} ({ideal['reverse_kl']:.4f}) | {max(kl):.4f} | "
            f"{interval(tv, 3)} ({ideal['total_variation']:.3f}) | "
            f"{interval(spread, 2)} ({ideal['spread']:.2f}) | "
            f"{mean(r['seconds'] for r in own):.0f} |"
        )
    table("Triples of digits", "batches | raw modes | corrected, interval | reverse KL | s a run")
    for data, row in product(STACKED, ROWS | REMEDIES):
        if not (own := of(data, row)):
            continue
        raw = ", ".join(f"{r['captured']:.0f}" for r in own)
        corrected = "; ".join(
            f"{r['corrected']:.0f}, {r['low']['corrected']:.0f} to {r['high']['corrected']:.0f}"
            for r in own
        )
        kl = ", ".join(f"{r['reverse_kl']:.4f}" for r in own)
        print(
            f"| {data} | {row} | {len(own)} | {own[0]['batches']:,} | {raw} | {corrected} | "
            f"{kl} ({own[0]['ideal']['reverse_kl']:.4f}) | {mean(r['seconds'] for r in own):.0f} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--data", nargs="+", choices=DATA | STACKED, default=list(DATA))
    parser.add_argument("--rows", nargs="+", choices=ROWS | REMEDIES, default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=5, help="this many, from 0 (5)")
    parser.add_argument("--batches", type=int, help="end earlier, for a try")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.what == "run":
        seeds = range(options.seeds)
        run(options.data, options.rows, seeds, options.batches, options.workers)
    else:
        report()
