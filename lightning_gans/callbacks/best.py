"""Which checkpoint is the best by a metric, and at how many samples."""

import math
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_gans.callbacks.logger import RunLogger
from lightning_gans.runs import MetricsFile

__all__ = ["Best"]

_HIGHER = (
    *("precision", "recall", "density", "coverage", "score_", "is", "vendi", "authentic"),
    *("captured", "corrected", "high_quality"),
)
"""What the names of metrics begin with of which more is better; of all others less is."""


class Best:
    """Watches a metric of metrics.csv for its best value.

    Args:
        metric: The last part of its column's name, e.g. fd_digits, or all of it.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.higher = metric.rsplit("/", 1)[-1].startswith(_HIGHER)
        self._value: float | None = None
        self._seen = 0

    def improved(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        """Whether the value of this batch, if there is one, is the best; all processes agree."""
        value = self._latest(trainer, pl_module)
        better = value is not None and (
            self._value is None or (value > self._value if self.higher else value < self._value)
        )
        value, better = trainer.strategy.broadcast((value, better))
        if better:
            self._value, self._seen = value, pl_module.samples_seen
        return better

    def _latest(self, trainer: Trainer, pl_module: LightningModule) -> float | None:
        file = _metrics(trainer)
        if file is None or not file.rows:
            return None
        row = file.rows[-1]
        if int(row["samples_seen"]) != pl_module.samples_seen:
            return None
        found = [row[key] for key in self._columns(file) if row.get(key)]
        return float(found[0]) if found and math.isfinite(float(found[0])) else None

    def _columns(self, file: MetricsFile) -> list[str]:
        return [key for key in file.columns if self.metric in (key, key.rsplit("/", 1)[-1])]

    def in_words(self, trainer: Trainer, path: Path) -> str:
        """What was best, and when; a warning if the metric was never seen."""
        if self._value is not None:
            return f"best {self.metric}: {self._value:.4g} after {self._seen:,} samples, {path}"
        file = _metrics(trainer)
        known = sorted({key.rsplit("/", 1)[-1] for key in file.columns}) if file else []
        warnings.warn(
            f"checkpoints.best is {self.metric!r}, which was not measured at the end of any epoch; "
            f"metrics.csv has {', '.join(known)}",
            stacklevel=2,
        )
        return f"no best.ckpt: {self.metric} was not measured"

    def state(self) -> dict[str, Any]:
        """For a checkpoint: the metric, its best value so far and when that was."""
        return {"metric": self.metric, "value": self._value, "samples_seen": self._seen}

    def load(self, state: dict[str, Any] | None) -> None:
        """Go on from there, if it is of the same metric."""
        if state is not None and state["metric"] == self.metric:
            self._value, self._seen = state["value"], state["samples_seen"]


def _metrics(trainer: Trainer) -> MetricsFile | None:
    """metrics.csv, on the process that writes it."""
    found = [logger.metrics for logger in trainer.loggers if isinstance(logger, RunLogger)]
    return found[0] if found and trainer.is_global_zero else None
