"""The local engine: runs a sweep's trials as processes, several at a time."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from json import JSONDecodeError
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState

from lightning_gans.errors import InputError, Interrupted
from lightning_gans.sweeps.plan import Plan
from lightning_gans.sweeps.queue import Queue
from lightning_gans.sweeps.record import views, write_record
from lightning_gans.sweeps.scores import NeverLogged
from lightning_gans.sweeps.table import Display
from lightning_gans.sweeps.trial import End, Running
from lightning_gans.sweeps.workers import Worker

__all__ = ["Engine", "places"]

_BETWEEN_LOOKS, _BETWEEN_LOOKS_AT_ALL = 0.05, 1.0
"""Seconds: at the trials that run here, and at those of all workers."""
_SECONDS_OF_PATIENCE = 2.0
_OPEN = ("waiting", "running")


class Engine:
    """Runs trials until the sweep has no more, on as many places as there are.

    Args:
        plan: What all trials have in common.
        queue: Where they come from.
        worker: This process.
        places: Of each trial that may run at a time here, the variables of its processes.
        display: Where it is shown.
    """

    def __init__(
        self,
        plan: Plan,
        queue: Queue,
        worker: Worker,
        places: list[dict[str, str]],
        display: Display,
    ) -> None:
        self._plan, self._queue, self._worker = plan, queue, worker
        self._free, self._display = list(range(len(places))), display
        self._places, self._running = places, dict[int, Running]()
        self._asked: signal.Signals | None = None
        self._shown: list[dict[str, Any]] = []
        self._looked_at = -float("inf")

    def work(self) -> list[dict[str, Any]]:
        """Run trials until all have ended, those of other workers too; how they stand then.

        Raises:
            Interrupted: A signal asked to stop; what ran is saved and waits to go on.
            InputError: A run has ended without the metric of the sweep, which no other has logged
                either, or the storage is lost.
        """
        with self._listening():
            try:
                try:
                    while self._asked is None and self._step():
                        time.sleep(_BETWEEN_LOOKS)
                finally:
                    self._break_off()
            except (StorageInternalError, JSONDecodeError) as error:
                self._save_without_storage()
                reason = " ".join(str(error.__cause__ or error).split())
                raise InputError(
                    f"the storage is lost: {reason}\nwhat ran has been saved; --resume goes on"
                ) from error
        if self._asked is not None:
            raise Interrupted(
                f"stopped by {self._asked.name}; what ran has been saved, and "
                f"`{self._plan.typed}` with the same options and --resume goes on",
                128 + self._asked,
            )
        return self._shown

    def _step(self) -> bool:
        """Start what can start, look at what runs; whether there is anything left to do."""
        changed = self._collect()
        self._queue.reclaim()
        due = changed or time.monotonic() - self._looked_at > _BETWEEN_LOOKS_AT_ALL
        while due and self._free and (trial := self._queue.pop()):
            try:
                parameters, index = self._queue.parameters(trial), trial.user_attrs["index"]
            except UpdateFinishedTrialError:  # it was taken for dead, and is another's now
                continue
            place = min(self._free, key=self._crowd)
            self._free.remove(place)
            self._running[place] = Running(
                self._plan, trial, index, parameters, self._places[place], self._worker.lock
            )
            changed = True
        if due:
            self._show(changed)
        return any(trial["state"] in _OPEN for trial in self._shown)

    def _crowd(self, place: int) -> int:
        """How many trials run on the GPUs of ``place``."""
        return sum(self._places[other] == self._places[place] for other in self._running)

    def _collect(self) -> bool:
        """Take the results of trials that have ended; whether there were any."""
        ended = False
        for place, running in list(self._running.items()):
            try:
                end = running.poll()
            except NeverLogged as error:
                end = End(TrialState.FAIL, {"message": str(error)})
                if not self._ever_logged():
                    self._close(place, end)
                    raise
            if end is not None:
                self._close(place, end)
                ended = True
        return ended

    def _ever_logged(self) -> bool:
        """Whether any trial has logged the metric."""
        attempts = self._queue.attempts()
        return any(a.intermediate_values or "value" in a.user_attrs for a in attempts)

    def _close(self, place: int, end: End) -> None:
        running = self._running.pop(place)
        self._free.append(place)
        self._queue.end(running.trial, end.state, end.result)

    def _show(self, now: bool) -> None:
        """Write sweep.json and the table."""
        self._looked_at = time.monotonic()
        sweep = self._plan.sweep
        shown = views(self._queue.attempts(), sweep.goal, self._plan.which)
        if shown != self._shown:
            self._shown = shown
            write_record(self._plan.folder, sweep, shown)
        self._display.show(shown, now)

    def _break_off(self) -> None:
        """Let what runs save and end, and wait to go on; at once if asked again."""

        def open_trials() -> bool:
            with suppress(NeverLogged):  # it has been said, or will be by whoever goes on
                self._collect()
            return bool(self._running)

        self._end_runs(open_trials)
        self._queue.fill()
        self._show(now=True)

    def _save_without_storage(self) -> None:
        """Let what runs save and end; whoever goes on finds it without a worker."""
        runs = list(self._running.values())
        self._end_runs(lambda: any(running.goes_on for running in runs))
        self._running.clear()

    def _end_runs(self, any_left: Callable[[], bool]) -> None:
        """Let all runs save and end; kill them if a signal asks again meanwhile."""
        first, asked_at = self._asked, time.monotonic()
        for running in self._running.values():
            running.break_off()
        self._asked = None
        try:
            while any_left():
                if self._asked and time.monotonic() - asked_at > _SECONDS_OF_PATIENCE:
                    for running in self._running.values():
                        running.kill()
                time.sleep(_BETWEEN_LOOKS)
        finally:
            self._asked = first

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Inside, Ctrl-C and SIGTERM are remembered."""

        def remember(number: int, frame: Any) -> None:
            self._asked = signal.Signals(number)

        before = {n: signal.signal(n, remember) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def places(jobs: int, gpus: list[str], gpus_per_trial: int) -> list[dict[str, str]]:
    """The environment of each trial that runs at a time: its share of the cores, and its GPUs.

    Where there are more jobs than groups of GPUs, some share one.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    threads = {"OMP_NUM_THREADS": str(max(1, cores // jobs))}
    shares = {} if "OMP_NUM_THREADS" in os.environ else threads
    if not gpus:
        return [shares] * jobs
    groups = [gpus[i : i + gpus_per_trial] for i in range(0, len(gpus), gpus_per_trial)]
    return [
        {**shares, "CUDA_VISIBLE_DEVICES": ",".join(groups[i % len(groups)])} for i in range(jobs)
    ]
