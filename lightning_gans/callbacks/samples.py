"""Sample grids from latents that stay the same for the whole run, and the sheet of losses."""

import time
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from lightning_gans.callbacks.logger import RunLogger, run_folder
from lightning_gans.callbacks.pictures import draw_curves, picture_of
from lightning_gans.types import InputError

__all__ = ["Samples"]

_SECONDS_BETWEEN_CURVES = 30


class Samples(Callback):
    """Writes samples/*.png from fixed latents and curves.png into the run folder, and to W&B.

    Args:
        every_n_epochs: Epochs between two grids; the last epoch always has one.
        n: Samples in a grid.
        seed: Of the fixed latents.

    Raises:
        InputError: A number is below 1.
    """

    def __init__(self, every_n_epochs: int = 1, n: int = 64, seed: int = 0) -> None:
        for name, value in {"every_n_epochs": every_n_epochs, "n": n}.items():
            if value < 1:
                raise InputError(f"samples.{name} is {value}; it must be at least 1")
        self.every_n_epochs, self.n, self.seed = every_n_epochs, n, seed
        self._curves_at = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what real samples look like, for comparison."""
        self._folder = run_folder(trainer) / "samples"
        self._draw = picture_of(pl_module.event_shape)
        if self._draw is None or not trainer.is_global_zero:
            return
        self._folder.mkdir(exist_ok=True)
        real, count = [], 0
        for events, _ in trainer.datamodule.val_dataloader():
            real.append(events)
            count += len(events)
            if count >= self.n:
                break
        self._draw(torch.cat(real)[: self.n], path := self._folder / "real.png")
        self._track("samples/real", path, trainer)
        epoch, into = divmod(pl_module.batches_seen, int(trainer.num_training_batches))
        if epoch and not into and epoch % self.every_n_epochs == 0:
            # Stopped between an epoch's last batch and its end.
            self._write(trainer, pl_module, epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A grid when its epoch has come, the curves when time has passed."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs == 0:
            self._write(trainer, pl_module, epoch)
        if time.monotonic() - self._curves_at > _SECONDS_BETWEEN_CURVES:
            self._write_curves(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last grid and the last curves."""
        if trainer.current_epoch % self.every_n_epochs:
            self._write(trainer, pl_module, trainer.current_epoch)
        self._write_curves(trainer)

    def _write(self, trainer: Trainer, pl_module: LightningModule, epoch: int) -> None:
        if self._draw is None or not trainer.is_global_zero:
            return
        events = pl_module.sample(self.n, torch.Generator().manual_seed(self.seed))
        path = self._folder / f"epoch_{epoch:05d}_samples_{pl_module.samples_seen:09d}.png"
        self._draw(events, path)
        self._track("samples", path, trainer)

    def _track(self, name: str, path: Path, trainer: Trainer) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image(name, [str(path)], step=trainer.global_step)

    def _write_curves(self, trainer: Trainer) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger) and trainer.is_global_zero:
                draw_curves(logger.metrics, Path(logger.save_dir) / "curves.png")
        self._curves_at = time.monotonic()
