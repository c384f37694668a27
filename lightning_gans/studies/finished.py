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
_MARKS = re.compile(r"[|<>*`\n]")
"""What Markdown would take for its own."""
_WATCHING = ("run", "samples", "checkpoints", "gradients", "modes", "quality", "reconstructions")
"""Parts of a config that only say where a run is kept and how it is looked at."""
_NO_MATTER = ("seed_everything", "ckpt_path", "data.seed", "data.root", "data.num_workers")
_OF_TRAINER = (
    *("accelerator", "log_every_n_steps", "check_val_every_n_epoch", "limit_val_batches"),
    *("limit_test_batches", "num_sanity_val_steps", "default_root_dir", "profiler", "logger"),
    *("enable_progress_bar", "enable_model_summary", "enable_checkpointing"),
)
_OF_TRAINING = ("data.batch_size", "data.batches_per_epoch")
"""Settings of the data that say how a model is trained."""
_MOST_TOLD = 3


def finished_runs(paths: Sequence[str], now: float) -> tuple[list[Run], list[str], list[str]]:
    """The runs in these folders that have ended, in the order in which they are named.

    Returns, besides, what is to be said of the others, and the folders of which all are others.

    Those that failed are among them: without, the lucky ones of a model would stand for it.

    Runs whose settings differ in nothing but seeds are one model's on one data set. A model is
    called by what its experiments have in common, data by their class; where that is not enough,
    by settings, too.

    Args:
        paths: Run folders, or folders of runs.
        now: The time, in seconds since 1970.

    Raises:
        InputError: One holds no runs, or none is finished.
    """
    found, statuses, said, held = {}, {}, [], {}
    for path in paths:
        folder = Path(path)
        runs = [folder] if signature(folder) else list(find_runs(folder))
        if not runs:
            told = "holds no runs" if folder.is_dir() else "is no folder"
            raise InputError(f"{path} {told}; lightning compare takes run folders, or a study file")
        said += [
            f"{log.parent} is left out: it ended before its first batch, {log} says why"
            for log in sorted((*folder.glob("log.txt"), *folder.glob("*/log.txt")))
            if not any(log.parent.glob("version_*"))
        ]
        held[path] = {str(run) for run in runs}
        for run in runs:
            if not signature(run):
                said.append(f"{run} is left out: there is nothing in it yet")
                continue
            sittings = read_sittings(run)
            status = status_of(signature(run), sittings, now, longest_gap(read_seconds(run)))
            if status.name in ("finished", "failed"):
                found[run], statuses[run] = read_settings(run), status
            else:
                said.append(f"{run} is left out: {status.name} ({status.why})")
    if not any(status.name == "finished" for status in statuses.values()):
        said += [f"{run} has failed ({status.why})" for run, status in statuses.items()]
        raise InputError("none of these runs has finished:\n" + "\n".join(said))
    data = _names({run: (_data_of(own), _class(own)) for run, own in found.items()})
    models = _names({run: (_model_of(own), _experiment(run)) for run, own in found.items()})
    latest: dict[tuple[str, str, str], Run] = {}
    whole = {run: statuses[run].name == "finished" for run in found}
    for run in sorted(found, key=lambda r: (whole[r], signature(r).get("metrics.csv", (0, 0)))):
        key = data[run], models[run], _seeds(run, found[run])
        if key in latest:
            said.append(f"{latest[key].path} is left out: {run} has the same settings and seeds")
        ended = () if whole[run] else ("failed", statuses[run].why)
        latest[key] = Run(*key, str(run), *ended)
    places = {str(run): place for place, run in enumerate(found)}
    used = sorted(latest.values(), key=lambda run: places[run.path])
    idle = [path for path, runs in held.items() if not runs & {run.path for run in used}]
    return used, said, idle


def _seeds(run: Path, settings: dict[str, Any]) -> str:
    """The seed of a run in words; with that of its data where it is another."""
    own, of_data = settings.get("seed_everything"), settings.get("data.seed")
    if own is None or isinstance(own, bool):
        return f"none ({run})"
    return str(own) if of_data in (None, 0, own) else f"{own}, data {of_data}"


def _data_of(settings: dict[str, Any]) -> dict[str, Any]:
    apart = (*_NO_MATTER, *_OF_TRAINING)
    return {k: v for k, v in settings.items() if k.split(".")[0] == "data" and k not in apart}


def _model_of(settings: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in settings.items() if key in _OF_TRAINING}
    for key, value in settings.items():
        part, _, rest = key.partition(".")
        watching = part in (*_WATCHING, "data") or key in _NO_MATTER
        if not watching and not (part == "trainer" and rest in _OF_TRAINER):
            found[key] = value
    return found


def _class(settings: dict[str, Any]) -> str:
    return _MARKS.sub("_", str(settings.get("data")))


def _experiment(run: Path) -> str:
    return _MARKS.sub("_", _SEED.sub("", run.resolve().parent.name))


def _names(told: dict[Path, tuple[dict[str, Any], str]]) -> dict[Path, str]:
    """For each run a name that those of the same settings share, and no others.

    Args:
        told: Of each its settings, and the name to begin with.
    """
    groups: dict[str, tuple[dict[str, Any], str]] = {}
    of_run = {}
    for run, (settings, name) in told.items():
        of_run[run] = key = repr(sorted(settings.items(), key=str))
        _, called = groups.get(key, (settings, name))
        common = [word for word in called.split("_") if word in name.split("_")]
        groups[key] = settings, "_".join(common) or called
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
