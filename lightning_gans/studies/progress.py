"""A study in the terminal: how many runs of each model on each data set have ended."""

from typing import Any

from lightning_gans.studies.plan import Cell
from lightning_gans.studies.schema import Study
from lightning_gans.sweeps.schema import Sweep
from lightning_gans.sweeps.table import Display

__all__ = ["StudyDisplay"]


class StudyDisplay(Display):
    """Shows how a study goes.

    Args:
        study: What it is.
        sweep: The same, as the engine has it.
        runs: All its runs, by their folders.
        jobs: Runs at a time here.
    """

    things = "runs"

    def __init__(self, study: Study, sweep: Sweep, runs: dict[str, Cell], jobs: int) -> None:
        super().__init__(sweep, jobs)
        self._study, self._runs = study, runs

    def rows(self, trials: list[dict[str, Any]]) -> list[str]:
        """A row a model, a column a data set: runs that are complete, of all; running; failed."""
        states: dict[tuple[str, str], list[str]] = {}
        for trial in trials:
            if cell := self._runs.get(trial["parameters"].get("run")):
                states.setdefault((cell.data, cell.model), []).append(trial["state"])
        table = [("", *self._study.data)]
        for model in self._study.models:
            cells = (self._cell(states.get((data, model), [])) for data in self._study.data)
            table.append((model, *cells))
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        failed = [trial for trial in trials if trial["state"] == "failed"]
        return [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in table
        ] + [self.line(trial) for trial in failed]

    def _cell(self, states: list[str]) -> str:
        done = f"{states.count('complete')}/{self._study.seeds}"
        more = [f"{states.count(s)} {s}" for s in ("running", "failed") if s in states]
        return ", ".join([done, *more])

    def line(self, trial: dict[str, Any]) -> str:
        """What became of a run that has ended."""
        cell = self._runs[trial["parameters"]["run"]]
        why = f": {trial['message']}" if trial["message"] else ""
        return f"{cell.model} on {cell.data}, seed {cell.seed}: {trial['state']}{why}"

    def best(self, trials: list[dict[str, Any]]) -> str:
        """Nothing: while runs go on none is the best."""
        return ""
