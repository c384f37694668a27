"""Images a second of `lightning fit` against a hand-written PyTorch loop, interleaved in one run.

    python benchmarks/loop.py                 # every case on this machine
    python benchmarks/loop.py ring16 dcgan    # some

A callback lets the Trainer run a block of batches, then runs as many with the loop on copies of
the same networks, and takes the ratio of the two times; the median over blocks is printed. The
loop has the same batches, optimizers and shared fake batch, but no average of the weights, no
logging, no progress bar: what it leaves out is what the ratio charges us for.
"""

import copy
import statistics
import sys
import tempfile
import time

import torch
from lightning.pytorch import Callback
from torch.nn.functional import softplus

from lightning_gans.__main__ import main

GPU = torch.cuda.is_available()
RING = ["--config=configs/ring.yaml"]
DCGAN = [
    "--config=configs/dcgan.yaml",
    "--data.init_args.batch_size=128",
    "--model.init_args.generator.init_args.base_channels=64",
    "--model.init_args.discriminator.init_args.base_channels=64",
]
DCGAN_BATCHES, DCGAN_BLOCK = (3000, 50) if GPU else (130, 4)
CASES = {
    "ring512": (RING, 2000, 50),
    "ring16": ([*RING, "--data.init_args.batch_size=16"], 4000, 50),
    "dcgan": ([*DCGAN, "--trainer.precision=32-true"], DCGAN_BATCHES, DCGAN_BLOCK),
    "dcgan-bf16": ([*DCGAN, "--trainer.precision=bf16-mixed"], DCGAN_BATCHES, DCGAN_BLOCK),
}
"""Options, batches in all, and batches in a block."""


def hand_written(generator, discriminator, g_adam, d_adam, batches, latent_dim, autocast):
    """One pass over ``batches``, as one writes it by hand; yields after each batch."""
    device = next(generator.parameters()).device
    for real, _ in batches:
        real = real.to(device)
        with autocast():
            fake = generator(torch.randn(len(real), latent_dim, device=device))
            d_loss = softplus(-discriminator(real)).mean()
            d_loss = d_loss + softplus(discriminator(fake.detach())).mean()
        d_adam.zero_grad()
        d_loss.backward()
        d_adam.step()
        with autocast():
            g_loss = softplus(-discriminator(fake)).mean()
        g_adam.zero_grad()
        g_loss.backward()
        g_adam.step()
        yield


class Duel(Callback):
    """Alternates blocks of the Trainer's batches with blocks of the loop's.

    Args:
        block: Batches in a block.
    """

    ratios: list[float] = []
    seconds: list[float] = []

    def __init__(self, block: int = 50) -> None:
        self.block, self.seen, self.started = block, 0, None

    def on_train_start(self, trainer, pl_module) -> None:
        """Copy the networks for the loop."""
        Duel.ratios, Duel.seconds = [], []
        g, d = copy.deepcopy(pl_module.generator), copy.deepcopy(pl_module.discriminator)
        g_adam, d_adam = (
            pl_module.optimizer_factories[name](network.parameters())
            for name, network in (("generator", g), ("discriminator", d))
        )
        low = trainer.precision == "bf16-mixed"

        def autocast():
            return torch.autocast(pl_module.device.type, torch.bfloat16, enabled=low)

        def endless():
            while True:
                batches = trainer.datamodule.train_dataloader()
                yield from hand_written(g, d, g_adam, d_adam, batches, g.latent_dim, autocast)

        self.loop = endless()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """After each block of ours, one of the loop's."""
        self.seen += 1
        if self.seen % self.block:
            return
        synchronise = torch.cuda.synchronize if GPU else lambda: None
        synchronise()
        now = time.perf_counter()
        ours = None if self.started is None else now - self.started
        for _ in range(self.block):
            next(self.loop)
        synchronise()
        self.started = time.perf_counter()
        if ours is not None:
            Duel.ratios.append((self.started - now) / ours)
            Duel.seconds.append(ours / self.block)


def duel(name: str) -> None:
    """Run one case and print its row."""
    args, batches, block = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        code = main(
            ["fit", *args, f"--trainer.max_steps={batches}", "--trainer.max_epochs=-1"]
            + [f"--run.folder={folder}", "--run.wandb=disabled"]
            + ["--trainer.callbacks=benchmarks.loop.Duel", f"--trainer.callbacks.block={block}"]
        )
    assert code == 0
    from benchmarks.loop import Duel as Ran  # the class the command line imported

    ratios = Ran.ratios[2:]
    quarter = statistics.quantiles(ratios, n=4)
    print(
        f"| {name} | {statistics.median(ratios):.3f} | {quarter[0]:.3f} to {quarter[2]:.3f} "
        f"| {len(ratios)} blocks of {block} | {1e3 * statistics.median(Ran.seconds):.2f} ms |",
        flush=True,
    )


if __name__ == "__main__":
    sys.path.insert(0, ".")
    print("| case | median ratio | middle half | blocks | our step |\n|---|---|---|---|---|")
    for case in sys.argv[1:] or CASES:
        duel(case)
