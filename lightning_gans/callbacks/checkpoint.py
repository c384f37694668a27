"""Checkpoints that are whole or absent, and what may be read from one."""

import os
import pickle
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gans.callbacks.best import Best
from lightning_gans.callbacks.logger import RunLogger
from lightning_gans.errors import Diverged, InputError, Interrupted

__all__ = ["Checkpoints", "check_weights", "read_checkpoint"]


# A wrapper may hand on the same Ctrl-C twice, and people press twice out of habit.
_SECONDS_OF_PATIENCE = 2.0


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint of ours: tensors, numbers and text; code in it is refused.

    Raises:
        InputError: The file is missing, truncated, holds code, or is no checkpoint of ours.
    """
    if not path.is_file():
        raise InputError(f"there is no checkpoint {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is refused: it is not a checkpoint of tensors, numbers and text alone, "
            "and anything else in it could run code"
        ) from error
    except Exception as error:  # a damaged file fails wherever its bytes are first used
        raise InputError(f"{path} is truncated or not a checkpoint") from error
    if not isinstance(content, dict) or not {"config", "clock", "state_dict"} <= content.keys():
        raise InputError(f"{path} is not a checkpoint of lightning_gans: it holds no config")
    return content


def check_weights(path: Path, content: dict[str, Any], module: LightningModule) -> None:
    """Refuse weights that ``module`` cannot take.

    Raises:
        InputError: The checkpoint is of another model.
    """
    model = content["config"]["model"]["class_path"]
    theirs = {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()}
    ours = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    wrong = [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
    if wrong:
        first = min(wrong)
        raise InputError(
            f"{path} is of another model ({model}): {first} is {theirs.get(first, 'missing')} "
            f"there and {ours.get(first, 'missing')} here ({len(wrong)} tensors differ)"
        )


def _settle(loop: dict[str, Any], batches_per_epoch: int, ended: bool) -> None:
    """Rewrite Lightning's counters at the end of an epoch or of a run as those of its next batch.

    Lightning 2.6 resumes exactly from a save between two batches of an epoch. From one after an
    epoch's last batch it runs an epoch without batches first; and a run that ended inside an
    epoch counts that epoch as done.
    """
    epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    if batches["current"]["processed"] >= batches_per_epoch:
        for counts in (epochs["total"], epochs["current"]):
            begun = counts["processed"] + (not ended)
            counts.update(ready=begun + 1, started=begun, processed=begun, completed=begun)
        batches["total"]["completed"] = batches["total"]["processed"]
        batches["current"].update(ready=0, started=0, processed=0, completed=0)
        batches["is_last_batch"] = False
        loop["epoch_loop.state_dict"]["_batches_that_stepped"] = batches["total"]["processed"]
    elif ended:
        for counts in (epochs["total"], epochs["current"]):
            counts["processed"] -= 1
            counts["completed"] -= 1


class Checkpoints(Callback):
    """Saves checkpoints/last.ckpt by time, batch_<n>.ckpt by batches, final.ckpt at the end.

    Each is written beside its place, synced and renamed, so a crash leaves the one before it.
    Ctrl-C ends the batch, saves last.ckpt and stops; pressed again after two seconds it stops at
    once.

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
        self._interrupted = self._ended = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the folder; from here Ctrl-C waits for the end of the batch."""
        self.folder = Path(trainer.log_dir) / "checkpoints"
        self.folder.mkdir(exist_ok=True)
        self._saved_at = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._on_interrupt)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A resumed run takes back the rows it will write again."""
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger) and trainer.is_global_zero:
                logger.metrics.go_back_to(trainer.global_step)
        # What was stopped at the end of an epoch is evaluated now.
        self.on_train_epoch_end(trainer, pl_module)

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
        if reason := pl_module.diverged:
            self._save(trainer, "last.ckpt")
            raise Diverged(f"{reason}. Saved {self.folder / 'last.ckpt'}")
        if self._interrupted:
            self._save(trainer, "last.ckpt")
            raise Interrupted(
                f"stopped after batch {step}, saved {self.folder / 'last.ckpt'}; go on with:\n"
                f"  lightning fit --config {self.folder.parent / 'config.yaml'} --ckpt_path last"
            )
        if self.every_n_batches is not None and step % self.every_n_batches == 0:
            self._save(trainer, f"batch_{step:08d}.ckpt", also_last=True)
        elif self._minutes_passed():
            self._save(trainer, "last.ckpt")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save best.ckpt if a new value is the best."""
        if self.best is not None and self.best.improved(trainer, pl_module):
            self._save(trainer, "best.ckpt")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save final.ckpt, which is last.ckpt too."""
        self._ended = True
        self._save(trainer, "final.ckpt", also_last=True)
        if self.best is not None and trainer.is_global_zero:
            print(self.best.in_words(trainer, self.folder / "best.ckpt"))

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say where training stands in a form that Lightning goes on from exactly."""
        _settle(checkpoint["loops"]["fit_loop"], int(trainer.num_training_batches), self._ended)
        if self.best is not None:
            checkpoint["best"] = self.best.state()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take back the best value so far."""
        if self.best is not None and (self.folder / "best.ckpt").is_file():
            self.best.load(checkpoint.get("best"))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give Ctrl-C back."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _on_interrupt(self, signum: int, frame: Any) -> None:
        now = time.monotonic()
        if self._interrupted and now - self._interrupted_at > _SECONDS_OF_PATIENCE:
            raise Interrupted("stopped at once, in the middle of a batch; nothing new was saved")
        if not self._interrupted:
            self._interrupted, self._interrupted_at = True, now

    def _minutes_passed(self) -> bool:
        if self.every_n_minutes is None:
            return False
        return time.monotonic() - self._saved_at >= 60 * self.every_n_minutes

    def _save(self, trainer: Trainer, name: str, also_last: bool = False) -> None:
        partial = self.folder / f".{name}.tmp"
        trainer.save_checkpoint(partial, weights_only=False)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, self.folder / name)
        if also_last:
            # A second name for the same file costs nothing.
            partial.unlink(missing_ok=True)
            try:
                os.link(self.folder / name, partial)
            except OSError:  # some mounts know no links
                shutil.copyfile(self.folder / name, partial)
            os.replace(partial, self.folder / "last.ckpt")
        self._saved_at = time.monotonic()
