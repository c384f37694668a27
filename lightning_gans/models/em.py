"""Expectation-maximisation: E-turns gather sufficient statistics, M-turns move."""

import math
import sys
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from lightning_gans.models.likelihood import Likelihood
from lightning_gans.schedules import Accumulated, BatchCount
from lightning_gans.seeds import Stream
from lightning_gans.types import Events, InputError

__all__ = ["ExpectationMaximisation", "Sums"]

Sums = dict[str, Tensor]
"""Sufficient statistics, sums over events, in 64 bits; ``events`` () counts them and ``log_prob``
() is the sum of their log-densities."""


def _nothing(sums: Sums) -> Sums:
    """Statistics of no events."""
    return {name: torch.zeros_like(value) for name, value in sums.items()}


class ExpectationMaximisation(Likelihood):
    """A model that moves by expectation-maximisation (Dempster et al., 1977), without gradients.

    Every batch is an E-turn: its sufficient statistics at the present parameters are added up. The
    batch that fills a window has an M-turn, too: the parameters that fit the sums best. With a
    window of an epoch of unchanging data this is the classical algorithm, whose likelihood never
    falls; with fewer batches it is the stepwise one (Cappe and Moulines, 2009). Windows of an epoch
    see the same data in each: the same order, flips, draws and dequantisation.

    Args:
        window: Batches between two M-turns, or ``epoch`` for all those of the epoch.
        decay: The k-th window's mean statistics (from 0) enter a running mean with the weight
            (k + 1)^-decay, so the first is taken whole; None takes each window's alone, as the
            classical algorithm does. Between 0.5 and 1 it converges.
        tolerance: Training ends when the mean log-likelihood of an epoch differs from the one
            before by less than this share of it; 0 goes on to the end. Other windows see other
            data each, and go on to the end.
        initial_events: Events that the parameters are first guessed from.

    Raises:
        InputError: A number is out of range.
    """

    plain = Likelihood.plain | {"sums", "mean", "windows", "log_likelihood", "settled"}

    def __init__(
        self,
        window: BatchCount = "epoch",
        decay: float | None = None,
        tolerance: float = 1e-6,
        initial_events: int = 10_000,
    ) -> None:
        super().__init__()
        if decay is not None and not 0.5 < decay <= 1:
            raise InputError(f"model.decay is {decay}; it must be above 0.5 and at most 1, or null")
        if not 0 <= tolerance < math.inf:
            raise InputError(f"model.tolerance is {tolerance}; it must be at least 0")
        if initial_events < 1:
            raise InputError(f"model.initial_events is {initial_events}; it must be at least 1")
        self.schedule = Accumulated(window)
        self.decay, self.tolerance, self.initial_events = decay, tolerance, initial_events
        self.sums: Sums = {}
        self.mean: Sums = {}
        self.windows = 0
        self.log_likelihood = -math.inf
        self.settled = False
        self._saved: dict[str, Any] | None = None

    @abstractmethod
    def initialise(self, events: Events) -> None:
        """Guess the parameters from some events (n, *event_shape)."""

    @abstractmethod
    def expect(self, events: Events) -> Sums:
        """The E-turn: sufficient statistics of a batch at the present parameters."""

    @abstractmethod
    def maximise(self, sums: Sums) -> None:
        """The M-turn: the parameters that fit the statistics best."""

    def configure_optimizers(self) -> list[Optimizer]:
        """None: nothing moves along gradients."""
        return []

    def setup(self, stage: str) -> None:
        """Every event counts in every epoch, also those of a last batch that is not full."""
        super().setup(stage)
        self.trainer.datamodule.drop_last = False
        self.trainer.datamodule.same_each_epoch = self.schedule.window == "epoch"
        if self.trainer.precision in ("16-true", "bf16-true"):
            raise InputError(
                f"--trainer.precision {self.trainer.precision} rounds the statistics of "
                "expectation-maximisation away; use 32-true: they are in 64 bits all the same"
            )

    def on_train_start(self) -> None:
        """A new run guesses its parameters from the first events."""
        super().on_train_start()
        if self.batches_seen == 0:
            self.initialise(self.first_events(self.initial_events))
            for buffer in self.buffers():  # every process begins with the first one's
                buffer.copy_(self.trainer.strategy.broadcast(buffer))

    def restore(self) -> None:
        """Go on with a window that was half full."""
        super().restore()
        if self._saved is not None:
            # Not earlier: the model had not moved to its device.
            self.sums, self.mean = (
                {name: value.to(self.device) for name, value in self._saved[part].items()}
                for part in ("sums", "mean")
            )
            self._saved = None
            self.trainer.should_stop = self.settled

    @torch.no_grad()
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """An E-turn, and an M-turn where the window is full; count it once."""
        events, _ = batch
        self.window = self.schedule.window_at(self.clock)
        clock = self.clock
        batch = clock.batch_in_epoch if self.schedule.window == "epoch" else clock.batch
        keys = (self.seed, self.global_rank, batch + 1)
        if len(events):
            found = self.expect(self.continuous(events, Stream.NOISE, *keys))
        else:  # a process may have no part in a last batch that is not full
            found = _nothing(self.expect(self.first_events(1)))
        self.sums = {name: self.sums.get(name, 0) + value for name, value in found.items()}
        self.count(len(events))
        if self.window.filled == self.window.batches:
            self._move()

    def _move(self) -> None:
        sums = {
            name: self.trainer.strategy.reduce(value, reduce_op="sum")
            for name, value in self.sums.items()
        }
        self.sums = {}
        mean_log_prob = (sums["log_prob"] / sums["events"]).item()
        if not math.isfinite(mean_log_prob):
            raise InputError(
                f"the log-likelihood is {mean_log_prob} at batch {self.batches_seen}: some events "
                "are not finite, or impossible to the model; look at the data"
            )
        self.maximise(self._running(sums))
        self.windows += 1
        self.report({"train/nll": -mean_log_prob})
        change = abs(mean_log_prob - self.log_likelihood)
        if self.schedule.window == "epoch" and change < self.tolerance * abs(mean_log_prob):
            self.settled = self.trainer.should_stop = True
            if self.trainer.is_global_zero:
                tqdm.write(
                    f"the likelihood has settled: it changed by {change:.2g} nats, less than "
                    "model.tolerance of itself",
                    file=sys.stderr,
                )
        self.log_likelihood = mean_log_prob

    def _running(self, sums: Sums) -> Sums:
        """The statistics that the M-turn goes by: this window's, or the running mean's."""
        if self.decay is None:
            return sums
        weight = (self.windows + 1) ** -self.decay
        now = {name: value / sums["events"] for name, value in sums.items()}
        self.mean = {
            name: torch.lerp(self.mean.get(name, value), value, weight)
            for name, value in now.items()
        }
        return self.mean

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add a window that is half full, and how far the running mean has come."""
        super().on_save_checkpoint(checkpoint)
        own = {
            "sums": dict(self.sums),
            "mean": dict(self.mean),
            "windows": self.windows,
            "log_likelihood": self.log_likelihood,
            "settled": self.settled,
        }
        checkpoint["em"] = self.gathered(own)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there; of another number of processes the first takes all statistics."""
        super().on_load_checkpoint(checkpoint)
        states = checkpoint["em"]
        self._saved = saved = dict(self.own(states))
        if len(states) != self.trainer.world_size:
            parts = [state["sums"] for state in states]
            total = {name: sum(part[name] for part in parts) for name in parts[0]}
            saved["sums"] = total if self.global_rank == 0 else _nothing(total)
        self.windows, self.log_likelihood = saved["windows"], saved["log_likelihood"]
        self.settled = saved["settled"]
