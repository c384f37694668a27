"""Images a second of `lightning fit` against a hand-written PyTorch loop, interleaved in one run.

    python benchmarks/loop.py                 # every case on this machine
    python benchmarks/loop.py ring16 dcgan    # some

A callback lets the Trainer run a block of batches, then runs as many with the loop on copies of
the same networks, and takes the ratio of the two times; the median over blocks is printed. The
loop has the same batches, optimizers and shared fake batch, but no average of the weights, no
logging, no progress bar: what it leaves out is what the ratio charges us for.
"""

import copy
import math
import statistics
import sys
import tempfile
import time

import torch
from lightning.pytorch import Callback
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from lightning_gans.__main__ import main

GPU = torch.cuda.is_available()
RING = ["--config=configs/ring_gan.yaml"]
DCGAN = [
    "--config=configs/dcgan.yaml",
    "--data.init_args.batch_size=128",
    "--model.init_args.generator.init_args.base_channels=64",
    "--model.init_args.discriminator.init_args.base_channels=64",
]
FP32 = [*DCGAN, "--trainer.precision=32-true"]
UNNORMED = [*FP32, "--model.discriminator.norm=none"]
# An epoch of the digits is eleven batches: its pictures and validation are left to the end.
SELDOM = [
    "--samples.every_n_epochs=1000",
    "--reconstructions.every_n_epochs=1000",
    "--quality.every_n_epochs=0",
    "--trainer.check_val_every_n_epoch=1000",
    "--trainer.precision=32-true",
]
VAE = [
    "--config=configs/vae.yaml",
    "--data.init_args.batch_size=128",
    "--model.init_args.likelihood=Gaussian",
    "--model.init_args.encoder.init_args.base_channels=32",
    "--model.init_args.decoder.init_args.base_channels=32",
    *SELDOM,
]
VAE_MLP = [
    "--config=configs/vae.yaml",
    "--data.init_args.image_size=28",
    "--data.init_args.batch_size=128",
    "--model.encoder=MLPEncoder",
    "--model.decoder=MLPDecoder",
    *(f"--model.{part}.event_shape=[1,28,28]" for part in ("encoder", "decoder")),
    *(f"--model.{part}.hidden=[500,500]" for part in ("encoder", "decoder")),
    *(f"--model.{part}.latent_dim=40" for part in ("encoder", "decoder")),
    "--model.likelihood.binarise=draw",
    *SELDOM,
]
LOG_2PI = math.log(2 * math.pi)


def logistic(d, real, fake):
    """The discriminator's loss of the non-saturating GAN."""
    return softplus(-d(real)).mean() + softplus(d(fake)).mean()


def fool(d, real, fake):
    """The generator's."""
    return softplus(-d(fake)).mean()


def squares(d, real, fake):
    """LSGAN's discriminator."""
    return ((d(real) - 1) ** 2).mean() / 2 + (d(fake) ** 2).mean() / 2


def fool_squares(d, real, fake):
    """LSGAN's generator."""
    return ((d(fake) - 1) ** 2).mean() / 2


def critic(d, real, fake):
    """WGAN-GP's critic."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
    penalty = 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return d(fake).mean() - d(real).mean() + penalty


def fool_critic(d, real, fake):
    """WGAN-GP's generator."""
    return -d(fake).mean()


def pairs(d, real, fake):
    """R3GAN's discriminator."""
    real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    real_logits, fake_logits = d(real), d(fake)
    loss = softplus(fake_logits - real_logits).mean()
    for logits, events in ((real_logits, real), (fake_logits, fake)):
        (slope,) = torch.autograd.grad(logits.sum(), events, create_graph=True)
        loss = loss + 0.05 / 2 * slope.square().flatten(1).sum(1).mean()
    return loss


def fool_pairs(d, real, fake):
    """R3GAN's generator."""
    return softplus(d(real) - d(fake)).mean()


def alternate(d_loss, g_loss, ratio=1):
    """A loop of D on every batch and G on every ratio-th, as one writes it by hand."""

    def loop(discriminator, generator, d_adam, g_adam, batches, autocast):
        device = next(generator.parameters()).device
        for i, (real, _) in enumerate(batches):
            real = real.to(device)
            g_moves = (i + 1) % ratio == 0
            with autocast():
                latents = torch.randn(len(real), generator.latent_dim, device=device)
                with torch.set_grad_enabled(g_moves):
                    fake = generator(latents)
                loss = d_loss(discriminator, real, fake.detach())
            d_adam.zero_grad()
            loss.backward()
            d_adam.step()
            if g_moves:
                with autocast():
                    loss = g_loss(discriminator, real, fake)
                g_adam.zero_grad()
                loss.backward()
                g_adam.step()
            yield

    return loop


