"""What a run that is gone on with has to take back and to make up for."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loops.fit_loop import _FitLoop

from lightning_gans.callbacks.logger import RunLogger, run_folder

__all__ = ["Resumed"]


class _ToTheEnd(_FitLoop):
    """Also ends a run whose batches are done, but which was killed before its end."""

    @property
    def skip(self) -> bool:
        """Whether there is nothing to train on; Lightning would skip what has no batch left."""
        return self.trainer.limit_train_batches == 0


class Resumed(Callback):
    """Takes back the rows a resumed run will write again; validates an epoch that just ended.

    It must come before the callbacks that report, so that columns come in their usual order.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """A run that has not come to its end may have that alone before it."""
        if not (run_folder(trainer) / "checkpoints/final.ckpt").exists():
            trainer.fit_loop.__class__ = _ToTheEnd

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run killed at the end of an epoch, or in validation, begins with that validation."""
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger) and trainer.is_global_zero:
                logger.metrics.go_back_to(trainer.global_step)
        epoch, into = divmod(pl_module.batches_seen, int(trainer.num_training_batches))
        every = trainer.check_val_every_n_epoch
        if epoch and not into and every and epoch % every == 0 and trainer.enable_validation:
            self._validate(trainer)

    @staticmethod
    def _validate(trainer: Trainer) -> None:
        """Validate as at the end of the epoch that is over."""
        loop = trainer.fit_loop
        # Validation belongs to the epoch's last batch: its row must be of its epoch.
        loop.epoch_progress.current.completed -= 1
        trainer.validating = True
        loop.epoch_loop.val_loop.run()
        trainer.training = True
        loop.epoch_progress.current.completed += 1
