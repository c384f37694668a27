"""Twelve trials whose sweep is killed three times and gone on with: none is lost, none repeated.

``python benchmarks/sweep_killed.py [--workers 2] [--storage postgresql://...]``
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

TRIALS, KILLS = 12, 3
SWEEP = {
    "method": "random",
    "metric": {"name": "val/generator_loss"},
    "run_cap": TRIALS,
    "parameters": {
        "model.generator_optimizer.lr": {
            "distribution": "log_uniform_values",
            "min": 1e-4,
            "max": 1e-2,
        }
    },
    "command": [
        *("lightning", "fit", "--config", "configs/ring_gan.yaml", "--samples.n=4"),
        *("--data.batches_per_epoch=3", "--modes.every_n_epochs=0", "--trainer.max_epochs=2"),
        *("--trainer.check_val_every_n_epoch=1", "--run.wandb=disabled", "${args}"),
    ],
}


def trials(folder: Path) -> list[dict]:
    try:
        return json.loads((folder / "sweep.json").read_text())["trials"]
    except FileNotFoundError:
        return []


def finals(folder: Path) -> dict[str, int]:
    """When each run of a complete trial was last written."""
    complete = [f"trial_{t['number']}" for t in trials(folder) if t["state"] == "complete"]
    paths = [p for name in complete for p in folder.glob(f"{name}/*/checkpoints/final.ckpt")]
    return {str(path): path.stat().st_mtime_ns for path in paths}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--storage")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    (place / "tiny.yaml").write_text(yaml.safe_dump(SWEEP))
    name = f"killed_{random.randrange(10**6)}"
    folder = place / "runs/sweeps" / name
    command = [sys.executable, "-m", "lightning_gans", "sweep", "tiny.yaml", "--resume"]
    command += ["--name", name, "--jobs", str(2 // options.workers)]
    command += ["--storage", options.storage] if options.storage else []

    def start() -> list[subprocess.Popen]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return [subprocess.Popen(command, cwd=place, **quiet) for _ in range(options.workers)]

    began = time.monotonic()
    for kill in range(KILLS):
        workers = start()
        wanted = len(finals(folder)) + random.randint(1, 3)
        while len(finals(folder)) < min(wanted, TRIALS - 1):
            time.sleep(0.2)
        time.sleep(random.uniform(0, 3))
        done = finals(folder)
        for worker in workers[: 1 if options.workers > 1 and kill < KILLS - 1 else None]:
            worker.send_signal(signal.SIGKILL)
        running = [t["number"] for t in trials(folder) if t["state"] == "running"]
        print(f"killed with {len(done)} complete, {running} running", flush=True)
        if options.workers > 1 and kill < KILLS - 1:
            workers[1].wait()  # the other one finishes or goes on with all of it
            break
        for worker in workers:
            worker.wait()
        assert done.items() <= finals(folder).items()
    codes = [worker.wait() for worker in start()]
    states = [trial["state"] for trial in trials(folder)]
    assert codes == [0] * options.workers, codes
    assert states == ["complete"] * TRIALS, states
    assert done.items() <= finals(folder).items(), "a trial that was complete was run again"
    versions = [len(list(folder.glob(f"trial_{i}/version_*"))) for i in range(TRIALS)]
    assert versions == [1] * TRIALS, versions
    rates = {trial["parameters"]["model.generator_optimizer.lr"] for trial in trials(folder)}
    assert len(rates) == TRIALS
    print(f"{TRIALS} trials complete, each once, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
