"""Runs killed anywhere and gone on with, against the same run left alone.

    python benchmarks/kill.py [--models GAN GEAN ...] [--kills 20] [--signal KILL TERM]
    python benchmarks/kill.py --models "two processes" --kills 10

Every run is a `lightning fit` in a process of its own. It is killed at a random moment, gone on
with by `--resume auto`, killed again, and so on until it has come to its end; then its weights,
metrics.csv, quality.jsonl, modes.jsonl and sample grids must be those of the run that nobody
killed, to the bit. Checkpoints are written every few tenths of a second, so kills hit them, too.

The processes are forked from one that has imported everything, so that no kill is spent on
imports; an instant before it, the (first) process says where it is. Of two processes one is killed,
or both, and one that is left must end by itself.
"""

import argparse
import faulthandler
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_only

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
_PATIENCE = 10.0


def fit(args: list[str], said: Path, stack: Path, rank: int = 0, port: int = 0) -> None:
    """`lightning fit` in this forked process, as one of two if there is a port to meet at."""
    with said.open("w") as told, open(os.devnull, "w") as nothing, stack.open("w") as where:
        os.dup2(told.fileno(), 2)
        os.dup2(nothing.fileno(), 1)
        faulthandler.register(signal.SIGUSR2, where, all_threads=False)
        if port:
            rank_zero_only.rank = rank
            os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE="2")
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        sys.argv[1:] = args
        os._exit(lightning(args))


class Run:
    """A run in one process, or in two.

    Attributes:
        said: What the first one says.
        longest: Seconds that a process took to end after the other was killed.
    """

    longest = 0.0

    def __init__(self, args: list[str], folder: Path, world: int) -> None:
        self.said = folder / "said0"
        self._stacks = [folder / f"stack{rank}" for rank in range(world)]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1] if world > 1 else 0
        forked = multiprocessing.get_context("fork")
        self._processes = []
        for rank in range(world):
            files = (folder / f"said{rank}", self._stacks[rank])
            process = forked.Process(target=fit, args=(args, *files, rank, port))
            process.start()
            self._processes.append(process)

    def wait(self, seconds: float | None = None) -> int | None:
        """The first one's exit code, or None if ``seconds`` pass before; all have ended then."""
        self._processes[0].join(seconds)
        if self._processes[0].exitcode is not None:
            for process in self._processes:
                process.join()
        return self._processes[0].exitcode

    def _meets(self) -> bool:
        """Whether one that is left waits to meet the others."""
        for process, stack in zip(self._processes, self._stacks, strict=True):
            if process.exitcode is None:
                os.kill(process.pid, signal.SIGUSR2)
                time.sleep(0.1)
                if "rendezvous" in stack.read_text():
                    return True
        return False

    def kill(self, number: signal.Signals) -> str:
        """Kill one, or all; where the first was."""
        os.kill(self._processes[0].pid, signal.SIGUSR2)
        time.sleep(0.003)
        world = len(self._processes)
        victims = random.choice([[process] for process in self._processes] + [self._processes])
        for process in victims:
            os.kill(process.pid, number)
        began = time.monotonic()
        while any(process.exitcode is None for process in self._processes):
            time.sleep(0.01)
            if time.monotonic() - began > _PATIENCE and self._meets():
                # Who waits to meet one that is no more is ended by who has started both.
                for process in self._processes:
                    process.kill()
        Run.longest = max(Run.longest, time.monotonic() - began)
        stack = self._stacks[0].read_text()
        place = next((place for word, place in PLACES.items() if word in stack), "elsewhere")
        if world == 1:
            return place
        ranks = {1: f"process {self._processes.index(victims[0])}", world: "both"}
        return f"{ranks[len(victims)]} in {place}"


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
    args: list[str], world: int, folder: Path, kills: int, options: argparse.Namespace
) -> tuple[Counter[str], str]:
    """Kill a run up to ``kills`` times; where it was, and what it said that it should not."""
    where: Counter[str] = Counter()
    folder.mkdir()
    while True:
        started = time.monotonic()
        run = Run([*args, f"--run.folder={folder}", "--resume=auto"], folder, world)
        if where.total() < kills and run.wait(random.uniform(0, play.seconds)) is None:
            where[run.kill(getattr(signal, f"SIG{random.choice(options.signal)}"))] += 1
        code = run.wait()
        told = run.said.read_text()
        if code == 0:
            return where, ""
        # Who is left where another was killed ends by a message.
        expected = (-signal.SIGKILL, -signal.SIGTERM, 143, *([2] if world > 1 else []))
        if "Traceback" in told or code not in expected:
            return where, f"exit code {code}: {told[-500:]}"
        play.seconds = max(play.seconds, time.monotonic() - started)


def compare(name: str, options: argparse.Namespace) -> tuple[Counter[str], set[str], int]:
    """Where runs of ``name`` were killed, what came out different, and how many things equal."""
    world = 2 if name in TOGETHER else 1
    args = ["fit", *TOGETHER[name]] if world == 2 else ["fit", *ALONE[name], *SHORT]
    where: Counter[str] = Counter()
    wrong: set[str] = set()
    with tempfile.TemporaryDirectory() as temporary:
        whole, parts = Path(temporary, "whole"), Path(temporary, "parts")
        started = time.monotonic()
        _, said = play(args, world, whole, 0, options)
        if said:
            sys.exit(said)
        play.seconds = time.monotonic() - started
        expected = left(whole)
        while where.total() < options.kills:
            shutil.rmtree(parts, ignore_errors=True)
            now, said = play(args, world, parts, min(5, options.kills - where.total()), options)
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
    print(f"\nAfter a kill all had ended within {Run.longest:.1f} s.")


if __name__ == "__main__":
    main()
