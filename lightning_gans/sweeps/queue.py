"""The trials of a sweep in Optuna's storage: each is run once, by whichever worker comes first.

A trial of the sweep has an index; Optuna's trials are attempts at it. One counts unless it was
broken off (failed without a message). Of several that count the first does, and whoever finds
that an earlier one counts lets go. So workers may die, start and join anywhere without a lock.
"""

import time
import warnings
from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState

from lightning_gans.sweeps.schema import Sweep
from lightning_gans.sweeps.space import grid
from lightning_gans.sweeps.workers import Worker

__all__ = ["Queue", "counts", "deciding", "sampler"]

_LOOK_FOR_DEAD, _STARTING = 5, 20
"""Seconds: between looks, and until a trial that nobody signed is taken for given up."""
_MOST_AT_RANDOM = 10


def counts(attempt: FrozenTrial) -> bool:
    """Whether an attempt waits, runs or has an end that is a result."""
    return attempt.state != TrialState.FAIL or "message" in attempt.user_attrs


def deciding(attempts: list[FrozenTrial]) -> dict[int, FrozenTrial]:
    """For each index the attempt that counts, else the latest."""
    chosen: dict[int, FrozenTrial] = {}
    for attempt in attempts:
        index = attempt.user_attrs["index"]
        if index not in chosen or not counts(chosen[index]):
            chosen[index] = attempt
    return dict(sorted(chosen.items()))


def sampler(method: str, seed: int, index: int, total: int) -> BaseSampler:
    """What draws the parameters of trial ``index`` of ``total``: the same whoever runs it."""
    own = (seed * 1_000_003 + index) % 2**32
    if method != "bayes":
        return RandomSampler(seed=own)
    return TPESampler(seed=own, n_startup_trials=max(1, min(_MOST_AT_RANDOM, total // 3)))


class Queue:
    """Hands out trials and takes their results.

    Args:
        sweep: What is searched.
        study: Optuna's study of it.
        storage: Where that is kept.
        worker: This process.
        total: Number of trials of the sweep, all workers together.
        seed: Of the draws: trial i has the same draws whoever runs it.
    """

    def __init__(
        self,
        sweep: Sweep,
        study: optuna.Study,
        storage: BaseStorage,
        worker: Worker,
        total: int,
        seed: int,
    ) -> None:
        self.sweep, self.study, self.total = sweep, study, total
        self._storage, self._worker, self._seed = storage, worker, seed
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._looked_at, self._unsigned = -float("inf"), dict[int, float]()
        self.fill()

    def attempts(self) -> list[FrozenTrial]:
        """All attempts at the sweep's trials, the earliest first."""
        everything = self.study.get_trials(deepcopy=False)
        return [t for t in everything if t.user_attrs.get("index", self.total) < self.total]

    def fill(self) -> None:
        """Let every trial that nobody runs, and that has no result, wait to be run.

        One that was broken off has the parameters that it had.
        """
        there = deciding(self.attempts())
        missing = [i for i in range(self.total) if i not in there or not counts(there[i])]
        if not missing:
            return
        combinations = grid(self.sweep.laws) if self.sweep.method == "grid" else []
        for index in missing:
            before = there.get(index)
            # One that was broken off amid its draws is drawn anew: that the same seed gives the
            # same values rests on their order.
            drawn = before is not None and "parameters" in before.user_attrs
            fixed = before.params if drawn else combinations[index] if combinations else {}
            self.study.enqueue_trial(fixed, user_attrs={"index": index})

    def pop(self) -> Trial | None:
        """The next trial, now this worker's; None if none waits."""
        for waiting in self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            if waiting.user_attrs["index"] >= self.total:
                continue
            id_ = self._id(waiting.number)
            try:
                if not self._storage.set_trial_state_values(id_, TrialState.RUNNING):
                    continue
                self._beat(id_)  # before it is signed: one that is signed never waits for a beat
                if self._earlier_counts(waiting):
                    self._storage.set_trial_state_values(id_, TrialState.FAIL)
                    continue
                self._storage.set_trial_user_attr(id_, "worker", self._worker.name)
            except UpdateFinishedTrialError:
                continue
            index = waiting.user_attrs["index"]
            self.study.sampler = sampler(self.sweep.method, self._seed, index, self.total)
            return Trial(self.study, id_)
        return None

    def parameters(self, trial: Trial) -> dict[str, Any]:
        """What ``trial`` is to try; kept with it."""
        values = {n: law.value(law.suggest(trial)) for n, law in self.sweep.laws.items()}
        trial.set_user_attr("parameters", values)
        return values

    def end(self, trial: Trial, state: TrialState, result: dict[str, Any]) -> None:
        """Keep what became of ``trial``; nothing if it was taken for dead meanwhile.

        Args:
            trial: It.
            state: COMPLETE, PRUNED or FAIL; a failure without a ``message`` is run again.
            result: What is kept of it, with a ``value`` unless it failed.
        """
        try:
            for key, value in result.items():
                trial.set_user_attr(key, value)
            values = None if state == TrialState.FAIL else [result["value"]]
            self._storage.set_trial_state_values(self._id(trial.number), state, values)
        except UpdateFinishedTrialError:
            return

    def reclaim(self) -> None:
        """Let trials of workers that are no more wait again; looks only from time to time.

        Whoever lives here, even if it is halted, is vouched for in the database; of workers
        elsewhere only their silence there tells.
        """
        if time.monotonic() - self._looked_at < _LOOK_FOR_DEAD:
            return
        self._looked_at = time.monotonic()
        for attempt in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if (lives := self._lives(attempt)) is False:
                with suppress(UpdateFinishedTrialError):
                    self._storage.set_trial_state_values(self._id(attempt.number), TrialState.FAIL)
            elif lives:
                self._beat(self._id(attempt.number))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            fail_stale_trials(self.study)
        self.fill()

    def _lives(self, attempt: FrozenTrial) -> bool | None:
        """Whether the worker of one that runs lives; None if that cannot be told here."""
        worker = attempt.user_attrs.get("worker")
        if worker is not None:
            return self._worker.lives(worker, not isinstance(self._storage, RDBStorage))
        # By this process's clock: those of other machines differ.
        since = self._unsigned.setdefault(attempt.number, time.monotonic())
        return False if time.monotonic() - since > _STARTING else None

    def _beat(self, id_: int) -> None:
        """Tell a database that this trial lives."""
        if isinstance(self._storage, RDBStorage):
            self._storage.record_heartbeat(id_)

    def _earlier_counts(self, attempt: FrozenTrial) -> bool:
        index = attempt.user_attrs["index"]
        return any(
            other.user_attrs["index"] == index and other.number < attempt.number and counts(other)
            for other in self.attempts()
        )

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
