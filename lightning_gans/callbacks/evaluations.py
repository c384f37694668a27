"""What evaluations of a model while it trains share: when they are due, and what they leave."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gans.callbacks.logger import RunLogger, run_folder
from lightning_gans.callbacks.tracking import Tracker
from lightning_gans.errors import InputError
from lightning_gans.metrics import Measured
from lightning_gans.runs import Records

__all__ = ["Evaluations"]


class Evaluations(Callback, ABC):
    """Evaluates every few epochs and at the end; a run that goes on repeats and omits nothing.

    Each evaluation is a row of <name>.jsonl, and may have a picture in <name>/, both in the run
    folder. The last one, if out of turn, is marked ``extra`` there and is not in metrics.csv, nor
    can it be the best of ``checkpoints.best``: a run that is gone on with does not have it. Its
    weights are those of final.ckpt.

    Args:
        every_n_epochs: Epochs between two evaluations; the last epoch always has one. 0 switches
            it off; None takes those of validation.

    Raises:
        InputError: It is below 0.
    """

    name: str

    def __init__(self, every_n_epochs: int | None) -> None:
        if every_n_epochs is not None and every_n_epochs < 0:
            raise InputError(
                f"{self.name}.every_n_epochs is {every_n_epochs}; it must be at least 0"
            )
        self.every_n_epochs = every_n_epochs
        self.report = ""
        self._evaluated_at = -1
        self._before: dict[str, Any] | None = None

    @property
    @abstractmethod
    def active(self) -> bool:
        """Whether there is anything to evaluate."""

    @abstractmethod
    def evaluate(self, trainer: Trainer, pl_module: LightningModule, extra: bool) -> None:
        """Measure, draw and `record`; ``extra`` is the last time, if out of turn."""

    def finish(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What is left to do after the last evaluation."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, by attribute."""
        return {"_evaluated_at": self._evaluated_at}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what a run that is gone on with has reported after its checkpoint."""
        if not self.active:
            return
        self._run = run_folder(trainer)
        self._pictures = self._run / self.name
        seen, due = pl_module.samples_seen, self._due(trainer, pl_module)
        # Stopped between an epoch's last batch and its end: the evaluation is made now.
        due = due and seen > 0
        if trainer.is_global_zero:
            self._pictures.mkdir(exist_ok=True)
            self._records = Records(self._run / f"{self.name}.jsonl")
            # The row at the end of a run that now goes on was out of turn.
            self._records.keep(lambda row: row["samples_seen"] <= seen - due and not row["extra"])
        if due:
            self._evaluate(trainer, pl_module)
        if trainer.is_global_zero:
            kept = {row.get("picture") for row in self._records.rows}
            for picture in self._pictures.glob("*.png"):
                if picture.name not in kept:
                    picture.unlink()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate when the epoch has come."""
        if self.active and self._due(trainer, pl_module):
            self._evaluate(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate for the last time."""
        if not self.active:
            return
        if self._evaluated_at != pl_module.samples_seen:
            self.evaluate(trainer, pl_module, extra=True)
        self.finish(trainer, pl_module)
        for tracker in (each for each in trainer.loggers if isinstance(each, Tracker)):
            told = {row["picture"] for row in self._records.rows}
            for path in sorted(self._pictures.glob("*.png")):
                if path.name not in told:
                    tracker.log_image(f"{self.name}/{path.stem}", [str(path)])

    def _due(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        """Whether a whole epoch has ended that is to be evaluated and was not."""
        epoch, into = divmod(pl_module.batches_seen, int(trainer.num_training_batches))
        every = self.every_n_epochs or trainer.check_val_every_n_epoch or 1
        on_time = not into and epoch % every == 0
        return on_time and self._evaluated_at != pl_module.samples_seen

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # What is saved in the middle of an evaluation must begin with it again.
        self._before = self.state()
        self._evaluated_at = pl_module.samples_seen
        try:
            self.evaluate(trainer, pl_module, extra=False)
        finally:
            self._before = None

    def record(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        measured: Mapping[str, Measured],
        columns: Mapping[str, float],
        extra: bool,
        picture: str | None,
        **more: Any,
    ) -> None:
        """Write a row of <name>.jsonl, and of metrics.csv and W&B.

        Args:
            trainer: The trainer, with its loggers.
            pl_module: The model.
            measured: By name, for the former.
            columns: By column, for the latter.
            extra: Whether this is out of turn.
            picture: Its picture's name, if there is one.
            more: Further entries of the former.
        """
        row = {
            "samples_seen": pl_module.samples_seen,
            "batch": pl_module.batches_seen,
            "extra": extra,
            "picture": picture,
            **more,
            "metrics": {key: value._asdict() for key, value in measured.items()},
        }
        self._records.append(row)
        for logger in trainer.loggers:
            # A run that goes on could not take the row back there.
            if not (extra and isinstance(logger, RunLogger)):
                logger.log_metrics(dict(columns), pl_module.batches_seen - 1)
            if isinstance(logger, Tracker):
                path = self._pictures / picture if picture else None
                logger.log_evaluation(self.name, row, path)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add when the last evaluation was, and what follows from those before."""
        checkpoint[self.name] = self._before or self.state()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from there."""
        saved = checkpoint.get(self.name, {})
        for attribute in saved.keys() & self.state().keys():
            setattr(self, attribute, saved[attribute])
