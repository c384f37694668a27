"""The Weights & Biases run: everything that the run folder shows, on the axis of samples seen."""

import math
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from lightning_gans.runs import MetricsFile, RunOptions, badness, finite
from lightning_gans.types import Generative

__all__ = ["Tracker", "finish_wandb", "wandb_logger"]

_SECONDS_FOR_A_SERVER = 20
_SECONDS_FOR_THE_REST = 60
_BARS = 512
"""W&B takes no more bars in a histogram."""


def _may_fail(report: Callable) -> Callable:
    """A report that fails is the last one, and training goes on."""

    @wraps(report)
    def guarded(self: "Tracker", *args: Any, **kwargs: Any) -> None:
        if self.lost:
            return
        try:
            report(self, *args, **kwargs)
        except Exception as error:
            self.lost = True
            print(f"\nWeights & Biases is lost ({error!r}); the run goes on", file=sys.stderr)

    return guarded


class Tracker(WandbLogger):
    """W&B with the samples seen as the axis of every curve.

    Args:
        run: W&B's.
        folder: The run folder.
        clock: The model, which knows the samples seen.
        artifact: Whether the weights that are sampled from are kept there at the end.

    Attributes:
        lost: Whether a report has failed; then no more are made.
    """

    def __init__(self, run: Any, folder: Path, clock: Generative, artifact: bool) -> None:
        super().__init__(experiment=run, save_dir=str(folder))
        self._run, self._folder, self._clock, self._artifact = run, folder, clock, artifact
        self.lost = False
        run.define_metric("samples_seen")
        run.define_metric("*", step_metric="samples_seen", step_sync=True)

    @rank_zero_only
    @_may_fail
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Report at the samples seen."""
        super().log_metrics({"samples_seen": self._clock.samples_seen, **metrics}, step)

    @rank_zero_only
    @_may_fail
    def keep_config(self, text: str) -> None:
        """Show the resolved config; a run that goes on with other settings shows these."""
        self._run.config.update(yaml.safe_load(text), allow_val_change=True)

    @rank_zero_only
    @_may_fail
    def log_evaluation(self, name: str, row: Mapping[str, Any], picture: Path | None) -> None:
        """Report a row of <name>.jsonl as tables, with its counts as a histogram and its picture.

        The best values so far, where it is known which are, go into the summary.
        """
        import wandb

        # Under names without the protocol, too: a sweep file names its metric once for all.
        shown: dict[str, Any] = {f"{name}/{k}": m["value"] for k, m in row["metrics"].items()}
        fields = ("value", "low", "high", "ideal", "n")
        rows = [[key, *(value[f] for f in fields)] for key, value in finite(row["metrics"]).items()]
        shown[f"{name}/table"] = wandb.Table(["metric", *fields], rows)
        if counts := row.get("counts"):
            modes = [[mode, round(count)] for mode, count in enumerate(counts)]
            shown[f"{name}/counts"] = wandb.Table(["mode", "samples"], modes)
            if len(counts) <= _BARS:
                bars = (counts, [mode - 0.5 for mode in range(len(counts) + 1)])
                shown[f"{name}/histogram"] = wandb.Histogram(np_histogram=bars)
        if picture is not None:
            shown[name] = wandb.Image(str(picture))
        self.log_metrics(shown, self._clock.batches_seen - 1)
        self._summarise()

    @rank_zero_only
    @_may_fail
    def keep_weights(self, sampled: nn.Module, config: str) -> None:
        """Keep the weights that are sampled from, and the config, as an artifact if wanted."""
        self._summarise()
        if not self._artifact:
            return
        import wandb

        artifact = wandb.Artifact(f"{self._folder.parent.name}-{self._run.id}", type="model")
        with tempfile.TemporaryDirectory() as folder:
            torch.save(sampled.state_dict(), Path(folder, "weights.pt"))
            Path(folder, "config.yaml").write_text(config)
            artifact.add_dir(folder)
            self._run.log_artifact(artifact)

    def _summarise(self) -> None:
        """Put best/<column>, and at how many samples it was, into the summary."""
        metrics = MetricsFile(self._folder / "metrics.csv")
        for column in metrics.columns:
            bad = badness(column)
            if bad is None or column.startswith("train/") or column.endswith(("_low", "_high")):
                continue
            seen, values = metrics.series("samples_seen", column)
            pairs = [p for p in zip(values, seen, strict=True) if math.isfinite(p[0])]
            if pairs:
                value, samples_seen = min(pairs, key=lambda pair: bad(pair[0]))
                self._run.summary[f"best/{column}"] = value
                self._run.summary[f"best_samples_seen/{column}"] = int(samples_seen)


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


def wandb_logger(options: RunOptions, folder: Path | None, clock: Generative) -> Tracker | None:
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
    # An agent of W&B's sweeps has chosen one.
    new = os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
    id_ = id_file.read_text() if id_file.exists() else new
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
            tags=list(options.tags),
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
    return Tracker(run, folder, clock, options.artifact)