def windows(d_loss, g_loss, window):
    """A loop of GEAN, accumulated and sequential, as one writes it by hand."""

    def loop(discriminator, generator, d_adam, g_adam, batches, autocast):
        device = next(generator.parameters()).device
        drawn = []
        for real, _ in batches:
            real = real.to(device)
            if not drawn:
                d_adam.zero_grad()
            drawn.append(torch.randn(len(real), generator.latent_dim, device=device))
            with torch.no_grad(), autocast():
                fake = generator(drawn[-1])
            with autocast():
                loss = d_loss(discriminator, real, fake) / window
            loss.backward()
            if len(drawn) == window:
                d_adam.step()
                g_adam.zero_grad()
                for latents in drawn:
                    with autocast():
                        loss = g_loss(discriminator, real, generator(latents)) / window
                    loss.backward()
                g_adam.step()
                drawn = []
            yield

    return loop


def autoencode(likelihood):
    """A loop of a VAE as one writes it by hand, encoder and decoder in one step."""

    def loop(encoder, observed, e_adam, d_adam, batches, autocast):
        device = next(encoder.parameters()).device
        for real, _ in batches:
            real = real.to(device)
            with autocast():
                mean, log_variance = encoder(real)
                latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
                said = observed.decoder(latents)[:, 0]
            missed = likelihood(real, said, observed.law)
            kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean()
            e_adam.zero_grad()
            d_adam.zero_grad()
            (missed + kl).backward()
            e_adam.step()
            d_adam.step()
            yield

    return loop


def squared(real, mean, law):
    """Of dequantised values under a Gaussian with a learned variance."""
    real = real + (torch.rand_like(real) - 0.5) * (2 / 255)
    squares = ((real - mean) / law.log_scale.exp()) ** 2
    return (0.5 * (squares + LOG_2PI) + law.log_scale).flatten(1).sum(1).mean()


def binary(real, logits, law):
    """Of binarised values."""
    real = (torch.rand_like(real) < (real + 1) / 2).float()
    return binary_cross_entropy_with_logits(logits, real, reduction="sum") / len(real)


BATCHES, BLOCK = (3000, 50) if GPU else (130, 4)
PLAIN = alternate(logistic, fool)
CASES = {
    "ring512": (RING, 2000, 50, PLAIN),
    "ring16": ([*RING, "--data.init_args.batch_size=16"], 4000, 50, PLAIN),
    "dcgan": (FP32, BATCHES, BLOCK, PLAIN),
    "dcgan-bf16": ([*DCGAN, "--trainer.precision=bf16-mixed"], BATCHES, BLOCK, PLAIN),
    "lsgan": ([*FP32, "--model=LSGAN"], BATCHES, BLOCK, alternate(squares, fool_squares)),
    "wgan-gp": (
        [*UNNORMED, "--model=WGANGP"],
        BATCHES,
        5,
        alternate(critic, fool_critic, ratio=5),
    ),
    "r3gan": ([*UNNORMED, "--model=R3GAN"], BATCHES, BLOCK, alternate(pairs, fool_pairs)),
    "vae": (VAE, BATCHES, BLOCK, autoencode(squared)),
    "vae-mlp": (VAE_MLP, 600, 10, autoencode(binary)),
    "gean": ([*FP32, "--model=GEAN", "--model.window=4"], BATCHES, 4, windows(logistic, fool, 4)),
}
"""Options, batches in all, batches in a block, and the loop."""


class Duel(Callback):
    """Alternates blocks of the Trainer's batches with blocks of the loop's.

    Args:
        case: The name of the case, whose loop is run.
        block: Batches in a block.
    """

    ratios: list[float] = []
    seconds: list[float] = []

    def __init__(self, case: str, block: int = 50) -> None:
        self.case, self.block, self.seen, self.started = case, block, 0, None

    def on_train_start(self, trainer, pl_module) -> None:
        """Copy the networks for the loop."""
        Duel.ratios, Duel.seconds = [], []
        networks = {name: copy.deepcopy(own) for name, own in pl_module.players.items()}
        adams = [
            pl_module.optimizer_factories[name](network.parameters())
            for name, network in networks.items()
        ]
        low = trainer.precision == "bf16-mixed"

        def autocast():
            return torch.autocast(pl_module.device.type, torch.bfloat16, enabled=low)

        def endless():
            while True:
                yield from trainer.datamodule.train_dataloader()

        self.loop = CASES[self.case][3](*networks.values(), *adams, endless(), autocast)

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
    args, batches, block, _ = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        code = main(
            ["fit", *args, f"--trainer.max_steps={batches}", "--trainer.max_epochs=-1"]
            + [f"--run.folder={folder}", "--run.wandb=disabled"]
            + ["--trainer.callbacks=benchmarks.loop.Duel", f"--trainer.callbacks.case={name}"]
            + [f"--trainer.callbacks.block={block}"]
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
