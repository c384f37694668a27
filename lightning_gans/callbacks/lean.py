"""What keeps Lightning's cost a batch near that of a loop written by hand."""

import os
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import PassThroughProfiler
from torch.optim import Optimizer

__all__ = ["NoProfiler", "Together", "look_for_gpus_once"]

_NOTHING = nullcontext()


def look_for_gpus_once() -> None:
    """Without a GPU, keep optimizers from loading the driver's library anew in every step.

    Lightning has torch look for GPUs in a way that leaves no trace, for processes that fork later;
    Adam looks before each step, which costs as much as the step of a small network.
    """
    if not torch.cuda.is_available():
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


class NoProfiler(PassThroughProfiler):
    """Measures nothing, like Lightning's default, but cheaper: a batch asks for 50 contexts."""

    def profile(self, action_name: str) -> AbstractContextManager:
        """A context that does nothing."""
        return _NOTHING


class _Guard:
    """Inside, a failure of what ``name`` reports is told once for each kind, and not raised."""

    def __init__(self, name: str, failed: set[str]) -> None:
        self.name, self.failed = name, failed

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> bool:
        """Whether ``error`` is one to go on after."""
        if not isinstance(error, Exception) or os.environ.get("LIGHTNING_GANS_DEBUG"):
            return False
        told = f"{self.name} failed ({type(error).__name__}: {error})"
        if told not in self.failed:
            self.failed.add(told)
            warnings.warn(
                f"{told}; training goes on without it. LIGHTNING_GANS_DEBUG=1 stops there and "
                "shows where",
                stacklevel=2,
            )
        return True


class Together(Callback):
    """Several callbacks as one: Lightning calls eight hooks of every callback on every batch.

    Args:
        parts: Called in this order, for the hooks that are named here.
        reporting: Those of them that only tell of training: one that fails is named, once, and
            training goes on.
    """

    def __init__(self, parts: Sequence[Callback], reporting: Sequence[Callback] = ()) -> None:
        self.parts = parts
        failed: set[str] = set()
        self._guards: dict[Callback, AbstractContextManager] = {
            part: _Guard(type(part).__name__, failed) if part in reporting else _NOTHING
            for part in parts
        }
        # On every batch only those are asked that have something to do.
        self._before_step, self._after_batch = (
            [part for part in parts if getattr(type(part), hook) is not getattr(Callback, hook)]
            for hook in ("on_before_optimizer_step", "on_train_batch_end")
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Before anything else."""
        for part in self.parts:
            part.setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first batch."""
        for part in self.parts:
            with self._guards[part]:
                part.on_train_start(trainer, pl_module)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Before each move of a player."""
        for part in self._before_step:
            with self._guards[part]:
                part.on_before_optimizer_step(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """After each batch."""
        for part in self._after_batch:
            with self._guards[part]:
                part.on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """After each batch of validation."""
        for part in self.parts:
            part.on_validation_batch_end(
                trainer, pl_module, outputs, batch, batch_idx, dataloader_idx
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After each epoch."""
        for part in self.parts:
            with self._guards[part]:
                part.on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the last batch."""
        for part in self.parts:
            with self._guards[part]:
                part.on_train_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """When a checkpoint is made."""
        for part in self.parts:
            part.on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """When a run is gone on with."""
        for part in self.parts:
            part.on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """When training breaks off."""
        for part in self.parts:
            part.on_exception(trainer, pl_module, exception)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """At the very end."""
        for part in self.parts:
            part.teardown(trainer, pl_module, stage)
