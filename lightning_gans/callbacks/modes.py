"""Mode collapse while it happens: which modes samples serve, in numbers, pictures and a film."""

import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from lightning_gans.callbacks.diversity import diversity_of
from lightning_gans.callbacks.known import known_modes
from lightning_gans.callbacks.logger import RunLogger
from lightning_gans.callbacks.mode_pictures import discriminator_of, draw_film, draw_history
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

    * ``modes/<data>_n<N>/<metric>`` in metrics.csv, N samples each: modes captured, high-quality
      share, divergences over the modes, the least and the most served mode; diversity if asked;
    * ``modes.jsonl``: the same with ideals and intervals, and the samples of each mode; only here
      is the last evaluation, marked ``extra``, if a run ends out of turn;
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
        diversity: Measure, too, how different samples are from one another (`Diversity`): up to
            2,000 of the first process, beside as many training samples.
        seed: Of the samples; the same latents every time.

    Raises:
        InputError: A number is out of range, or the data have no classes, or no known modes.
    """

    def __init__(
        self,
        every_n_epochs: int = 1,
        n: int | None = None,
        labelled: bool = False,
        diversity: bool = False,
        seed: int = 0,
    ) -> None:
        if every_n_epochs < 0:
            raise InputError(f"modes.every_n_epochs is {every_n_epochs}; it must be at least 0")
        if n is not None and n < 1:
            raise InputError(f"modes.n is {n}; it must be at least 1, or null")
        self.every_n_epochs, self.n, self.labelled, self.seed = every_n_epochs, n, labelled, seed
        self.diversity = diversity
        self.known = self._diversity = None
        self.report = ""
        self._best: tuple[float, float] | None = None
        self._below, self._warned = 0, False
        self._evaluated_at = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find out what is known of the data, before training begins."""
        if self.every_n_epochs and stage == "fit" and self.known is None:
            device = trainer.strategy.root_device
            self.known = known_modes(trainer.datamodule, device, self.labelled)
            if self.diversity and trainer.is_global_zero:
                world = trainer.world_size
                self._diversity = diversity_of(trainer.datamodule, self.known, self.n, world)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what a run that is gone on with has reported after its checkpoint."""
        if self.known is None:
            return
        self._run = Path(trainer.log_dir)
        (self._run / "modes").mkdir(exist_ok=True)
        self._records = Records(self._run / "modes.jsonl")
        seen = pl_module.samples_seen
        # The row at the end of a run that now goes on was out of turn.
        self._records.keep(lambda row: row["samples_seen"] <= seen and not row["extra"])
        if seen and self._due(trainer, pl_module):
            # Stopped between an epoch's last batch and its end.
            self._records.keep(lambda row: row["samples_seen"] < seen)
            self._evaluate(trainer, pl_module)
        kept = {row["picture"] for row in self._records.rows}
        for picture in (self._run / "modes").glob("*.png"):
            if picture.name not in kept:
                picture.unlink()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate when the epoch has come."""
        if self.known and self._due(trainer, pl_module):
            self._evaluate(trainer, pl_module)

    def _due(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        """Whether a whole epoch has ended that is to be evaluated and was not."""
        epoch, into = divmod(pl_module.batches_seen, int(trainer.num_training_batches))
        on_time = not into and epoch % self.every_n_epochs == 0
        return on_time and self._evaluated_at != pl_module.batches_seen

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate for the last time; draw the curves and the film."""
        if not self.known:
            return
        if self._evaluated_at != pl_module.batches_seen:
            self._evaluate(trainer, pl_module, extra=True)
        elif self._below == 1:
            self._tell_loss(self._coverage, pl_module.samples_seen)
        if trainer.is_global_zero:
            rows = self._records.rows
            draw_history(rows, self.known.history, self._run / "modes.png")
            frames = [self._run / "modes" / row["picture"] for row in rows]
            draw_film(frames, self._run / "modes.gif")

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule, extra: bool = False) -> None:
        """Count, tell, draw and record; ``extra`` is the last time, if out of turn."""
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
        self._watch(measured[known.coverage], pl_module, extra)
        self.report = known.in_words(measured)
        if not trainer.is_global_zero:
            return
        name = f"samples_{pl_module.samples_seen:09d}.png"
        report = self.report.replace(", reverse", "\nreverse")
        title = f"{known.protocol}, {pl_module.samples_seen:,} samples seen\n{report}"
        with discriminator_of(pl_module) as judge:
            known.draw(torch.cat(shown), judge, title, self._run / "modes" / name)
        if self._diversity:
            measured |= self._diversity.measure(torch.cat(shown))
        self._record(trainer, pl_module, measured, name, extra)

    def _record(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        measured: dict[str, Measured],
        picture: str,
        extra: bool,
    ) -> None:
        """Into modes.jsonl, metrics.csv and W&B."""
        coverage = measured[self.known.coverage]
        self._records.append(
            {
                "samples_seen": pl_module.samples_seen,
                "batch": pl_module.batches_seen,
                "protocol": self.known.protocol,
                "n": coverage.n,
                "extra": extra,
                "picture": picture,
                "oracle": self.known.told_by,
                "metrics": {key: value._asdict() for key, value in measured.items()},
                "counts": self.known.metric.counts.flatten().tolist(),
            }
        )
        prefix = f"modes/{self.known.protocol}_n"
        metrics = {f"{prefix}{value.n}/{key}": value.value for key, value in measured.items()}
        metrics[f"{prefix}{coverage.n}/{self.known.coverage}_low"] = coverage.low
        metrics[f"{prefix}{coverage.n}/{self.known.coverage}_high"] = coverage.high
        for logger in trainer.loggers:
            # A run that goes on could not take the row back there.
            if not (extra and isinstance(logger, RunLogger)):
                logger.log_metrics(metrics, pl_module.batches_seen - 1)
            if isinstance(logger, WandbLogger):
                path = str(self._run / "modes" / picture)
                logger.log_image("modes", [path], step=trainer.global_step)

    def _watch(self, coverage: Measured, pl_module: LightningModule, extra: bool) -> None:
        """Compare with the best coverage before; warn if modes are lost twice on end, or last."""
        lost = self._best is not None and coverage.high < self._best[0]
        if extra:
            # A run that goes on must not know of it.
            if lost:
                self._tell_loss(coverage, pl_module.samples_seen)
            return
        self._evaluated_at, self._coverage = pl_module.batches_seen, coverage
        self._below = self._below + 1 if lost else 0
        if self._below >= 2:
            self._tell_loss(coverage, pl_module.samples_seen)
        if self._best is None or coverage.low > self._best[0]:
            self._best = (coverage.low, coverage.value)

    def _tell_loss(self, now: Measured, samples_seen: int) -> None:
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"Mode collapse: {now.value:.0f} of {len(self.known.names)} modes are served after "
            f"{samples_seen:,} samples (by chance {now.low:.0f} to {now.high:.0f}), where there "
            f"were {self._best[1]:.0f}. See modes/ in the run folder; R1 and R2, "
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
