"""One progress bar for the whole run, with losses, images a second and time to go."""

import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

__all__ = ["Progress"]


class Progress(Callback):
    """A bar over all batches of the run; in a log file one line every half minute."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._interval = 0.5 if sys.stderr.isatty() else 30.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the bar where the run stands."""
        batches = float(trainer.num_training_batches)
        total = min(
            batches
            * (trainer.max_epochs if trainer.max_epochs not in (None, -1) else float("inf")),
            trainer.max_steps if trainer.max_steps not in (None, -1) else float("inf"),
        )
        self._bar = tqdm(
            total=None if total == float("inf") else int(total),
            initial=trainer.global_step,
            unit="batch",
            disable=not trainer.is_global_zero,
            dynamic_ncols=True,
            mininterval=self._interval,
            bar_format="{desc} {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} "
            "[{elapsed}<{remaining}{postfix}]",
        )
        self._samples, self._drawn_at = pl_module.samples_seen, time.monotonic()
        self._epoch = trainer.current_epoch

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Redraw when the interval has passed."""
        self._epoch = trainer.current_epoch + 1
        if time.monotonic() - self._drawn_at > self._interval:
            self._redraw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the end."""
        self._redraw(trainer, pl_module)
        self._bar.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave the bar as it is and go to a new line."""
        if self._bar is not None:
            self._bar.close()

    def _redraw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        now = time.monotonic()
        rate = (pl_module.samples_seen - self._samples) / max(now - self._drawn_at, 1e-9)
        self._samples, self._drawn_at = pl_module.samples_seen, now
        shown = {
            name.removeprefix("train/").removesuffix("_loss"): f"{float(value):.3f}"
            for name, value in trainer.progress_bar_metrics.items()
        }
        shown["images/s"] = f"{rate:.0f}"
        self._bar.set_description(f"epoch {self._epoch}", refresh=False)
        self._bar.set_postfix(shown, refresh=False)
        self._bar.n = trainer.global_step
        self._bar.refresh()
