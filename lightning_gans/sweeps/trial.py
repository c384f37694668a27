"""One trial: a process ``lightning fit`` for each of its seeds, one after another."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from lightning_gans.errors import InputError
from lightning_gans.runs import runs_of
from lightning_gans.sweeps.command import ours
from lightning_gans.sweeps.plan import Plan
from lightning_gans.sweeps.scores import NeverLogged, Score, over_seeds
from lightning_gans.sweeps.workers import die_with_parent, locked

__all__ = ["End", "Running"]

_OF_ONE_RUN = ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH")
"""Variables that would make all trials one run of W&B."""


@dataclass(frozen=True)
class End:
    """What became of a trial.

    Args:
        state: COMPLETE, PRUNED or FAIL.
        result: What is kept of it; a failure has a ``message``, unless it was broken off.
    """

    state: TrialState
    result: dict[str, Any]


class Running:
    """A trial that runs.

    Args:
        plan: What all trials have in common.
        trial: Optuna's.
        index: Its number in the sweep.
        parameters: Its values.
        environment: Variables of its processes, besides those there are.
        lock: A file descriptor that they inherit.
    """

    def __init__(
        self,
        plan: Plan,
        trial: Trial,
        index: int,
        parameters: dict[str, Any],
        environment: Mapping[str, str],
        lock: int,
    ) -> None:
        self.trial, self.index, self.parameters = trial, index, parameters
        self._plan, self._lock = plan, lock
        kept = {key: value for key, value in os.environ.items() if key not in _OF_ONE_RUN}
        self._environment = {**kept, "TQDM_DISABLE": "1", **environment}
        self.folder = plan.folder / plan.experiment(index, parameters)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._scores: list[Score] = []
        self._told, self._pruning, self._breaking_off = 0, False, False
        self._next()

    @property
    def run(self) -> Path:
        """The folder of the run that goes on."""
        return self.folder / f"version_{len(self._scores)}"

    @property
    def pid(self) -> int | None:
        """Of the run's process, if one was started."""
        return self._process.pid if self._process else None

    def poll(self) -> End | None:
        """Look how it is doing; its end, or None while it goes on.

        Raises:
            NeverLogged: A run has ended without the metric.
        """
        if not self._begun:
            if self._breaking_off:
                return End(TrialState.FAIL, {})
            self._begun = self._begin()
            return None
        code = self._process.poll() if self._process else 0
        if code is None:
            if (
                self._watched.due
                and self._watched.look()
                and not self._scores
                and not self._breaking_off
            ):
                try:
                    self._report()
                except UpdateFinishedTrialError:  # it was taken for dead, and is another's now
                    self.break_off()
            return None
        self._watched.look()
        if code == 0:
            try:
                self._scores.append(self._watched.score())
            except NeverLogged:
                raise
            except InputError as error:
                return End(TrialState.FAIL, {"message": str(error)} | self._runs())
            if len(self._scores) < self._plan.seeds:
                if self._breaking_off:
                    return End(TrialState.FAIL, {})
                self._next()
                return None
            return End(TrialState.COMPLETE, over_seeds(self._scores) | self._runs())
        if self._breaking_off:
            return End(TrialState.FAIL, {})
        if self._pruning and self._watched.values:
            return End(TrialState.PRUNED, over_seeds([self._watched.score()]) | self._runs())
        return End(TrialState.FAIL, {"message": self._last_words(code)} | self._runs())

    def break_off(self, signal_number: int = signal.SIGINT) -> None:
        """Let the run save and end, to go on later; a trial between two seeds just ends."""
        self._breaking_off = True
        self._signal(signal_number)

    @property
    def goes_on(self) -> bool:
        """Whether the run's process has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End the run at once, with all its processes."""
        with contextlib.suppress(ProcessLookupError):
            if self._process:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.goes_on:
            self._process.send_signal(number)

    def _runs(self) -> dict[str, Any]:
        return {"runs": [f"{self.folder.name}/{run.name}" for run in runs_of(self.folder)[::-1]]}

    def _report(self) -> None:
        """Tell Optuna what is new, by the number of values so far, and prune if it says so."""
        for i, (_, value) in enumerate(self._watched.values[self._told :], self._told + 1):
            self.trial.report(value, i)
        if len(self._watched.values) > self._told and not self._pruning:
            self._told = len(self._watched.values)
            self.trial.set_user_attr("samples_seen", self._watched.score().samples_seen)
            if self.trial.should_prune():
                self._pruning = True
                self._signal(signal.SIGTERM)

    def _next(self) -> None:
        """Turn to the next run."""
        self._watched = self._plan.watch(self.run)
        self._process: subprocess.Popen | None = None
        self._begun = self._begin()

    def _begin(self) -> bool:
        """Start the run, or go on with it where an earlier attempt has begun it.

        False, and nothing is done, while that attempt still writes there: its worker may have
        been taken for dead though its run lives.
        """
        if (lock := locked(self.folder / "lock")) is None:
            return False
        with lock:  # from here on the run alone has it
            if (self.run / "checkpoints/final.ckpt").is_file():
                return True
            more = []
            if any(self.run.glob("checkpoints/*.ckpt")):
                more = ["--resume=auto"]
            elif self.run.is_dir():  # it was killed before it had saved anything
                self.run.rename(self.folder / f".{self.run.name}_{secrets.token_hex(3)}")
            with (self.folder / "log.txt").open("a") as log:
                self._log_from = log.tell()
                seed = len(self._scores)
                options = [*self._plan.options(self.index, self.parameters, seed), *more]
                self._process = self._start(options, log, lock.fileno())
        return True

    def _start(self, options: list[str], log: TextIO, lock: int) -> subprocess.Popen:
        return subprocess.Popen(
            ours(options),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self._environment,
            pass_fds=[self._lock, lock],
            start_new_session=True,  # Ctrl-C is for the sweep, which hands it on
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )

    def _last_words(self, code: int) -> str:
        """The last line of what the run said, where it has an error the error."""
        with (self.folder / "log.txt").open(errors="replace") as log:
            log.seek(self._log_from)
            said = [line.strip() for line in log.read().replace("\r", "\n").split("\n")]
        lines = [line for line in said if line]
        errors = [line for line in lines if line.startswith("error: ")]
        last = (errors or lines or ["it said nothing"])[-1].removeprefix("error: ")
        if code < 0:
            name = signal.Signals(-code).name
            memory = ", as systems do when memory is full" if name == "SIGKILL" else ""
            return f"killed by {name}{memory}; before that: {last}"
        return last
