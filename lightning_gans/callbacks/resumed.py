"""What a run that is gone on with has to take back and to make up for."""

import os
import socket
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.strategies import Strategy

from lightning_gans.callbacks.logger import RunLogger, run_folder
from lightning_gans.callbacks.position import settle
from lightning_gans.callbacks.saved import also_call, ended, fingerprint
from lightning_gans.errors import InputError

__all__ = ["Resumed"]


class _ToTheEnd(_FitLoop):
    """Also ends a run whose batches are done, but which was killed before its end."""

    @property
    def skip(self) -> bool:
        """Whether there is nothing to train on; Lightning would skip what has no batch left."""
        return self.trainer.limit_train_batches == 0


def check_found(checkpoint: str | None, strategy: Strategy) -> None:
    """Refuse to go on where some node sees another checkpoint than the first process, or none.

    Raises:
        InputError: So it is; the message names the node.
    """
    mark = None if checkpoint is None else fingerprint(Path(checkpoint))
    seen = strategy.gathered((socket.gethostname(), checkpoint, mark))
    (_, theirs, expected), *others = seen
    for node, given, found in others:
        if found != expected:
            raise InputError(
                f"{node} finds {given if found else 'no checkpoint'}, where the first process goes "
                f"on from {theirs if expected else 'none'}: --run.folder must lie on a disk that "
                "all nodes share"
            )


class Resumed(Callback):
    """Takes back the rows a resumed run will write again; validates an epoch that just ended.

    It must come before the callbacks that report, so that columns come in their usual order.

    Args:
        checkpoint: What is gone on from, if anything is.
    """

    def __init__(self, checkpoint: str | None) -> None:
        self.checkpoint = checkpoint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """A run that has not come to its end may have that alone before it.

        Raises:
            InputError: Not all processes find the same checkpoint.
        """
        if trainer.world_size > 1:
            check_found(self.checkpoint, trainer.strategy)
        at_the_end = self.checkpoint is not None and ended(Path(self.checkpoint))
        if not trainer.strategy.broadcast(at_the_end):
            trainer.fit_loop.__class__ = _ToTheEnd

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from the same samples where they are now so many processes' batches.

        Raises:
            InputError: The run is to end at an epoch that is over.
        """
        if 0 <= trainer.max_epochs < checkpoint["epoch"]:
            raise InputError(
                f"{self.checkpoint} has {checkpoint['epoch']} epochs behind it; "
                f"--trainer.max_epochs {trainer.max_epochs} must be at least that"
            )
        if len(checkpoint["rng_state"]) == trainer.world_size:
            return
        loop, data = checkpoint["loops"]["fit_loop"], trainer.datamodule
        into, batches = data.batches_into_epoch()
        limit = trainer.limit_train_batches
        each = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        if into >= each:  # nothing is left of this epoch
            data.load_state_dict({"samples_into_epoch": 0})
        epoch = loop["epoch_progress"]["current"]["processed"]
        pl_module.batches_seen = epoch * each + min(into, each)
        settle(loop, pl_module.batches_seen, each)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run killed at the end of an epoch, or in validation, begins with that validation."""
        # What is evaluated and saved from here on must find the state that was left.
        pl_module.restore()
        if trainer.is_global_zero and self.checkpoint is not None:
            self._stand_there(run_folder(trainer) / "checkpoints")
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger) and trainer.is_global_zero:
                logger.metrics.go_back_to(pl_module.samples_seen)
        epoch, into = divmod(pl_module.batches_seen, int(trainer.num_training_batches))
        every = trainer.check_val_every_n_epoch
        if epoch and not into and every and epoch % every == 0 and trainer.enable_validation:
            self._validate(trainer)

    def _stand_there(self, folder: Path) -> None:
        """From here on the run stands where it is gone on from, even if that was a step back.

        The reports made after it are taken back now: whoever is killed before the first new
        checkpoint must not go on from the later one.
        """
        origin, last = Path(self.checkpoint), folder / "last.ckpt"
        if origin.parent.resolve() == folder.resolve() and fingerprint(origin) != fingerprint(last):
            kept = folder / f".{origin.name}.kept"
            also_call(origin, kept.name)  # it may be previous.ckpt itself
            also_call(last, "previous.ckpt")
            os.replace(kept, last)

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
