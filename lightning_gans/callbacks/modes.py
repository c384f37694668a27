"""Mode collapse while it happens: which modes samples serve, in numbers, pictures and a film."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor, nn

from lightning_gans.callbacks.known import known_modes
from lightning_gans.callbacks.mode_pictures import draw_film, draw_history
from lightning_gans.errors import InputError
from lightning_gans.metrics import Measured
from lightning_gans.runs import Records
from lightning_gans.seeds import Stream, mix

__all__ = ["ModeDiagnostics"]

_CHUNK = 2560
_SHOWN = 2500


class ModeDiagnostics(Callback):
    """Counts the modes that the averaged generator serves, and shows them.

    Where the law of the data is known (rings, grids, mixtures, stacked digits), and for labelled
    images if asked, it writes into the run folder and to the loggers, beside what a perfect
    sampler would get:

    * ``modes/<data>_n<N>/<metric>`` in metrics.csv: modes captured, high-quality share, divergences
      over the modes, the least and the most served mode;
    * ``modes.jsonl``: the same with ideals and intervals, and the samples of each mode;
    * ``modes/*.png``: points with the discriminator's field, classes or triples; ``modes.gif``: all
      of these as a film; ``modes.png``: the curves.

    It warns once when fewer modes are served than before by more than both intervals allow, twice
    on end or in the end: a young generator hops.

    Args:
        every_n_epochs: Epochs between two evaluations; the last epoch always has one. 0 switches
            it off.
        n: Samples of an evaluation; None takes 2,500, or 26 for each mode if there are many.
        labelled: Tell the classes of labelled images, too, by a small classifier, which is trained
            first if there is none in the cache.
        seed: Of the samples; the same latents every time.

    Raises:
        InputError: A number is out of range, or the data have no classes.
    """

    def __init__(
        self, every_n_epochs: int = 1, n: int | None = None, labelled: bool = False, seed: int = 0
    ) -> None:
        if every_n_epochs < 0:
            raise InputError(f"modes.every_n_epochs is {every_n_epochs}; it must be at least 0")
        if n is not None and n < 1:
            raise InputError(f"modes.n is {n}; it must be at least 1, or null")
        self.every_n_epochs, self.n, self.labelled, self.seed = every_n_epochs, n, labelled, seed
        self.known = None
        self.report = ""
        self._best: tuple[float, float] | None = None
        self._below, self._warned = 0, False
        self._evaluated_at = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find out what is known of the data, before training begins."""
        if self.every_n_epochs and stage == "fit" and self.known is None:
            device = trainer.strategy.root_device
            self.known = known_modes(trainer.datamodule, device, self.labelled)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what a run that is gone on with has reported after its checkpoint."""
        if self.known is None:
            return
        self._run = Path(trainer.log_dir)
        (self._run / "modes").mkdir(exist_ok=True)
        self._records = Records(self._run / "modes.jsonl")
        self._records.go_back_to(pl_module.samples_seen)
        kept = {row["picture"] for row in self._records.rows}
        for picture in (self._run / "modes").glob("*.png"):
            if picture.name not in kept:
                picture.unlink()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate when the epoch has come."""
        if self.known and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._evaluate(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate for the last time; draw the curves and the film."""
        if not self.known:
            return
        if self._evaluated_at != pl_module.batches_seen:
            self._evaluate(trainer, pl_module)
        self._tell_loss(pl_module.samples_seen, enough=1)
        if trainer.is_global_zero:
            rows = self._records.rows
            draw_history(rows, self.known.history, self._run / "modes.png")
            frames = [self._run / "modes" / row["picture"] for row in rows]
            draw_film(frames, self._run / "modes.gif")

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule) -> None:
        known, n = self.known, self.n or self.known.n
        own = n // trainer.world_size + (trainer.global_rank < n % trainer.world_size)
        seed = mix(Stream.EVALUATION, self.seed, trainer.global_rank)
        source = torch.Generator().manual_seed(seed)
        known.metric.reset()
        shown = []
        for start in range(0, own, _CHUNK):
            events = pl_module.sample(min(_CHUNK, own - start), source)
            known.update(events)
            shown.append(events[: max(0, _SHOWN - start)])
        measured = known.metric.compute()
        self._evaluated_at = pl_module.batches_seen
        self._watch(measured[known.coverage])
        self._tell_loss(pl_module.samples_seen, enough=2)
        self.report = _in_words(measured, known.coverage, len(known.names))
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch + 1
        name = f"epoch_{epoch:05d}_samples_{pl_module.samples_seen:09d}.png"
        report = self.report.replace(", reverse", "\nreverse")
        title = f"{known.protocol}, {pl_module.samples_seen:,} samples seen\n{report}"
        with _judge_of(pl_module) as judge:
            known.draw(torch.cat(shown), judge, title, self._run / "modes" / name)
        self._record(trainer, pl_module, measured, n, name)

    def _record(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        measured: dict[str, Measured],
        n: int,
        picture: str,
    ) -> None:
        """Into modes.jsonl, metrics.csv and W&B."""
        self._records.append(
            {
                "samples_seen": pl_module.samples_seen,
                "batch": pl_module.batches_seen,
                "protocol": self.known.protocol,
                "n": n,
                "picture": picture,
                "metrics": {key: _plain(value) for key, value in measured.items()},
                "counts": self.known.metric.counts.flatten().tolist(),
            }
        )
        prefix = f"modes/{self.known.protocol}_n{n}"
        metrics = {f"{prefix}/{key}": value.value for key, value in measured.items()}
        coverage = measured[self.known.coverage]
        metrics[f"{prefix}/{self.known.coverage}_low"] = coverage.low
        metrics[f"{prefix}/{self.known.coverage}_high"] = coverage.high
        for logger in trainer.loggers:
            step = pl_module.batches_seen - 1
            logger.log_metrics({**metrics, "epoch": trainer.current_epoch}, step)
            if isinstance(logger, WandbLogger):
                path = str(self._run / "modes" / picture)
                logger.log_image("modes", [path], step=trainer.global_step)

    def _watch(self, coverage: Measured) -> None:
        """Compare with the best coverage before."""
        self._coverage = coverage
        if self._best is None or coverage.low > self._best[0]:
            self._best = (coverage.low, coverage.value)
        self._below = self._below + 1 if coverage.high < self._best[0] else 0

    def _tell_loss(self, samples_seen: int, enough: int) -> None:
        """Warn of modes that are lost, once, if ``enough`` evaluations on end say so."""
        if self._warned or self._below < enough:
            return
        self._warned = True
        now = self._coverage
        warnings.warn(
            f"Mode collapse: {now.value:.0f} of {len(self.known.names)} modes are served after "
            f"{samples_seen:,} samples ({now.low:.0f} to {now.high:.0f} with 95 % confidence), "
            f"where there were {self._best[1]:.0f}. See modes/ in the run folder; R1 and R2, "
            f"relativistic_paired or packing may help",
            stacklevel=2,
        )

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the best coverage so far, whether a loss was told, and when it was looked."""
        checkpoint["modes"] = {
            "best": self._best,
            "below": self._below,
            "warned": self._warned,
            "evaluated_at": self._evaluated_at,
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from there."""
        if state := checkpoint.get("modes"):
            self._best = state["best"] and tuple(state["best"])
            self._below, self._warned = state["below"], state["warned"]
            self._evaluated_at = state["evaluated_at"]


def _plain(measured: Measured) -> dict[str, float | None]:
    """As JSON takes it, which knows no number that is not finite."""
    known = measured._asdict().items()
    return {key: v if v is None or math.isfinite(v) else None for key, v in known}


def _in_words(measured: dict[str, Measured], coverage: str, modes: int) -> str:
    """A line for people."""
    count, kl = measured[coverage], measured["reverse_kl"]
    words = f"{count.value:.0f} of {modes} modes ({count.low:.0f} to {count.high:.0f})"
    if quality := measured.get("high_quality_chi2"):
        words += f", high quality {quality.value:.1%} (ideal {quality.ideal:.1%})"
    return f"{words}, reverse KL {kl.value:.4f} (perfect {kl.ideal:.4f}), {count.n:,} samples"


@contextmanager
def _judge_of(model: LightningModule) -> Iterator[Callable[[Tensor], Tensor] | None]:
    """The discriminator's logits as a function of points, if the model has a discriminator.

    One that judges packs is shown each point with itself.
    """
    discriminator = getattr(model, "discriminator", None)
    if not isinstance(discriminator, nn.Module):
        yield None
        return
    training = discriminator.training
    packing = discriminator.packing

    @torch.no_grad()
    def judge(points: Tensor) -> Tensor:
        points = points.to(next(discriminator.parameters()))
        return discriminator(points.repeat_interleave(packing, 0))

    discriminator.eval()
    try:
        yield judge
    finally:
        discriminator.train(training)
