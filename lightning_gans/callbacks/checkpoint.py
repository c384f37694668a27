"""When a run is saved, and how it ends."""

import signal
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gans.callbacks.best import Best
from lightning_gans.callbacks.logger import run_folder
from lightning_gans.callbacks.position import settle
from lightning_gans.callbacks.saved import also_call, write_checkpoint
from lightning_gans.callbacks.signals import Signals
from lightning_gans.errors import Diverged, InputError, Interrupted

__all__ = ["Checkpoints"]


class Checkpoints(Callback):
    """Saves checkpoints/last.ckpt by time, batch_<n>.ckpt by batches, final.ckpt at the end.

    Each is written beside its place, synced, read back and renamed, so a crash leaves the one
    before it; previous.ckpt is the last.ckpt before this one. Ctrl-C, SIGTERM and, under SLURM,
    SIGUSR1 end the batch or the evaluation, save last.ckpt and stop; Ctrl-C pressed again after
    two seconds stops at once.

    Args:
        every_n_batches: Batches between two checkpoints that are kept; None keeps none.
        every_n_minutes: Minutes between two savings of last.ckpt; None saves it only with the
            others.
        best: A metric, e.g. fd_digits; best.ckpt is that of its best value so far.

    Raises:
        InputError: A number is not above 0.
    """

    def __init__(
        self,
        every_n_batches: int | None = None,
        every_n_minutes: float | None = 5.0,
        best: str | None = None,
    ) -> None:
        given = {"every_n_batches": every_n_batches, "every_n_minutes": every_n_minutes}
        for name, value in given.items():
            if value is not None and value <= 0:
                raise InputError(f"checkpoints.{name} is {value}; it must be above 0, or null")
        self.every_n_batches, self.every_n_minutes = every_n_batches, every_n_minutes
        self.best = None if best is None else Best(best)
        self.signals = Signals(self._on_signal)
        self._saving = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the folder; from here Ctrl-C waits for a state that can be saved."""
        self.folder = run_folder(trainer) / "checkpoints"
        if trainer.is_global_zero:  # another node may not see it
            self.folder.mkdir(exist_ok=True)
        self._saved_at = time.monotonic()
        self._trainer = trainer
        self.signals.listen()
        if trainer.world_size > 1:
            trainer.strategy.asked = lambda: self._asked() if trainer.global_step else 0
            trainer.strategy.stop = self._save_and_stop

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training begins."""
        # Lightning has put its own answer to SIGTERM in ours' place: it would save nothing.
        self.signals.listen()
        # Lightning's own agreement on SIGTERM would cost every batch a message more.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None
        # What was stopped at the end of an epoch is evaluated now.
        self.on_train_epoch_end(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Several processes stop together: here, too."""
        if trainer.world_size > 1:
            trainer.strategy.pause()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save when it is time; stop when asked to, or when training cannot go on."""
        step = trainer.global_step
        asked, due = self._agreed(trainer)
        if reason := pl_module.diverged:
            self._save(trainer, "last.ckpt")
            raise Diverged(f"{reason}. Saved {self.folder / 'last.ckpt'}")
        if asked:
            self._save_and_stop(asked)
        if self.every_n_batches is not None and step % self.every_n_batches == 0:
            self._save(trainer, f"batch_{step:08d}.ckpt", also_last=True)
        elif due:
            self._save(trainer, "last.ckpt")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save best.ckpt if a new value is the best."""
        if self.best is not None and self.best.improved(trainer, pl_module):
            self._save(trainer, "best.ckpt")
            if self.signals.received is not None:  # while that was written
                self._on_signal()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save final.ckpt, which is last.ckpt too."""
        self._save(trainer, "final.ckpt", also_last=True)
        if trainer.is_global_zero:
            (self.folder / "previous.ckpt").unlink(missing_ok=True)
        if self.best is not None and trainer.is_global_zero:
            print(self.best.in_words(trainer, self.folder / "best.ckpt"))

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say where training stands in a form that Lightning goes on from exactly."""
        loop, epoch = checkpoint["loops"]["fit_loop"], int(trainer.num_training_batches)
        settle(loop, pl_module.batches_seen, epoch)
        if self.best is not None:
            checkpoint["best"] = self.best.state()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take back the best value so far."""
        if self.best is not None and (self.folder / "best.ckpt").is_file():
            self.best.load(checkpoint.get("best"))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        self.signals.stop_listening()

    def _on_signal(self) -> None:
        """Between batches, in validation or an evaluation, the state is whole: save it now."""
        batches = self._trainer.fit_loop.epoch_loop.batch_progress.current
        # Before the first batch there is nothing to save yet. Several processes stop together.
        whole = batches.ready == batches.completed and not self._saving
        if whole and self._trainer.world_size == 1 and self._trainer.global_step:
            self._save_and_stop(self.signals.received)

    def _agreed(self, trainer: Trainer) -> list[int]:
        """The signal that asked to stop, or 0, and whether it is time to save; the same for all."""
        mine = [self._asked(), int(self._minutes_passed())]
        return mine if trainer.world_size == 1 else trainer.strategy.largest(mine)

    def _asked(self) -> int:
        """The signal that asked this process to stop, or 0."""
        return int(self.signals.received or 0)

    def _save_and_stop(self, signal_number: int) -> None:
        self._save(self._trainer, "last.ckpt")
        asked, last = signal.Signals(signal_number), self.folder / "last.ckpt"
        # The latest, where a run went on with other settings than it began with.
        configs = last.parents[1].glob("config*.yaml")
        config = max(configs, key=lambda path: path.stem, default="config.yaml")
        raise Interrupted(
            f"stopped by {asked.name} after batch {self._trainer.global_step}, saved {last}; go on "
            f"with:\n  lightning fit --config {config} --resume last",
            128 + asked,
        )

    def _minutes_passed(self) -> bool:
        if self.every_n_minutes is None:
            return False
        return time.monotonic() - self._saved_at >= 60 * self.every_n_minutes

    def _save(self, trainer: Trainer, name: str, also_last: bool = False) -> None:
        if trainer.world_size > 1:
            trainer.strategy.check_alike(trainer.lightning_module.state_dict())
        self._saving = True
        write_checkpoint(trainer, self.folder / name, name == "last.ckpt" or also_last)
        self._saving = False
        if also_last and trainer.is_global_zero:
            also_call(self.folder / name, "last.ckpt")
        self._saved_at = time.monotonic()
