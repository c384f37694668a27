"""Runs killed anywhere and gone on with, against the same run left alone.

    python benchmarks/kill.py [--models GAN GEAN ...] [--kills 20] [--signal KILL TERM]

Every run is a `lightning fit` in a process of its own. It is killed at a random moment, from its
first import on, gone on with by `--resume auto`, killed again, and so on until it has come to its
end; then its weights, metrics.csv, quality.jsonl and sample grids must be those of the run that
nobody killed, to the bit. Checkpoints are written every few tenths of a second, so kills hit them,
too.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

CPU = ["--trainer.accelerator=cpu"]
IMAGES = ["--config=configs/dcgan.yaml", *CPU, "--data.batch_size=16"]
IMAGES += [f"--model.{player}.base_channels=4" for player in ("generator", "discriminator")]
MODELS = {
    "GAN": IMAGES,
    "LSGAN": [*IMAGES, "--model=LSGAN"],
    "WGANGP": [*IMAGES, "--model=WGANGP", "--model.discriminator.norm=none"],
    "R3GAN": [*IMAGES, "--model=R3GAN", "--model.discriminator.norm=none"],
    "GEAN": [*IMAGES, "--model=GEAN", "--model.window=7"],
    "GEAN, epoch": [*IMAGES, "--model=GEAN", "--model.window=epoch"],
    "Phased": [*IMAGES, "--model.schedule=Phased", "--model.schedule.window=5"],
    "VAE": ["--config=configs/vae.yaml", *CPU, "--data.batch_size=16"],
    "mixture": ["--config=configs/mixture_digits.yaml", *CPU, "--data.batch_size=50"],
    "HMM": ["--config=configs/hmm_rows.yaml", *CPU, "--data.batch_size=50"],
}
COMMON = ["--trainer.max_epochs=4", "--trainer.limit_train_batches=25", "--run.wandb=disabled"]
COMMON += ["--trainer.check_val_every_n_epoch=2", "--quality.every_n_epochs=2", "--quality.n=60"]
COMMON += ["--trainer.log_every_n_steps=10", "--run.experiment=killed"]
SAVING = "--checkpoints.every_n_minutes=0.005"


def command(model: list[str], folder: Path) -> list[str]:
    """The fit, whether it begins or goes on."""
    fit = [sys.executable, "-m", "lightning_gans", "fit", *model, *COMMON, SAVING]
    return [*fit, f"--run.folder={folder}", "--resume=auto"]


def left(folder: Path) -> dict[str, str]:
    """What must be equal: a digest of each thing that a run leaves."""
    run = folder / "killed/version_0"
    final = torch.load(run / "checkpoints/final.ckpt", weights_only=True)
    digest = hashlib.sha256()
    for tensor in final["state_dict"].values():
        digest.update(tensor.contiguous().numpy().tobytes())
    found = {"weights": digest.hexdigest(), "clock": str(final["clock"])}
    for name in ("metrics.csv", "quality.jsonl", "modes.jsonl", "samples/*.png"):
        for path in sorted(run.glob(name)):
            found[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def play(model: list[str], folder: Path, kills: int, signals: list[str]) -> tuple[int, str]:
    """Kill a run up to ``kills`` times; how often it was, and what it said that it should not."""
    done, said = 0, ""
    while True:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        started = time.monotonic()
        process = subprocess.Popen(
            command(model, folder),
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        if done < kills:
            try:
                process.wait(random.uniform(0.0, play.seconds))
            except subprocess.TimeoutExpired:
                process.send_signal(getattr(signal, f"SIG{random.choice(signals)}"))
                done += 1
        _, told = process.communicate()
        said += "".join(line for line in told.splitlines(True) if "rror" in line)
        if process.returncode == 0:
            return done, said
        if process.returncode not in (-signal.SIGKILL, -signal.SIGTERM, 143):
            return done, said + f"exit code {process.returncode}: {told[-500:]}"
        play.seconds = max(play.seconds, time.monotonic() - started)


def main() -> None:
    """Play, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--signal", nargs="+", choices=("KILL", "TERM"), default=["KILL"])
    options = parser.parse_args()
    random.seed(0)
    print("| model | killed | the same | different |\n|---|---|---|---|")
    for name in options.models:
        model = MODELS[name]
        with tempfile.TemporaryDirectory() as temporary:
            whole, parts = Path(temporary, "whole"), Path(temporary, "parts")
            started = time.monotonic()
            play(model, whole, 0, options.signal)
            play.seconds = time.monotonic() - started
            killed = 0
            wrong: set[str] = set()
            expected = left(whole)
            while killed < options.kills:
                shutil.rmtree(parts, ignore_errors=True)
                done, said = play(model, parts, min(4, options.kills - killed), options.signal)
                killed += done
                found = left(parts) if not said else {}
                wrong |= {key for key in expected | found if expected.get(key) != found.get(key)}
                wrong |= {said.strip()[-300:]} if said else set()
        print(
            f"| {name} | {killed} | {len(expected) - len(wrong)} | {', '.join(wrong) or '-'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
