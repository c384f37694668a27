"""One run of the study of `gean.py`: the two problems, their measures, the game."""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from functools import partial

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from lightning_gans.callbacks.lean import NoProfiler
from lightning_gans.data import Digits, Ring
from lightning_gans.data.batches import normalise
from lightning_gans.errors import Diverged
from lightning_gans.models import GAN
from lightning_gans.networks import MLPDiscriminator, MLPGenerator
from lightning_gans.schedules import (
    Accumulated,
    Alternating,
    ConjugateAdam,
    ConjugateDirection,
    Phased,
)

EPOCH = 32
"""Batches of an epoch, of both data sets."""
MARKS = (13 / 16, 14 / 16, 15 / 16, 1)
"""When a run is measured, in shares of a budget."""
METHODS = {
    "GAN": Alternating(),
    "accumulated 4": Accumulated(4),
    "accumulated 16": Accumulated(16),
    "accumulated epoch": Accumulated("epoch"),
    "phased 1": Phased(window=1),
    "phased 4": Phased(window=4),
    "phased 16": Phased(window=16),
    "phased epoch": Phased(window="epoch"),
    "accumulated 1": Accumulated(1),
}
"""The last must be GAN bit for bit, and is played once to see that."""
ADAM = {"betas": (0.5, 0.999)}
ADAM_RATES = (1e-3, 4e-3, 1.6e-2)
DIRECTIONS = {
    "SGD": (partial(torch.optim.SGD, fused=True), (0.025, 0.1, 0.4, 1.6)),
    "conjugate": (ConjugateDirection, (0.003, 0.012, 0.05, 0.2)),
    "Adam": (partial(torch.optim.Adam, fused=True, **ADAM), ADAM_RATES),
    "conjugate Adam": (partial(ConjugateAdam, **ADAM), ADAM_RATES),
}
"""An optimizer, and the learning rates to choose from, the same for both players."""


def spread(x: Tensor, y: Tensor) -> float:
    """Mean distance of the first 1,000 points of ``x`` from those of ``y``."""
    return torch.cdist(x[:1000].double(), y[:1000].double()).mean().item()


class RingProblem:
    """Eight Gaussians on a circle, perceptrons of two layers of 64."""

    n = 2500

    def __init__(self, seed: int) -> None:
        self.data = Ring(std=0.05, batch_size=64, batches_per_epoch=EPOCH, seed=seed)
        self.truth = self.real(torch.Generator().manual_seed(10**6 + seed))

    def real(self, source: torch.Generator) -> Tensor:
        """As many true points as are generated."""
        return self.data.law.sample(self.n, source)[0]

    def networks(self) -> tuple[MLPGenerator, MLPDiscriminator]:
        """Fresh networks."""
        return (
            MLPGenerator((2,), 16, (64, 64), "relu", "linear"),
            MLPDiscriminator((2,), (64, 64), "relu"),
        )

    def measure(self, points: Tensor) -> dict[str, float]:
        """Squared energy distance to true points; modes with 1 % within 3 std; share within."""
        energy = 2 * spread(points, self.truth) - spread(points, points)
        near = self.data.law.squared_distances(points) < 9
        shares = near.double().mean(0)
        return {
            "energy": energy - spread(self.truth, self.truth),
            "modes": int((shares >= 0.01).sum()),
            "good": shares.sum().item(),
        }


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians with the moments of ``x`` and ``y`` (n, d)."""
    values, vectors = np.linalg.eigh(np.cov(x.T))
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ np.cov(y.T) @ root).clip(0)).sum()
    spread = np.trace(np.cov(x.T)) + np.trace(np.cov(y.T)) - 2 * cross
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + spread)


class DigitsProblem:
    """The 8 x 8 digits of scikit-learn, perceptrons of two layers of 64."""

    def __init__(self, seed: int) -> None:
        self.data = Digits(image_size=8, batch_size=1437 // EPOCH, seed=seed)
        splits = {name: self.data.arrays(name) for name in ("train", "val", "test")}
        pixels = {name: normalise(x).flatten(1).double().numpy() for name, (x, _) in splits.items()}
        self.train, self.n = pixels["train"], len(pixels["train"])
        self.truth = np.concatenate([pixels["val"], pixels["test"]])
        labels = splits["train"][1].numpy()
        self.classifier = KNeighborsClassifier(3, algorithm="brute").fit(self.train, labels)

    def real(self, source: torch.Generator) -> Tensor:
        """The training images."""
        return torch.from_numpy(self.train)

    def networks(self) -> tuple[MLPGenerator, MLPDiscriminator]:
        """Fresh networks."""
        return (
            MLPGenerator((1, 8, 8), 32, (64, 64), "relu", "tanh"),
            MLPDiscriminator((1, 8, 8), (64, 64)),
        )

    def measure(self, images: Tensor) -> dict[str, float]:
        """Frechet distance to held-out pixels; classes with 1 %; entropy of classes of log 10."""
        pixels = images.flatten(1).double().numpy()
        shares = np.bincount(self.classifier.predict(pixels), minlength=10) / len(pixels)
        return {
            "frechet": frechet(pixels, self.truth),
            "modes": int((shares >= 0.01).sum()),
            "entropy": float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum() / np.log(10)),
        }


PROBLEMS = {"ring": RingProblem, "digits": DigitsProblem}


def moves_of(batches: int) -> int:
    """Moves of each player at which the budget of moves is used up."""
    return batches // EPOCH


class Counted(GAN):
    """A GAN that counts the moves that were made."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.moves = dict.fromkeys(self.players, 0)

    def moved(self, player: str) -> None:
        """``player``'s weights have changed."""
        super().moved(player)
        self.moves[player] += 1


