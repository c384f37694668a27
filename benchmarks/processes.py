"""What two processes gain, what they send, and what saving and stopping cost.

    python benchmarks/processes.py [speed strategy checkpoints sigterm]

* `speed`: images a second of two processes against one with a single thread, DCGAN of 32 x 32
  pixels, 32 base channels, batch 64 a process; turn by turn, medians over rounds.
* `strategy`: our strategy's step against the same losses under torch's DistributedDataParallel,
  both networks in one module as Lightning's DDP wraps it, `find_unused_parameters`; bytes sent.
* `checkpoints`: time of writing last.ckpt, synced and read back, against that of 1,000 batches.
* `sigterm`: seconds from SIGTERM to a whole checkpoint, one process and two.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from torch import distributed, multiprocessing, nn
from torch.nn.functional import softplus

from lightning_gans.data import Digits
from lightning_gans.models import GAN
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator
from lightning_gans.strategies import Replicas

BATCH, WARM, TIMED, ROUNDS = 64, 2, 6, 3


def adam(parameters: Any) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999), fused=True)


def networks(channels: int = 32) -> tuple[DCGANGenerator, DCGANDiscriminator]:
    torch.manual_seed(0)
    return DCGANGenerator(32, 1, 100, channels), DCGANDiscriminator(32, 1, channels)


class Timer(Callback):
    """Seconds of the batches after the first few."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Look at the clock."""
        if trainer.global_step == WARM:
            self.began, self.busy = time.perf_counter(), time.process_time()
        elif trainer.global_step == WARM + TIMED:
            self.seconds = time.perf_counter() - self.began
            self.busy = time.process_time() - self.busy


def ours(world: int) -> tuple[float, float, float]:
    """Seconds a step, bytes averaged a step, and seconds of the processor's time a step."""
    timer = Timer()
    strategy = Replicas(cluster_environment=LightningEnvironment()) if world > 1 else "auto"
    trainer = Trainer(
        max_steps=WARM + TIMED,
        accelerator="cpu",
        devices=world,
        callbacks=[timer],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
        strategy=strategy,
    )
    generator, discriminator = networks()
    model = GAN(generator, discriminator, generator_optimizer=adam, discriminator_optimizer=adam)
    trainer.fit(model, datamodule=Digits(32, batch_size=BATCH))
    sent = getattr(trainer.strategy, "bytes_averaged", 0) / (WARM + TIMED)
    return timer.seconds / TIMED, sent, timer.busy / TIMED


class Both(nn.Module):
    """Both players in one module, as Lightning hands a whole LightningModule to DDP."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = networks()

    def forward(self, real: torch.Tensor, latents: torch.Tensor, player: str) -> torch.Tensor:
        """A player's non-saturating loss."""
        fake = self.generator(latents)
        if player == "generator":
            return softplus(-self.discriminator(fake)).mean()
        logits = self.discriminator(torch.cat([real, fake.detach()]))
        judged_real, judged_fake = logits.chunk(2)
        return softplus(-judged_real).mean() + softplus(judged_fake).mean()


def theirs() -> tuple[float, float]:
    """Seconds a step of a loop under DistributedDataParallel, and bytes of its buckets a step."""
    both = Both()
    wrapped = nn.parallel.DistributedDataParallel(both, find_unused_parameters=True)
    players = {"discriminator": both.discriminator, "generator": both.generator}
    optimizers = {name: adam(network.parameters()) for name, network in players.items()}
    data = Digits(32, batch_size=BATCH)
    batches = iter(data.train_dataloader())
    for step in range(WARM + TIMED):
        if step == WARM:
            began = time.perf_counter()
        real, _ = next(batches)
        latents = torch.randn(len(real), 100)
        for player, optimizer in optimizers.items():
            wrapped.zero_grad()
            wrapped(real, latents, player).backward()
            optimizer.step()
    seconds = (time.perf_counter() - began) / TIMED
    # Every backward pass sends all buckets, those of who is not used too.
    buckets = wrapped._get_ddp_logging_data()["bucket_sizes"].split(", ")
    return seconds, len(players) * sum(map(int, buckets))


def work(rank: int, kinds: list[str], port: int, answers: Any) -> None:
    """Take turns, as one of so many processes, with one thread each."""
    torch.set_num_threads(1)
    environment = {"LOCAL_RANK": rank, "NODE_RANK": 0, "MASTER_ADDR": "127.0.0.1"}
    os.environ.update({k: str(v) for k, v in environment.items()}, MASTER_PORT=str(port))
    os.environ["WORLD_SIZE"] = "2"
    for kind in kinds:
        if kind == "theirs" and not distributed.is_initialized():
            distributed.init_process_group("gloo", rank=rank, world_size=2)
        if kind == "alone" and rank:
            distributed.barrier()
            continue
        found = theirs() if kind == "theirs" else ours(1 if kind == "alone" else 2)
        if kind == "alone":
            distributed.barrier()
        if rank == 0:
            answers.put((kind, *found))
    distributed.destroy_process_group()


