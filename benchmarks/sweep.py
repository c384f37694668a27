"""What a sweep costs beyond its runs, beside Optuna driven by hand over the same runs.

``python benchmarks/sweep.py``: rounds of both in turn; medians. The runs are as short as they can
be, so that what lies between them shows. Time on the processors tells more than time on the clock
where others work on the same machine; that of a sweep is with its start.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from sweep_killed import SWEEP

ROUNDS, TRIALS = 3, 4
FIT = [sys.executable, "-m", "lightning_gans"]
OPTIONS = SWEEP["command"][1:-1]


def processor_seconds() -> float:
    """Of this process and all that it has waited for."""
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def by_hand(place: Path) -> None:
    """A loop over ask, ``lightning fit``, read the loss, tell."""
    storage = JournalStorage(JournalFileBackend(str(place / "hand.log")))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    for i in range(TRIALS):
        trial = study.ask()
        rate = trial.suggest_float("model.generator_optimizer.lr", 1e-4, 1e-2, log=True)
        where = [f"--run.experiment=hand_{i}", f"--model.generator_optimizer.lr={rate}"]
        subprocess.run([*FIT, *OPTIONS, *where], cwd=place, check=True, capture_output=True)
        text = (place / f"runs/hand_{i}/version_0/metrics.csv").read_text().splitlines()
        column = text[0].split(",").index("val/generator_loss")
        study.tell(trial, float([line.split(",")[column] for line in text if line][-1]))


def by_sweep(place: Path, trials: int) -> None:
    """A sweep that has come to this many trials; it goes on with what there is."""
    sweep = [*FIT, "sweep", "tiny.yaml", "--resume", f"--trials={trials}"]
    subprocess.run(sweep, cwd=place, check=True, capture_output=True)


def between_trials(place: Path) -> list[float]:
    """Seconds from a trial's end to the next one's start."""
    backend = JournalFileBackend(str(place / "runs/sweeps/tiny/journal.log"))
    study = optuna.load_study(study_name="tiny", storage=JournalStorage(backend))
    times = [(t.datetime_start, t.datetime_complete) for t in study.trials][1:]
    return [(b[0] - a[1]).total_seconds() for a, b in zip(times, times[1:], strict=False)]


def cost(work: Callable, *args: Any) -> tuple[float, float]:
    """Seconds on the clock and on the processors, a trial."""
    clock, processors = time.monotonic(), processor_seconds()
    work(*args)
    return (time.monotonic() - clock) / TRIALS, (processor_seconds() - processors) / TRIALS


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    hands, sweeps, gaps = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / "tiny.yaml").write_text(yaml.safe_dump(SWEEP))
            by_sweep(place, 1)  # the options are tried out before the first trial, once
            hands.append(cost(by_hand, place))
            sweeps.append(cost(by_sweep, place, 1 + TRIALS))
            gaps += between_trials(place)
    print("seconds a trial (clock, processors): by hand, by sweep")
    for hand, sweep in zip(hands, sweeps, strict=True):
        print("  ", *(f"{value:.2f}" for value in (*hand, *sweep)))
    for i, name in enumerate(("clock", "processors")):
        hand, sweep = (statistics.median(pair[i] for pair in side) for side in (hands, sweeps))
        more = statistics.median(s[i] - h[i] for h, s in zip(hands, sweeps, strict=True))
        print(f"{name}: {hand:.2f} by hand, {sweep:.2f} by sweep, {more:+.2f} a trial")
        if name == "clock":
            print(f"  {3600 / hand:.0f} and {3600 / sweep:.0f} trials an hour, one at a time")
    print(f"between trials: {statistics.median(gaps):.3f} s, at most {max(gaps):.3f} s")


if __name__ == "__main__":
    main()
