"""The settings of a run, beside it and in its checkpoints."""

import sys
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gans.callbacks.logger import RunLogger, run_folder
from lightning_gans.callbacks.origin import origin
from lightning_gans.callbacks.tracking import Tracker

__all__ = ["RunConfig"]


class RunConfig(Callback):
    """Writes config.yaml into the run folder, and the same into every checkpoint.

    Args:
        text: The resolved config, as YAML.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write config.yaml; a run that is gone on with keeps the one it began with."""
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.share(trainer)
        path = run_folder(trainer) / "config.yaml"
        if trainer.is_global_zero and not path.exists():
            path.write_text(self.text)
        for logger in trainer.loggers:
            if isinstance(logger, Tracker):
                logger.keep_config(self.text)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where the run is kept, and keep what is new in how it goes on."""
        if trainer.is_global_zero:
            folder = run_folder(trainer)
            print(f"run folder: {folder}", file=sys.stderr)
            if (folder / "config.yaml").read_text() != self.text:
                (folder / f"config_from_{trainer.global_step:08d}.yaml").write_text(self.text)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights that are sampled from: the average, where there is one."""
        for logger in trainer.loggers:
            if isinstance(logger, Tracker):
                logger.keep_weights(getattr(pl_module, "sampled", pl_module), self.text)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what is needed to build the model again, as text and numbers."""
        checkpoint["config"] = yaml.safe_load(self.text)
        checkpoint["origin"] = origin()
