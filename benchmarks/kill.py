"""Runs killed anywhere and gone on with, against the same run left alone.

    python benchmarks/kill.py [--models GAN GEAN ...] [--kills 20] [--signal KILL TERM]
    python benchmarks/kill.py --models "two processes" --kills 10

Every run is a `lightning fit` in a process of its own. It is killed at a random moment, gone on
with by `--resume auto`, killed again, and so on until it has come to its end; then its weights,
metrics.csv, quality.jsonl, modes.jsonl and sample grids must be those of the run that nobody
killed, to the bit. Checkpoints are written every few tenths of a second, so kills hit them, too.

The processes are forked from one that has imported everything, so that no kill is spent on
imports; an instant before it, the process says where it is. Two processes are started as a user
starts them; one of them is killed, or both, and one that is left must end by itself.
"""

import argparse
import faulthandler
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import torch

import lightning_gans.cli  # noqa: F401  before the forks
from lightning_gans.__main__ import main as lightning
from lightning_gans.runs import runs_of

CPU = ["--trainer.accelerator=cpu", "--run.wandb=disabled", "--run.experiment=killed"]
IMAGES = ["--config=configs/dcgan.yaml", *CPU, "--data.batch_size=16"]
IMAGES += [f"--model.{player}.base_channels=4" for player in ("generator", "discriminator")]
SHORT = ["--trainer.max_epochs=4", "--trainer.limit_train_batches=25"]
SHORT += ["--trainer.check_val_every_n_epoch=2", "--quality.every_n_epochs=2", "--quality.n=60"]
SHORT += ["--trainer.log_every_n_steps=10", "--checkpoints.every_n_minutes=0.005"]
ALONE = {
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
MNIST = ["--config=configs/dcgan_mnist.yaml", "--trainer.devices=2", *CPU, "--quality.n=100"]
MNIST += ["--trainer.max_epochs=3", "--trainer.limit_train_batches=15"]
MNIST += ["--trainer.limit_val_batches=2", "--trainer.log_every_n_steps=7"]
MNIST += ["--checkpoints.every_n_minutes=0.005", "--data.batch_size=16"]
TOGETHER = {"two processes": MNIST}

PLACES = {
    "write_checkpoint": "saving",
    "val_loop": "validation",
    "evaluate": "evaluation",
    "_write_curves": "drawing",
    "_write": "drawing",
    "training_step": "a step",
    "_load": "loading",
    "setup": "setup",
}
"""What a process was doing, by a word in its stack: the first that is found."""


def fit(args: list[str], said: Path, stack: Path) -> None:
    """`lightning fit` in this forked process."""
    with said.open("w") as told, open(os.devnull, "w") as nothing, stack.open("w") as where:
        os.dup2(told.fileno(), 2)
        os.dup2(nothing.fileno(), 1)
        faulthandler.register(signal.SIGUSR2, where, all_threads=False)
        sys.argv[1:] = args
        os._exit(lightning(args))


class Alone:
    """A run in one process."""

    def __init__(self, args: list[str], folder: Path) -> None:
        self.said, self._stack = folder / "said", folder / "stack"
        forked = multiprocessing.get_context("fork")
        self._process = forked.Process(target=fit, args=(args, self.said, self._stack))
        self._process.start()

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code, or None if ``seconds`` pass before."""
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self, number: signal.Signals) -> str:
        """Where it was when it was killed."""
        os.kill(self._process.pid, signal.SIGUSR2)
        time.sleep(0.003)
        os.kill(self._process.pid, number)
        stack = self._stack.read_text()
        return next((place for word, place in PLACES.items() if word in stack), "elsewhere")


class Both:
    """A run in two processes, started as a user does."""

    longest = 0.0
    """Seconds that a process took to end after the other was killed."""

    def __init__(self, args: list[str], folder: Path) -> None:
        self.said = folder / "said"
        command = [sys.executable, "-m", "lightning_gans", *args]
        with self.said.open("w") as said:
            self._first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)

    def wait(self, seconds: float | None = None) -> int | None:
        """The first one's exit code, or None if ``seconds`` pass before."""
        try:
            return self._first.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self, number: signal.Signals) -> str:
        """Who was killed."""
        first = self._first.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        pids = {"the first": [first], "the second": children, "both": [first, *children]}
        who = random.choice(list(pids)) if children else "the first"
        for pid in map(int, pids[who]):
            os.kill(pid, number)
        started = time.monotonic()
        self.wait()
        for pid in map(int, children):
            with suppress(ProcessLookupError):
                while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                    time.sleep(0.02)
            Both.longest = max(Both.longest, time.monotonic() - started)
        return who


