"""The time of a training run: counted once a batch, saved with the random numbers' state."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_gans.seeds import Stream, mix
from lightning_gans.types import Clock

__all__ = ["Timed"]


class _Agreed(torch.autograd.Function):
    """Means over the processes, whose gradients are means over the processes, too."""

    @staticmethod
    def forward(ctx: Any, model: "Timed", *tensors: Tensor) -> tuple[Tensor, ...]:
        """The means of ``tensors``."""
        ctx.model = model
        means = tuple(tensor.clone() for tensor in tensors)
        model.agree(means)
        return means

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The means of ``gradients``: the loss is the mean of the processes' losses."""
        means = tuple(gradient.clone() for gradient in gradients)
        ctx.model.agree(means)
        return (None, *means)


class Timed(LightningModule):
    """A module that knows how many batches and samples it has seen, and goes on from there.

    Attributes:
        batches_seen: Over the whole run, those before it was resumed included.
        samples_seen: Over all devices.
        seed: Of the run that is trained or resumed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batches_seen = self.samples_seen = 0
        self.seed = 0
        self._rng_state: dict[str, Any] | None = None

    plain = frozenset({"_current_fx_name", "batches_seen", "samples_seen"})
    """Attributes set on every batch that are never parameters, buffers or modules."""

    def __setattr__(self, name: str, value: Any) -> None:
        """As torch's, without its search for what a plain attribute is not.

        Some sixty attributes are set a batch, two thirds of them by Lightning; the search would
        cost a small network as much as one of its layers.
        """
        if name in self.plain:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def clock(self) -> Clock:
        """The time at the start of this batch."""
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return Clock(
            batch=self.batches_seen,
            epoch=self.trainer.current_epoch,
            batch_in_epoch=progress.ready - 1,
            batches_per_epoch=int(self.trainer.num_training_batches),
            samples=self.samples_seen,
        )

    @property
    def batches_planned(self) -> float:
        """Batches at which training will end, infinite if it does not."""
        steps, epochs = self.trainer.max_steps, self.trainer.max_epochs
        by_epochs = math.inf if epochs in (None, -1) else epochs * self.trainer.num_training_batches
        return float(min(math.inf if steps == -1 else steps, by_epochs))

    def on_fit_start(self) -> None:
        """A run takes the seed it is started with."""
        if self.batches_seen == 0:
            self.seed = torch.initial_seed()

    def on_train_start(self) -> None:
        """Be where the run was left."""
        self.restore()

    def restore(self) -> None:
        """Go on with the random numbers of the run that is resumed; each process has its own.

        What is restored here and in subclasses could not be earlier; later calls change nothing.
        """
        if self._rng_state is None and self.global_rank and self.batches_seen == 0:
            torch.manual_seed(mix(Stream.PROCESS, self.seed, self.global_rank))
        if self._rng_state is not None:
            if self._rng_state["own"]:
                torch.set_rng_state(self._rng_state["cpu"].cpu())
            else:
                keys = (self.seed, self.global_rank, self.samples_seen)
                torch.manual_seed(mix(Stream.PROCESS, *keys))
            version, words, gauss = self._rng_state["python"]
            random.setstate((version, tuple(words), gauss))
            name, keys, *rest = self._rng_state["numpy"]
            np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
            if self.device.type == "cuda" and "cuda" in self._rng_state and self._rng_state["own"]:
                torch.cuda.set_rng_state(self._rng_state["cuda"].cpu(), self.device)
            self._rng_state = None

    def agree(self, tensors: Sequence[Tensor]) -> None:
        """Let each of ``tensors`` be its mean over the processes."""
        if self.trainer.world_size > 1:
            self.trainer.strategy.average(tensors)

    def agreed(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """The means over the processes of ``tensors``, differentiable."""
        return tensors if self.trainer.world_size == 1 else _Agreed.apply(self, *tensors)

    def gathered(self, state: Any) -> list[Any]:
        """Every process's ``state``, in their order, for a checkpoint."""
        return [state] if self.trainer.world_size == 1 else self.trainer.strategy.gathered(state)

    def own(self, states: list[Any]) -> Any:
        """This process's part of what was `gathered`, if there were as many; else another's."""
        return states[self.global_rank % len(states)]

    def count(self, samples: int) -> None:
        """Count a batch, of which this process had ``samples``, as one step, in Lightning's books.

        A last batch that is not full may be shared out unevenly.
        """
        if self.trainer.world_size > 1:
            clock = self.clock
            samples = self.trainer.datamodule.events_in(clock.batch_in_epoch, clock.epoch)
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()
        self.batches_seen += 1
        self.samples_seen += samples

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Add the time, the seed and the state of the random numbers."""
        checkpoint["clock"] = {
            "batches_seen": self.batches_seen,
            "samples_seen": self.samples_seen,
            "seed": self.seed,
        }
        name, keys, *rest = np.random.get_state()
        version, words, gauss = random.getstate()
        own: dict[str, Any] = {
            "cpu": torch.get_rng_state(),
            # Plain numbers: anything else would have to be unpickled.
            "python": [version, list(words), gauss],
            "numpy": [name, keys.tolist(), *rest],
        }
        if self.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoint["rng_state"] = self.gathered(own)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Set the time; the random numbers follow when training starts."""
        clock = checkpoint["clock"]
        self.batches_seen, self.samples_seen = clock["batches_seen"], clock["samples_seen"]
        self.seed = clock["seed"]
        before, now = len(checkpoint["rng_state"]), self.trainer.world_size
        self._rng_state = self.own(checkpoint["rng_state"]) | {"own": self.global_rank < before}
        if before != now and self.trainer.training:
            rank_zero_warn(
                f"the run was saved by {before} processes and goes on with {now}: from the same "
                f"{self.samples_seen:,} samples, but no longer to the bit. Batches are now counted "
                "in the present size, and a window of GEAN that is half full begins anew"
            )
