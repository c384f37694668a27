"""What a run tells of itself: how it was started and how it ended, its times, its warnings."""

import os
import sys
import warnings
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gans import __version__
from lightning_gans.callbacks.logger import RunLogger, run_folder
from lightning_gans.errors import Diverged, Interrupted
from lightning_gans.runs import Records, Sittings, commit, masked

__all__ = ["Account"]


class Account(Callback):
    """Writes run.json and warnings.jsonl into the run folder, and starts the clock of times.tsv.

    Warnings are shown as before; each is kept once, without secrets, with the samples seen.
    """

    def __init__(self) -> None:
        self._sittings: Sittings | None = None
        self._told: list[str] = []
        self._show_before: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen to warnings; those before the first batch are kept when training begins."""
        if not trainer.is_global_zero or self._show_before is not None:
            return
        self._show_before, self._clock, self._records = warnings.showwarning, pl_module, None
        self._process = os.getpid()
        warnings.showwarning = self._on_warning

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the start; forget what a run that is gone on with said after its checkpoint."""
        if not trainer.is_global_zero:
            return
        folder, seen = run_folder(trainer), pl_module.samples_seen
        self._records = Records(folder / "warnings.jsonl")
        if self._records.path.exists():
            self._records.keep(lambda row: row["samples_seen"] <= seen)
        for message in self._told:
            self._keep(message)
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.times.begin(trainer.global_step)
        self._sittings = Sittings(folder / "run.json")
        self._sittings.begin(
            ["lightning", *sys.argv[1:]],
            version=__version__,
            commit=commit(),
            processes=trainer.world_size,
            batch=pl_module.batches_seen,
            samples_seen=seen,
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Mark the time of the last batch, whether its losses were reported or not."""
        if trainer.is_global_zero and pl_module.batches_seen:
            for logger in trainer.loggers:
                if isinstance(logger, RunLogger):
                    logger.times.mark(pl_module.batches_seen - 1, pl_module.samples_seen)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Note what broke training off."""
        asked = isinstance(exception, Interrupted | KeyboardInterrupt)
        failed = not asked or isinstance(exception, Diverged)
        reason = str(exception).split("\n")[0]
        if failed and not isinstance(exception, Diverged):
            reason = f"{type(exception).__name__}: {reason}"
        self._end("failed" if failed else "stopped", reason)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note that all is done."""
        self._end("finished", "")

    def _end(self, outcome: str, message: str) -> None:
        if self._show_before is not None:
            warnings.showwarning, self._show_before = self._show_before, None
        if self._sittings is not None:
            self._sittings.end(outcome, message)
            self._sittings = None

    def _on_warning(self, message: Warning | str, *args: Any, **more: Any) -> None:
        self._show_before(message, *args, **more)
        # Processes that load data inherit this; each would keep what it warns of by itself.
        if os.getpid() != self._process:
            return
        if self._records is None:
            self._told.append(str(message))
        else:
            self._keep(str(message))

    def _keep(self, message: str) -> None:
        message = masked(message)
        if message in {row.get("message") for row in self._records.rows}:
            return
        try:
            self._records.append({"samples_seen": self._clock.samples_seen, "message": message})
        except OSError:  # a full disk: whoever warns must not fail for it
            pass
