"""Which trials are stopped early."""

from typing import Any

from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from lightning_gans.errors import InputError
from lightning_gans.sweeps.queue import counts
from lightning_gans.sweeps.schema import Sweep

__all__ = ["Bands", "bands", "pruner"]

_BEFORE_MEDIANS, _BANDS = 3, 100


def bands(settings: dict[str, Any]) -> list[int]:
    """After how many values of the metric trials are compared, as W&B counts.

    From ``min_iter`` on each eta times the one before; or ``s`` of them below ``max_iter``.
    """
    eta = settings.get("eta", 3)
    if "max_iter" in settings:
        shares = [int(settings["max_iter"] / eta**i) for i in range(1, settings["s"] + 1)]
        return sorted(share for share in shares if share >= 1)
    return [int(settings["min_iter"] * eta**i) for i in range(_BANDS)]


class Bands(BasePruner):
    """Stops trials that are not among the best 1 / eta of a band (Li et al., 2017), as W&B does.

    In the last band that a trial has reached, its value is compared with those that all trials,
    whatever became of them, had there (one that was broken off counts when it is run again). It
    may be stopped later by trials that come after it.

    Args:
        settings: ``early_terminate`` of a sweep file. ``strict`` (true, as in W&B's schema)
            compares the value that a trial had in the band; otherwise its best so far counts.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._bands, self._share = bands(settings), 1 / settings.get("eta", 3)
        self._strict = settings.get("strict", True)
        if not self._bands:
            raise InputError("early_terminate: max_iter / eta is below 1, so nothing is compared")

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop ``trial``, whose steps count the metric's values from 1."""
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        own = {step: sign * value for step, value in trial.intermediate_values.items()}
        reached = [band for band in self._bands if band in own]
        if not reached:
            return False
        band = reached[-1]
        others = study.get_trials(deepcopy=False)
        there = sorted(
            sign * other.intermediate_values[band]
            for other in others
            if counts(other) and band in other.intermediate_values
        )
        threshold = there[int(self._share * len(there))]
        return (own[band] if self._strict else min(own.values())) > threshold


def pruner(sweep: Sweep, rule: str | None) -> BasePruner:
    """That of the sweep file, or of ``rule``, which wins.

    Args:
        sweep: The sweep.
        rule: median, none, or None.
    """
    if rule == "median":
        return MedianPruner(n_startup_trials=_BEFORE_MEDIANS, n_warmup_steps=1)
    if rule == "none" or sweep.early_terminate is None:
        return NopPruner()
    return Bands(sweep.early_terminate)
