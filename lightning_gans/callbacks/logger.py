"""The logger of a run: metrics.csv in the run folder."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from lightning_gans.runs import MetricsFile, Times
from lightning_gans.types import Generative

__all__ = ["RunLogger", "run_folder"]


class RunLogger(Logger):
    """Writes metrics.csv: one row a report, with the batch as ``step`` and the samples seen.

    Args:
        folder: The run folder; None in processes that are told it by the first (`share`).
        clock: The model, which knows the samples seen.

    Attributes:
        folder: The run folder.
        metrics: metrics.csv, which the first process alone writes.
        times: times.tsv, likewise.
    """

    def __init__(self, folder: Path | None, clock: Generative) -> None:
        super().__init__()
        self._clock = clock
        self.folder = folder or Path()
        if folder is not None:
            self.metrics = MetricsFile(folder / "metrics.csv")
            self.times = Times(folder / "times.tsv")

    def share(self, trainer: Trainer) -> None:
        """Let all processes know the first one's folder."""
        self.folder = Path(trainer.strategy.broadcast(str(self.folder)))

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.folder)

    @property
    def name(self) -> str:
        """The experiment."""
        return self.folder.parent.name

    @property
    def version(self) -> str:
        """The version, e.g. version_0."""
        return self.folder.name

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row."""
        time = {"step": step or 0, "samples_seen": self._clock.samples_seen}
        self.metrics.append({**time, **metrics})
        self.times.mark(*time.values())

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml holds them."""


def run_folder(trainer: Trainer) -> Path:
    """The run folder of what ``trainer`` trains."""
    for logger in trainer.loggers:
        if isinstance(logger, RunLogger):
            return logger.folder
    return Path(trainer.log_dir)
