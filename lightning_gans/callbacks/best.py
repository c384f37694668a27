"""Which checkpoint is the best by a metric, and at how many samples."""

import math
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_gans.callbacks.logger import RunLogger
from lightning_gans.errors import InputError
from lightning_gans.runs import KNOWN_GOALS, MetricsFile, badness

__all__ = ["Best"]


class Best:
    """Watches a metric of metrics.csv for its best value, as evaluations come in turn.

    That at the end of a run, if out of turn, is no candidate: final.ckpt has its weights.

    Args:
        metric: The last part of its column's name, e.g. fd_digits, or all of it.

    Raises:
        InputError: It is not known which values of it are good.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self._badness = badness(metric)
        if self._badness is None:
            known = ", ".join(KNOWN_GOALS)
            raise InputError(f"checkpoints.best is {metric!r}; it must begin with one of {known}")
        self._column: str | None = None
        self._value: float | None = None
        self._seen = 0

    def improved(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        """Whether the value of this batch, if there is one, is the best; all processes agree."""
        value = self._latest(trainer, pl_module)
        better = value is not None and (
            self._value is None or self._badness(value) < self._badness(self._value)
        )
        value, better = trainer.strategy.broadcast((value, better))
        if better:
            self._value, self._seen = value, pl_module.samples_seen
        return better

    def _latest(self, trainer: Trainer, pl_module: LightningModule) -> float | None:
        """The value at the samples seen now."""
        if (file := _metrics(trainer)) is None:
            return None
        for row in reversed(file.rows):
            if int(row["samples_seen"]) < pl_module.samples_seen:
                return None
            for key in row:
                own = key == self._column if self._column else self._is_named(key)
                if own and row[key] and math.isfinite(float(row[key])):
                    # Of several, such as two extractors' precision, the first for ever.
                    self._column = key
                    return float(row[key])
        return None

    def _is_named(self, column: str) -> bool:
        return self.metric in (column, column.rsplit("/", 1)[-1])

    def in_words(self, trainer: Trainer, path: Path) -> str:
        """What was best, and when; a warning if the metric was never seen."""
        if self._value is not None:
            return f"best {self.metric}: {self._value:.4g} after {self._seen:,} samples, {path}"
        file = _metrics(trainer)
        known = sorted({key.rsplit("/", 1)[-1] for key in file.columns}) if file else []
        warnings.warn(
            f"checkpoints.best is {self.metric!r}, which was not measured at the end of any epoch "
            f"that is evaluated in turn; metrics.csv has {', '.join(known)}",
            stacklevel=2,
        )
        return f"no best.ckpt: {self.metric} was not measured in turn"

    def state(self) -> dict[str, Any]:
        """For a checkpoint: the metric's column, its best value so far and when that was."""
        return {"column": self._column, "value": self._value, "samples_seen": self._seen}

    def load(self, state: dict[str, Any] | None) -> None:
        """Go on from there, if it is of the same metric."""
        if state is not None and state["column"] and self._is_named(state["column"]):
            self._column = state["column"]
            self._value, self._seen = state["value"], state["samples_seen"]


def _metrics(trainer: Trainer) -> MetricsFile | None:
    """metrics.csv, on the process that writes it."""
    found = [logger.metrics for logger in trainer.loggers if isinstance(logger, RunLogger)]
    return found[0] if found and trainer.is_global_zero else None
