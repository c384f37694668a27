"""Runs that are there already, told apart by their settings: whose they are and on which data."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from lightning_gans.errors import InputError
from lightning_gans.runs.reading import (
    find_runs,
    longest_gap,
    read_seconds,
    read_sittings,
    signature,
    status_of,
)
from lightning_gans.runs.settings import read_settings
from lightning_gans.studies.collect import Run

__all__ = ["finished_runs"]

_SEED = re.compile(r"_seed\d+$")
_ELSEWHERE = ("run.", "samples.", "checkpoints.", "gradients.", "modes.", "quality.", "trainer.")
"""What does not make it another model: where a run is kept, how it is watched, how long it runs."""
_LENGTH = ("trainer.max_steps", "trainer.max_epochs", "trainer.max_time", "trainer.precision")
_MOST_TOLD = 3


def finished_runs(paths: Sequence[str], now: float) -> tuple[list[Run], list[str]]:
    """The finished runs in these folders, and what is to be said of the others.

    Runs whose settings differ in nothing but seeds are one model's on one data set. A model is
    called by its experiment, data by their class; where that is not enough, by settings, too.

    Args:
        paths: Run folders, or folders of runs.
        now: The time, in seconds since 1970.

    Raises:
        InputError: One holds no runs, or none is finished.
    """
    found, said = {}, []
    for path in paths:
        folder = Path(path)
        runs = [folder] if signature(folder) else list(find_runs(folder))
        if not runs:
            told = "holds no runs" if folder.is_dir() else "is no folder"
            raise InputError(f"{path} {told}; lightning compare takes run folders, or a study file")
        for run in runs:
            sittings = read_sittings(run)
            status = status_of(signature(run), sittings, now, longest_gap(read_seconds(run)))
            if status.name == "finished":
                found[run] = read_settings(run)
            else:
                said.append(f"{run} is left out: {status.name} ({status.why})")
    if not found:
        raise InputError("none of these runs has finished:\n" + "\n".join(said))
    data = _names({run: (_data_of(own), _class(own)) for run, own in found.items()})
    models = _names({run: (_model_of(own), _experiment(run)) for run, own in found.items()})
    latest: dict[tuple[str, str, int], Run] = {}
    for run in sorted(found, key=lambda run: signature(run).get("metrics.csv", (0, 0))):
        key = data[run], models[run], int(found[run].get("seed_everything") or 0)
        if key in latest:
            said.append(f"{latest[key].path} is left out: {run} has the same settings and seed")
        latest[key] = Run(*key, str(run))
    return list(latest.values()), said


def _data_of(settings: dict[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in settings.items() if key.split(".")[0] == "data"}
    return {key: value for key, value in own.items() if key not in ("data.seed", "data.root")}


def _model_of(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in settings.items()
        if key in _LENGTH
        or not key.startswith(("data", *_ELSEWHERE))
        and key not in ("seed_everything", "ckpt_path")
    }


def _class(settings: dict[str, Any]) -> str:
    return str(settings.get("data"))


def _experiment(run: Path) -> str:
    return _SEED.sub("", run.resolve().parent.name)


def _names(told: dict[Path, tuple[dict[str, Any], str]]) -> dict[Path, str]:
    """For each run a name that those of the same settings share, and no others.

    Args:
        told: Of each its settings, and the name to begin with.
    """
    groups: dict[str, tuple[dict[str, Any], str]] = {}
    of_run = {}
    for run, (settings, name) in told.items():
        of_run[run] = key = repr(sorted(settings.items(), key=str))
        groups.setdefault(key, (settings, name))
    often = Counter(name for _, name in groups.values())
    names: dict[str, str] = {}
    for key, (settings, name) in groups.items():
        if often[name] > 1:
            others = [
                own for other, (own, called) in groups.items() if called == name and other != key
            ]
            apart = [
                f"{setting.rsplit('.', 1)[-1]}={settings.get(setting)}"
                for setting in settings
                if any(own.get(setting) != settings[setting] for own in others)
            ]
            name = f"{name} ({', '.join(apart[:_MOST_TOLD])})" if apart else name
        taken = set(names.values())
        again = (name if i == 1 else f"{name} #{i}" for i in count(1))
        names[key] = next(each for each in again if each not in taken)
    return {run: names[key] for run, key in of_run.items()}
