"""Two-parameter games whose dynamics are known in closed form, played by the real trainer."""

import math
import warnings
from itertools import cycle

import torch
from lightning.pytorch import Callback, Trainer
from torch import nn
from torch.utils.data import DataLoader

from lightning_gans.models import GAN
from lightning_gans.objectives import wasserstein
from lightning_gans.schedules import Simultaneous
from lightning_gans.types import Discriminator, Generator

DOUBLE = torch.float64


class Point(Generator):
    """Every latent becomes theta."""

    def __init__(self, theta: float) -> None:
        super().__init__(1)
        self.event_shape = (1,)
        self.theta = nn.Parameter(torch.tensor([[theta]], dtype=DOUBLE))

    def forward(self, latents):
        return self.theta.expand(len(latents), 1)


class Slope(Discriminator):
    """D(x) = -psi x, so that G minimises and D maximises theta psi under the Wasserstein loss."""

    def __init__(self, psi: float) -> None:
        super().__init__()
        self.event_shape = (1,)
        self.psi = nn.Parameter(torch.tensor([psi], dtype=DOUBLE))

    def forward(self, events):
        return -(events @ self.psi)


def sgd(lr):
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)


class Trajectory(Callback):
    def on_train_start(self, trainer, model):
        self.points = [self.read(model)]

    def on_train_batch_end(self, trainer, model, *_):
        self.points.append(self.read(model))

    @staticmethod
    def read(model):
        return model.generator.theta.item(), model.discriminator.psi.item()


def train(model, batches, per_epoch=10**6, data=None, quiet=True, ckpt_path=None, **options):
    """Train ``model`` in 64 bits on ``data``, batches over and over, or on 0 (the Dirac-GAN's)."""
    data = [torch.zeros(1, 1, dtype=DOUBLE)] if data is None else data
    per_epoch = min(per_epoch, batches)
    epoch = [(rows, torch.zeros(len(rows))) for _, rows in zip(range(per_epoch), cycle(data))]
    loader = DataLoader(epoch, batch_size=None, collate_fn=lambda batch: batch)
    trainer = Trainer(
        max_steps=batches,
        max_epochs=-1,
        accelerator="cpu",
        precision="64-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You defined a `validation_step`|You're resuming")
        if quiet:
            warnings.filterwarnings("ignore", "The phases are past")
        trainer.fit(model, loader, ckpt_path=ckpt_path)
    return trainer


def play(start, batches, lr=0.1, per_epoch=10**6, optimizer=sgd, data=None, quiet=True, **options):
    """Points (theta, psi) of the game from ``start`` on, one a batch; ``lr`` one or (G's, D's)."""
    generator_lr, discriminator_lr = lr if isinstance(lr, tuple) else (lr, lr)
    options = {"objective": wasserstein, "schedule": Simultaneous()} | options
    model = GAN(
        Point(start[0]),
        Slope(start[1]),
        generator_optimizer=optimizer(generator_lr),
        discriminator_optimizer=optimizer(discriminator_lr),
        ema_half_life=None,
        **options,
    )
    trajectory = Trajectory()
    train(model, batches, per_epoch, data, quiet, callbacks=[trajectory])
    return torch.tensor(trajectory.points, dtype=DOUBLE)


def matrix(batches, size=None, **options):
    """The linear map of ``batches`` batches; of a curved game its derivative at 0, by ``size``."""

    def end(x, y):
        return play((x, y), batches, **options)[-1]

    if size is None:
        return torch.stack([end(1, 0), end(0, 1)], 1)
    pairs = ((end(size, 0), end(-size, 0)), (end(0, size), end(0, -size)))
    return torch.stack([(plus - minus) / (2 * size) for plus, minus in pairs], 1)


def radius(linear):
    """The spectral radius."""
    return torch.linalg.eigvals(linear).abs().max().item()


def alternating_radius(ab):
    """Of [[1, -a], [b, 1 - ab]] (dynamics of alternation)."""
    return 1.0 if ab <= 4 else (ab - 2 + math.sqrt(ab * (ab - 4))) / 2
