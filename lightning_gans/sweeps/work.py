"""From a plan to its trials' ends: storage, probe, queue, worker and engine put together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from optuna.pruners import BasePruner

from lightning_gans.errors import InputError
from lightning_gans.sweeps.local import Engine
from lightning_gans.sweeps.plan import Plan
from lightning_gans.sweeps.probe import probe
from lightning_gans.sweeps.queue import Queue
from lightning_gans.sweeps.storage import begin, begun, open_storage
from lightning_gans.sweeps.table import Display
from lightning_gans.sweeps.workers import Worker

__all__ = ["Order", "work"]


@dataclass(frozen=True)
class Order:
    """What is asked for beside the plan.

    Args:
        definition: All that must not change while it goes on, as JSON has it.
        total: Number of trials, all workers together.
        seed: Of the draws.
        resume: Whether it may have begun.
        storage: Address of a database; None keeps the trials in the plan's folder.
        places: Of each trial that may run at a time here, the variables of its processes.
        rule: Which trials are stopped early.
    """

    definition: dict[str, Any]
    total: int
    seed: int
    resume: bool
    storage: str | None
    places: list[dict[str, str]]
    rule: BasePruner


def work(
    plan: Plan, order: Order, display: Display, lines: Iterable[list[str]]
) -> list[dict[str, Any]]:
    """Run the trials of ``plan`` until all have ended, those of other workers too.

    Args:
        plan: What all have in common.
        order: What else is asked for.
        display: Where it is shown how they go.
        lines: Options of ``lightning fit`` that are tried before anything starts.

    Returns:
        How the trials stand in the end, as in sweep.json.

    Raises:
        InputError: What the user gave cannot be used, or a disk or a storage fails.
        Interrupted: A signal has stopped it.
    """
    folder, study, storage = plan.folder, None, None
    if order.storage or (folder / "journal.log").is_file():
        storage = open_storage(order.storage, folder)
        study = begun(storage, folder.name, order.definition, order.resume)
    if study is None:
        if any(folder.glob("*/version_*")):
            raise InputError(f"{folder} holds runs of something else; --name starts a new one")
        if order.resume:
            print(f"there is no {folder.name} in {folder.parent} yet: starting it")
    try:
        if study is None:
            probe(lines)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror})") from error
    if study is None:
        storage = storage or open_storage(None, folder)
        study = begin(storage, folder.name, plan.sweep.goal, order.definition, order.resume)
    study.pruner = order.rule
    worker = Worker(folder / "workers")
    try:
        queue = Queue(plan.sweep, study, storage, worker, order.total, order.seed)
        trials = Engine(plan, queue, worker, order.places, display).work()
        display.clear()
    except OSError as error:  # a full disk, a folder taken away
        raise InputError(
            f"{error.filename or folder}: {error.strerror}; --resume goes on when that is mended"
        ) from error
    finally:
        worker.leave()
    return trials