def left(folder: Path) -> dict[str, str]:
    """What must be equal: a digest of each thing that a run leaves.

    One that is killed before its first checkpoint is begun anew, in the next folder.
    """
    run = runs_of(folder / "killed")[0]
    final = torch.load(run / "checkpoints/final.ckpt", weights_only=True)
    digest = hashlib.sha256()
    for tensor in final["state_dict"].values():
        digest.update(tensor.contiguous().numpy().tobytes())
    found = {"weights": digest.hexdigest(), "clock": str(final["clock"])}
    for name in ("metrics.csv", "quality.jsonl", "modes.jsonl", "samples/*.png"):
        for path in sorted(run.glob(name)):
            found[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def play(
    kind: type[Alone] | type[Both], args: list[str], folder: Path, kills: int, options
) -> tuple[Counter[str], str]:
    """Kill a run up to ``kills`` times; where it was, and what it said that it should not."""
    where: Counter[str] = Counter()
    folder.mkdir()
    while True:
        started = time.monotonic()
        run = kind([*args, f"--run.folder={folder}", "--resume=auto"], folder)
        if where.total() < kills:
            code = run.wait(random.uniform(0, play.seconds))
            if code is None:
                number = getattr(signal, f"SIG{random.choice(options.signal)}")
                where[run.kill(number)] += 1
        code = run.wait()
        told = run.said.read_text()
        if "Traceback" in told and kind is Alone:
            return where, told[-500:]
        if code == 0:
            return where, ""
        if kind is Alone and code not in (-signal.SIGKILL, -signal.SIGTERM, 143):
            return where, f"exit code {code}: {told[-500:]}"
        play.seconds = max(play.seconds, time.monotonic() - started)


def compare(name: str, options: argparse.Namespace) -> tuple[Counter[str], set[str], int]:
    """Where runs of ``name`` were killed, what came out different, and how many things equal."""
    kind = Both if name in TOGETHER else Alone
    args = ["fit", *TOGETHER[name]] if kind is Both else ["fit", *ALONE[name], *SHORT]
    where: Counter[str] = Counter()
    wrong: set[str] = set()
    with tempfile.TemporaryDirectory() as temporary:
        whole, parts = Path(temporary, "whole"), Path(temporary, "parts")
        started = time.monotonic()
        _, said = play(kind, args, whole, 0, options)
        if said:
            sys.exit(said)
        play.seconds = time.monotonic() - started
        expected = left(whole)
        while where.total() < options.kills:
            shutil.rmtree(parts, ignore_errors=True)
            now, said = play(kind, args, parts, min(5, options.kills - where.total()), options)
            where += now
            found = {} if said else left(parts)
            wrong |= {key for key in expected | found if expected.get(key) != found.get(key)}
            wrong |= {said} if said else set()
    return where, wrong, len(expected)


def main() -> None:
    """Play, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=[*ALONE, *TOGETHER], default=list(ALONE))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--signal", nargs="+", choices=("KILL", "TERM"), default=["KILL"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    random.seed(options.seed)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # it may come before the fork listens
    print("| model | killed in | the same | different |\n|---|---|---|---|")
    for name in options.models:
        where, wrong, things = compare(name, options)
        places = ", ".join(f"{place} {n}" for place, n in where.most_common())
        same, others = f"{things - len(wrong)} of {things}", ", ".join(wrong) or "-"
        print(f"| {name} | {places} | {same} | {others} |", flush=True)
    if Both.longest:
        print(f"\nA process that was left ended within {Both.longest:.1f} s.")


if __name__ == "__main__":
    main()
