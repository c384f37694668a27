"""What a sweep costs beyond its runs, beside Optuna driven by hand over the same runs.

``python benchmarks/sweep.py``: rounds of both in turn; medians. The runs are as short as they can
be, so that what lies between them shows.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from sweep_killed import SWEEP

ROUNDS, TRIALS = 3, 4
FIT = [sys.executable, "-m", "lightning_gans"]
OPTIONS = SWEEP["command"][1:-1]


def by_hand(place: Path) -> float:
    """Seconds of a loop over ask, ``lightning fit``, read the loss, tell."""
    storage = JournalStorage(JournalFileBackend(str(place / "hand.log")))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    began = time.monotonic()
    for i in range(TRIALS):
        trial = study.ask()
        rate = trial.suggest_float("model.generator_optimizer.lr", 1e-4, 1e-2, log=True)
        where = [f"--run.experiment=hand_{i}", f"--model.generator_optimizer.lr={rate}"]
        subprocess.run([*FIT, *OPTIONS, *where], cwd=place, check=True, capture_output=True)
        text = (place / f"runs/hand_{i}/version_0/metrics.csv").read_text().splitlines()
        column = text[0].split(",").index("val/generator_loss")
        study.tell(trial, float([line.split(",")[column] for line in text if line][-1]))
    return time.monotonic() - began


def by_sweep(place: Path) -> tuple[float, list[float], float]:
    """Seconds of all trials, between two each, and before and after them."""
    (place / "tiny.yaml").write_text(yaml.safe_dump({**SWEEP, "run_cap": TRIALS}))
    began, log = time.monotonic(), place / "runs/sweeps/tiny/journal.log"
    subprocess.run([*FIT, "sweep", "tiny.yaml"], cwd=place, check=True, capture_output=True)
    whole = time.monotonic() - began
    study = optuna.load_study(
        study_name="tiny", storage=JournalStorage(JournalFileBackend(str(log)))
    )
    times = [(t.datetime_start, t.datetime_complete) for t in study.trials]
    gaps = [(b[0] - a[1]).total_seconds() for a, b in zip(times, times[1:], strict=False)]
    trials = (times[-1][1] - times[0][0]).total_seconds()
    return trials, gaps, whole - trials


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    hands, sweeps, between, once = [], [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            hands.append(by_hand(Path(folder)) / TRIALS)
            trials, gaps, before = by_sweep(Path(folder))
        sweeps.append(trials / TRIALS)
        between += gaps
        once.append(before)
    hand, sweep = statistics.median(hands), statistics.median(sweeps)
    found = {
        "seconds_a_trial_by_hand": hand,
        "seconds_a_trial_by_sweep": sweep,
        "trials_an_hour_by_hand": 3600 / hand,
        "trials_an_hour_by_sweep": 3600 / sweep,
        "seconds_between_trials": statistics.median(between),
        "most_seconds_between_trials": max(between),
        "seconds_once": statistics.median(once),
    }
    print(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=1))
    print("rounds by hand", [f"{x:.2f}" for x in hands], "by sweep", [f"{x:.2f}" for x in sweeps])


if __name__ == "__main__":
    main()
