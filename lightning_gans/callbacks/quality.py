"""How good samples are while a model trains: Frechet distance and its relatives."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gans.callbacks.drawing import shared_features
from lightning_gans.callbacks.evaluations import Evaluations
from lightning_gans.callbacks.in_step import in_step
from lightning_gans.callbacks.membership import membership
from lightning_gans.callbacks.pictures import draw_grid, picture_of
from lightning_gans.callbacks.tables import in_words, table
from lightning_gans.errors import InputError
from lightning_gans.metrics import Measured
from lightning_gans.metrics.defaults import extractors_for
from lightning_gans.metrics.features import tell_time
from lightning_gans.metrics.quality import FAMILIES, Family, Quality
from lightning_gans.metrics.reference import reference, training_of
from lightning_gans.seeds import Stream, mix
from lightning_gans.types import Events

__all__ = ["QualityMetrics"]

_MOST = 5000
_FEWEST = 10
_SHOWN, _NEIGHBOURS = 8, 7


class QualityMetrics(Evaluations):
    """Measures how good samples of the averaged generator are, beside held-out real ones.

    By the classifier of labelled images, which is trained on first use, and where the weights of
    TF-Inception are here (LIGHTNING_GANS_INCEPTION) by these too; data without classes are looked
    at if an extractor is named. One pass gives all metrics (`metrics.quality.Quality`):

    * ``quality/<extractor>-<digest>_train<N>_n<n>/<metric>`` in metrics.csv and W&B;
    * ``quality.jsonl``: the same with ideals and intervals, the extractors' digests and resizing,
      and the floors;
    * ``quality/nearest.png``: samples, each with the training images nearest to it.

    Where an evaluation takes more than a minute, that is said before training begins.

    Args:
        every_n_epochs: Epochs between two evaluations; the last epoch always has one. 0 switches
            it off; None takes those of validation.
        n: Samples of an evaluation; None takes as many as were held out, at most 5,000, so that
            the ideals are those of as many real ones.
        metrics: Families to measure; with memorisation comes what the discriminator tells of
            membership.
        extractor: auto, inception, identity, or a classifier of torchvision, e.g. resnet50.
        weights: A file with the weights of the chosen network.
        seed: Of the samples; the same latents every time.

    Raises:
        InputError: A number is out of range, or the extractor cannot be had.
    """

    name = "quality"

    def __init__(
        self,
        every_n_epochs: int | None = None,
        n: int | None = None,
        metrics: Sequence[Family] = ("frechet", "kernel", "neighbours"),
        extractor: str = "auto",
        weights: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every_n_epochs)
        if n is not None and n < _FEWEST:
            raise InputError(f"quality.n is {n}; it must be at least {_FEWEST}, or null")
        self.n, self.metrics, self.seed = n, tuple(metrics), seed
        self.extractor, self.weights = extractor, weights
        self._qualities: list[Quality] = []

    @property
    def active(self) -> bool:
        """Whether there is anything to look at the data with."""
        return bool(self._qualities)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look at the real events, before training begins; in a test, for all metrics."""
        if self.every_n_epochs == 0 or self._qualities or stage not in ("fit", "test"):
            return
        data, device = trainer.datamodule, trainer.strategy.root_device
        weights = None if self.weights is None else Path(self.weights).expanduser()
        families = FAMILIES if stage == "test" else self.metrics
        self._memorised = "memorisation" in families
        for extractor in extractors_for(data, self.extractor, weights):
            extractor = extractor.to(device)
            # The first process looks and keeps what it sees; the others read it.
            if not trainer.is_global_zero:
                trainer.strategy.barrier()
            real = reference(data, extractor)
            if trainer.is_global_zero:
                trainer.strategy.barrier()
            n = self.n or min(len(real.held_out), _MOST)
            if n < _FEWEST:
                warnings.warn(
                    f"only {n} events are held out, too few to compare samples with: no quality "
                    "is measured; set quality.n",
                    stacklevel=2,
                )
                return
            self._qualities.append(Quality(extractor, real, families, n))
            if trainer.is_global_zero:
                each = -(-n // trainer.world_size)
                tell_time(extractor, data.event_shape, each, "looking at the samples, every time,")

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, extra: bool) -> None:
        """Measure and record."""
        measured, columns = self._measure(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        self.report = "\n".join(
            in_words(measured, quality.extractor.name) for quality in self._qualities
        )
        averaged = getattr(pl_module, "ema_half_life", None) is not None
        told = {"seed": self.seed, "averaged": averaged, "protocols": self._protocols()}
        self.record(trainer, pl_module, measured, columns, extra, None, **told)

    def finish(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the training images nearest to a few samples: copies would show."""
        if trainer.is_global_zero and picture_of(pl_module.event_shape) is draw_grid:
            real, extractor = self._qualities[0].real, self._qualities[0].extractor
            source = torch.Generator().manual_seed(mix(Stream.EVALUATION, self.seed, 0))
            samples = pl_module.sample(_SHOWN, source)
            values = extractor(samples).values.cpu()
            if values.isfinite().all():
                k = min(_NEIGHBOURS, len(real.train))
                near = torch.cdist(values, real.train).topk(k, largest=False).indices
                train = training_of(trainer.datamodule, len(real.train))
                rows = torch.cat([samples.cpu()[:, None], _picked(train, near)], 1)
                draw_grid(rows.flatten(0, 1), self._pictures / "nearest.png", 1 + k)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print all metrics, and what the discriminator tells of membership, as a table."""
        if not self.active:
            return
        measured, _ = self._measure(trainer, pl_module)
        if trainer.is_global_zero:
            print(table(measured))
            for quality in self._qualities:
                floors = ", ".join(f"{k} {v:.4g}" for k, v in quality.real.floors.items())
                print(f"{quality.protocol}; real against real: {floors}; seed {self.seed}")

    def _protocols(self) -> dict[str, dict[str, Any]]:
        """What numbers of each extractor hold for."""
        return {quality.extractor.name: quality.fingerprint() for quality in self._qualities}

    def _measure(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> tuple[dict[str, Measured], dict[str, float]]:
        measured, columns = {}, {}
        for quality in self._qualities:
            rank, world = trainer.global_rank, trainer.world_size
            device, extractor = trainer.strategy.root_device, quality.extractor
            draw, n = pl_module.sample, quality.n
            work = in_step(trainer)
            fake = shared_features(draw, extractor, n, self.seed, rank, world, device, work)
            with in_step(trainer):
                found = quality.measure(fake)
            prefix = f"quality/{quality.protocol}"
            measured |= {f"{quality.extractor.name}/{key}": value for key, value in found.items()}
            columns |= {f"{prefix}/{key}": value.value for key, value in found.items()}
        if self._memorised:
            with in_step(trainer):
                told = membership(trainer.datamodule, pl_module)
            measured |= told
            columns |= {f"quality/n{value.n}/{key}": value.value for key, value in told.items()}
        return measured, columns


def _picked(batches: Iterator[Events], index: Tensor) -> Tensor:
    """The events at ``index`` of all that come, without holding the others."""
    wanted, found, start = set(index.flatten().tolist()), {}, 0
    for events in batches:
        here = range(start, start + len(events))
        found |= {i: events[i - start].cpu() for i in wanted.intersection(here)}
        start += len(events)
    picked = torch.stack([found[i] for i in index.flatten().tolist()])
    return picked.view(*index.shape, *picked.shape[1:])
