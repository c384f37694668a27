"""The loggers of a run: metrics.csv in the run folder, and Weights & Biases."""

import os
import secrets
import sys
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from lightning_gans.runs import MetricsFile, RunOptions, Times
from lightning_gans.types import Generative

__all__ = ["RunLogger", "finish_wandb", "run_folder", "wandb_logger"]

_SECONDS_FOR_A_SERVER = 20
_SECONDS_FOR_THE_REST = 60


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


class _OnSamplesSeen(WandbLogger):
    """W&B with the samples seen as the axis of every curve."""

    def __init__(self, run: Any, folder: Path, clock: Generative) -> None:
        super().__init__(experiment=run, save_dir=str(folder))
        self._clock, self._lost = clock, False
        run.define_metric("samples_seen")
        run.define_metric("*", step_metric="samples_seen", step_sync=True)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Report; a report that fails is the last one, and training goes on."""
        if self._lost:
            return
        try:
            super().log_metrics({"samples_seen": self._clock.samples_seen, **metrics}, step)
        except Exception as error:
            self._lost = True
            print(f"\nWeights & Biases is lost ({error!r}); the run goes on", file=sys.stderr)


def run_folder(trainer: Trainer) -> Path:
    """The run folder of what ``trainer`` trains."""
    for logger in trainer.loggers:
        if isinstance(logger, RunLogger):
            return logger.folder
    return Path(trainer.log_dir)


def finish_wandb() -> None:
    """Write what Weights & Biases still holds back, if there is a run; wait a minute for it."""
    wandb = sys.modules.get("wandb")
    if wandb is None or wandb.run is None:
        return
    folder = wandb.run.settings.sync_dir
    try:
        wandb.finish()
    except Exception as error:  # a server that is gone
        print(
            f"Weights & Biases has not all of the run ({error}); send it later with:\n"
            f"  wandb sync {folder}",
            file=sys.stderr,
        )


def wandb_logger(options: RunOptions, folder: Path | None, clock: Generative) -> WandbLogger | None:
    """The Weights & Biases run, silent; without credentials or server offline, never a prompt.

    Args:
        options: Says whether and where to report; the environment variable WANDB_MODE wins
            over ``auto``.
        folder: The run folder; keeps the run's id, so that a resumed run goes on in it; None in all
            processes but the first.
        clock: The model, which knows the samples seen.
    """
    mode = options.wandb
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or "auto"
    if mode == "disabled" or folder is None:
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    id_file = folder / "wandb_id"
    id_ = id_file.read_text() if id_file.exists() else secrets.token_hex(4)
    id_file.write_text(id_)

    def start(mode: str):
        settings = wandb.Settings(
            silent=True,
            init_timeout=_SECONDS_FOR_A_SERVER,
            finish_timeout=_SECONDS_FOR_THE_REST,
            finish_timeout_raises=True,
        )
        return wandb.init(
            mode=mode,
            dir=str(folder),
            project=options.project,
            group=options.group,
            id=id_,
            name=f"{folder.parent.name}/{folder.name}",
            resume="allow" if mode == "online" else None,
            settings=settings,
        )

    try:
        if mode == "auto":
            # Whether they are right shows on starting.
            mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
        run = start(mode)
    except wandb.errors.Error as error:
        print(f"Weights & Biases: {error}; kept offline in {folder}/wandb", file=sys.stderr)
        wandb.teardown()
        run = start("offline")
    except Exception as error:  # nothing that reports may stop a run
        print(f"Weights & Biases cannot be used ({error!r}); the run goes on", file=sys.stderr)
        return None
    return _OnSamplesSeen(run, folder, clock)
