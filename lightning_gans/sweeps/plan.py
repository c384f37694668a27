"""What the trials of a sweep have in common: how each is started, and by what it is judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_gans.sweeps.command import command_line, fit_options
from lightning_gans.sweeps.schema import Sweep
from lightning_gans.sweeps.scores import Watched

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """What all trials of a sweep have in common.

    Args:
        sweep: What the file says.
        folder: The sweep's folder.
        seeds: Runs of a trial, with seeds 0, 1, ...; 1 leaves the config's own seed.
        which: best or last: which value of the metric counts.
        more: Options of every run.
    """

    sweep: Sweep
    folder: Path
    seeds: int
    which: str
    more: list[str]

    @property
    def typed(self) -> str:
        """What goes on with it."""
        return "lightning sweep"

    def experiment(self, index: int, parameters: Mapping[str, Any]) -> str:
        """The folder of a trial's runs, in the sweep's."""
        return f"trial_{index}"

    def options(self, index: int, parameters: Mapping[str, Any], seed: int) -> list[str]:
        """Of ``lightning fit``, for the run of a trial with this seed."""
        line = command_line(self.sweep.command, parameters, self.sweep.program)
        seeded = [f"--seed_everything={seed}", f"--data.seed={seed}"] if self.seeds > 1 else []
        return [*fit_options(line), *self.more, *self.where(index, parameters), *seeded]

    def watch(self, run: Path) -> Watched:
        """What tells how well a run does."""
        return Watched(run, self.sweep.metric, self.sweep.goal, self.which)

    def where(self, index: int, parameters: Mapping[str, Any]) -> list[str]:
        """The options that say where a trial's runs are kept."""
        return [
            f"--run.folder={self.folder}",
            f"--run.experiment={self.experiment(index, parameters)}",
            f"--run.group={self.folder.name}",
        ]