def rounds(*kinds: str) -> dict[str, list[tuple[float, ...]]]:
    """Turn by turn, what each takes and sends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers = multiprocessing.get_context("spawn").SimpleQueue()
    turns = ["together", *kinds * ROUNDS]  # the first starts what the processes talk by
    spawned = multiprocessing.spawn(work, (turns, port, answers), nprocs=2, join=False)
    found: dict[str, list[tuple[float, ...]]] = {}
    for turn, _ in enumerate(turns):
        kind, *numbers = answers.get()
        if turn:
            found.setdefault(kind, []).append(tuple(numbers))
    while not spawned.join():
        pass
    return found


def told(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def speed() -> None:
    found = rounds("alone", "together")
    pairs = list(zip(found["alone"], found["together"], strict=True))
    one = statistics.median(BATCH / seconds for seconds, *_ in found["alone"])
    ratios = [2 * alone / together for (alone, *_), (together, *_) in pairs]
    print(f"two processes against one thread: {told(ratios)} times; one has {one:.0f} images/s")
    busy = [together / alone for (*_, alone), (*_, together) in pairs]
    print(f"processor time of a step in each of the two, against one alone: {told(busy)}")


def strategy() -> None:
    found = rounds("theirs", "together")
    pairs = list(zip(found["theirs"], found["together"], strict=True))
    print(f"our speed against DDP's: {told([a / b for (a, *_), (b, *_) in pairs])}", end="; ")
    (_, theirs), (_, ours, _) = pairs[0]
    print(f"bytes a step: {ours:,.0f} against {theirs:,.0f}, {ours / theirs:.2f}")


def fit(folder: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "lightning_gans", "fit", "--config=configs/dcgan.yaml"]
    command += ["--trainer.accelerator=cpu", "--run.wandb=disabled", f"--run.folder={folder}"]
    return subprocess.Popen(
        [*command, *options], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def checkpoints() -> None:
    from lightning_gans.callbacks import saved

    class Saving(Callback):
        """Saves on every batch, and times it."""

        def on_train_start(self, *_) -> None:
            self.seconds: list[float] = []
            self.began = time.perf_counter()

        def on_train_batch_end(self, trainer, *_) -> None:
            began = time.perf_counter()
            saved.write_checkpoint(trainer, folder / "checkpoints/last.ckpt")
            self.seconds.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as temporary:
        folder, saving, timer = Path(temporary), Saving(), Timer()
        (folder / "checkpoints").mkdir()
        (folder / "metrics.csv").write_text("step\n")
        for callbacks in ([timer], [saving]):
            trainer = Trainer(
                max_steps=WARM + TIMED,
                accelerator="cpu",
                callbacks=callbacks,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                limit_val_batches=0,
            )
            players = {"generator_optimizer": adam, "discriminator_optimizer": adam}
            trainer.fit(GAN(*networks(), **players), datamodule=Digits(32, batch_size=BATCH))
        size = (folder / "checkpoints/last.ckpt").stat().st_size / 2**20
    seconds, step = statistics.median(saving.seconds), timer.seconds / TIMED
    print(f"a checkpoint of {size:.0f} MiB takes {seconds:.2f} s, a batch {1000 * step:.0f} ms;")
    print(f"one in 1,000 batches takes {seconds / (1000 * step):.2%} of the time")


def sigterm() -> None:
    for devices in (1, 2):
        seconds = []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                process = fit(folder, f"--trainer.devices={devices}", "--trainer.max_epochs=1000")
                while not list(folder.glob("*/*/metrics.csv")):
                    time.sleep(0.1)
                began = time.perf_counter()
                process.send_signal(signal.SIGTERM)
                (run,) = folder.glob("*/*")
                while not (run / "checkpoints/last.ckpt").exists():
                    time.sleep(0.005)
                seconds.append(time.perf_counter() - began)
                if process.wait() != 143:
                    sys.exit(f"exit code {process.returncode}")
        print(f"from SIGTERM to a whole checkpoint, {devices} process(es): {told(seconds)} s")


PARTS = {"speed": speed, "strategy": strategy, "checkpoints": checkpoints, "sigterm": sigterm}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS))
    torch.set_num_threads(1)
    for name in parser.parse_args().parts or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