class Measured(Callback):
    """Measures the generator and its average at the four ``MARKS`` of every budget.

    Args:
        problem: Measures events.
        seed: Of the latents.
        full: Batches of the budget of samples.
        budgets: Those to measure at.
    """

    def __init__(self, problem, seed: int, full: int, budgets: tuple[str, ...]) -> None:
        self.problem, self.seed, self.full = problem, seed, full
        self.marks: dict[str, list[dict]] = {budget: [] for budget in budgets}

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx) -> None:
        """Measure when it is time."""
        used = {
            "samples": model.batches_seen / self.full,
            "half": model.batches_seen / (self.full // 2),
            "moves": min(model.moves.values()) / moves_of(self.full),
        }
        found = None
        for budget, marks in self.marks.items():
            if len(marks) < len(MARKS) and used[budget] >= MARKS[len(marks)]:
                found = found or self.measure(model)
                marks.append(found)

    def fill(self, budget: str, model: Counted) -> None:
        """Let the weights at the end of a run stand for the marks it did not reach."""
        marks = self.marks[budget]
        if len(marks) < len(MARKS):
            marks += [self.measure(model)] * (len(MARKS) - len(marks))

    @torch.no_grad()
    def measure(self, model: Counted) -> dict:
        """Of the generator itself and of its average."""
        source = torch.Generator().manual_seed(self.seed)
        latents = torch.randn(self.problem.n, model.generator.latent_dim, generator=source)
        found = {"batches": model.batches_seen, "moves": dict(model.moves)}
        for name in ("generator", "generator_ema"):
            events = getattr(model, name)(latents)
            finite = bool(events.isfinite().all())
            found[name] = self.problem.measure(events) if finite else None
        return found


def play(job: dict) -> dict:
    """One run; the job with what came out."""
    started, problem = time.perf_counter(), PROBLEMS[job["data"]](job["seed"])
    torch.manual_seed(job["seed"])
    optimizer = partial(DIRECTIONS[job["direction"]][0], lr=job["lr"])
    model = Counted(
        *problem.networks(),
        schedule=METHODS[job["method"]],
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
    )
    # At half the samples GAN has made the moves that the phased method makes in all.
    budgets = ("samples", "moves", "half") if job["method"] == "GAN" else ("samples", "moves")
    measured = Measured(problem, job["seed"], job["full"], budgets)
    trainer = Trainer(
        max_steps=job["batches"],
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        profiler=NoProfiler(),
        use_distributed_sampler=False,
        callbacks=[measured],
    )
    diverged = None
    try:
        trainer.fit(model, datamodule=problem.data)
    except Diverged as error:
        # Its weights are the last good ones: they are measured, and the run is marked.
        diverged = str(error)
        for budget in measured.marks:
            measured.fill(budget, model)
    measured.fill("moves", model)
    return {
        **job,
        **measured.marks,
        "diverged": diverged and model.batches_seen,
        "reason": diverged,
        "skipped": {player: mover.skipped for player, mover in model.movers.items()},
        "seconds": round(time.perf_counter() - started, 2),
    }
