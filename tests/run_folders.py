"""Run folders as runs leave them, by the same writers, without training."""

import json
import math
import random
from pathlib import Path

import yaml
from PIL import Image

from lightning_gans.runs import MetricsFile, Records, Sittings, Times

RING = "modes/ring8_r1_std0.01_n2500"


def make_run(
    run: Path,
    *,
    seed: int = 0,
    lr: float = 1e-3,
    reports: int = 20,
    outcome: str | None = "finished",
    pictures: int = 3,
    **more,
) -> Path:
    """A ring's run with ``reports`` reports, 1,000 samples each, whose losses fall with ``lr``."""
    noise = random.Random(f"{run.name} {seed} {lr}")
    (run / "checkpoints").mkdir(parents=True)
    config = {
        "seed_everything": seed,
        "trainer": {"max_epochs": 8, "accelerator": "auto"},
        "model": {
            "class_path": "lightning_gans.models.GAN",
            "init_args": {
                "generator_optimizer": {
                    "class_path": "torch.optim.Adam",
                    "init_args": {"lr": lr, "betas": [0.0, 0.99]},
                },
                "objective": "lightning_gans.objectives.hinge",
            },
        },
        "data": {
            "class_path": "lightning_gans.data.Ring",
            "init_args": {"modes": 8, "seed": seed},
        },
        **more,
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    metrics, times = MetricsFile(run / "metrics.csv"), Times(run / "times.tsv")
    times.begin(0)
    for report in range(1, reports + 1):
        row = {"step": report * 10 - 1, "samples_seen": report * 1000}
        for player in ("discriminator", "generator"):
            row[f"train/{player}_loss"] = math.exp(-200 * lr * report / 20) + noise.random() / 20
        if report % 5 == 0:
            row[f"{RING}/captured_chi2"] = min(8.0, report / 2)
            row[f"{RING}/high_quality_chi2"] = 0.9 * report / reports
        metrics.append(row)
        times.mark(row["step"], row["samples_seen"])
    value = {"value": 0.9, "ideal": 0.9889, "n": 2500, "low": 0.88, "high": 0.92}
    record = {"samples_seen": reports * 1000, "protocol": "ring8_r1_std0.01", "extra": False}
    Records(run / "modes.jsonl").append(record | {"metrics": {"high_quality_chi2": value}})
    sittings = Sittings(run / "run.json")
    sittings.begin(["lightning", "fit", "--config", "configs/ring.yaml"], version="0.1.0")
    if outcome:
        sittings.end(outcome)
    if outcome == "finished":
        (run / "checkpoints/final.ckpt").write_bytes(b"")
    (run / "samples").mkdir()
    for i in range(pictures):
        seen = (i + 1) * reports * 1000 // pictures
        picture = Image.new("RGB", (24, 24), (250 - 60 * i, 80 * i, 60))
        picture.save(run / f"samples/epoch_{i + 1:05d}_samples_{seen:09d}.png")
    return run


def make_sweep(root: Path, name: str, n: int) -> Path:
    """A sweep of ``n`` trials whose runs lie beside it; the second has failed."""
    folder, noise, trials = root / "sweeps" / name, random.Random(n), []
    for number in range(n):
        lr, gamma = 10 ** noise.uniform(-4, -2), noise.choice([0.01, 0.1])
        make_run(folder / f"trial_{number}/version_0", lr=lr, reports=10, pictures=0)
        failed = number == 1
        trials.append(
            {
                "number": number,
                "state": "failed" if failed else "complete",
                "parameters": {"model.generator_optimizer.lr": lr, "model.gamma": gamma},
                "value": None if failed else math.log10(lr) ** 2,
                "values": [],
                "spread": None,
                "low": None,
                "high": None,
                "samples_seen": 10000,
                "runs": [f"trial_{number}/version_0"],
                "started": None,
                "ended": None,
                "message": "out of memory" if failed else "",
            }
        )
    lr = {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}
    content = {
        "name": name,
        "method": "random",
        "metric": {"name": "quality/x_n360/fd_digits", "goal": "minimize"},
        "parameters": {"model.generator_optimizer.lr": lr, "model.gamma": {"values": [0.01, 0.1]}},
        "command": ["lightning", "sweep", f"configs/sweeps/{name}.yaml"],
        "trials": trials,
    }
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder
