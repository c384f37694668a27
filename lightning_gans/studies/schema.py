"""Study files: which models are compared on which data, by which numbers, at which cost."""

import hashlib
import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_gans.errors import InputError, meant
from lightning_gans.runs import KNOWN_GOALS, goal
from lightning_gans.sweeps.files import alternatives, read_checked

__all__ = ["Budget", "Study", "read_study"]

_KEYS = ("title", "seeds", "budget", "common", "data", "models", "metrics", "skip")
_NEEDED = ("title", "budget", "data", "models", "metrics")
_BUDGETS = ("samples", "seconds")
_PARTS = (
    *("model", "data", "trainer", "run", "samples", "modes", "quality", "reconstructions"),
    *("gradients", "checkpoints"),
)
"""Of a config; what is not here, and what the budget decides, is the study's to say."""
_OF_THE_BUDGET = ("max_steps", "max_epochs", "max_time")
_NAME = re.compile(r"[\w(][\w .,+()/=-]*")
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Budget:
    """What every run may spend.

    Args:
        samples: Training samples seen; None where time is what counts.
        seconds: Of training; None where samples count.
    """

    samples: int | None
    seconds: int | None

    def __str__(self) -> str:
        """In words."""
        if self.samples is not None:
            return f"{self.samples:,} training samples a run"
        return f"{self.seconds:,} seconds of training a run"


@dataclass(frozen=True)
class Study:
    """What a study file says.

    Args:
        file: The file.
        title: The question, in words.
        seeds: Runs of a model on a data set, with seeds 0, 1, ...
        budget: Of every run.
        common: What all runs' configs have.
        data: By name: ``config`` (what these runs' configs have besides), and ``values`` that
            ``${values.name}`` stands for in the models' configs, and ``redraw``: whether each seed
            draws data of its own, as it should from a known law; else all have the same.
        models: By name: what these runs' configs have besides, and ``times``: how many times
            the budget they may spend, 1 unless said.
        metrics: Names of what is compared, the most important first.
        skip: Pairs of a data set and a model that are left out.
    """

    file: Path
    title: str
    seeds: int
    budget: Budget
    common: dict[str, Any]
    data: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]
    metrics: list[str]
    skip: list[tuple[str, str]]

    @property
    def definition(self) -> dict[str, Any]:
        """All that decides what a run of it is."""
        kept = ("budget", "common", "data", "models", "skip")
        content = {key: getattr(self, key) for key in kept}
        return json.loads(json.dumps(content, default=str))

    @property
    def digest(self) -> str:
        """Of its definition, eight hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.definition).encode()).hexdigest()[:8]


def read_study(name: str) -> Study:
    """The study in a file, as given or, if there is none, among the shipped ones.

    Raises:
        InputError: There is no such file, or something in it is wrong; the message says what.
    """
    return read_checked(name, "study", "studies", _checked)


def _checked(file: Path, content: Any) -> Study:
    if not isinstance(content, dict):
        raise InputError(f"it must hold keys such as {', '.join(_NEEDED)}")
    _only(content, _KEYS, "")
    for key in _NEEDED:
        if not content.get(key):
            raise InputError(f"it needs {key}")
    if not isinstance(content["title"], str) or len(content["title"].splitlines()) > 1:
        raise InputError(f"title is {content['title']!r}; it must be a text of one line")
    seeds = content.get("seeds", 5)
    if not _whole(seeds) or seeds > _MOST_SEEDS:
        raise InputError(f"seeds is {seeds!r}; it must be a whole number, 1 to {_MOST_SEEDS:,}")
    data = {name: _data(name, given) for name, given in _named(content["data"], "data").items()}
    models = _named(content["models"], "models")
    for name, given in models.items():
        _only(given, (*_PARTS, "times"), f"models.{name}: ")
        _leave_the_budget(given, f"models.{name}")
        if not isinstance(given.get("model"), dict | str):
            raise InputError(f"models.{name} needs model")
        if not _whole(given.get("times", 1)):
            raise InputError(f"models.{name}.times is {given['times']!r}; it must be at least 1")
    metrics = content["metrics"]
    if not isinstance(metrics, list) or not all(isinstance(name, str) for name in metrics):
        raise InputError(f"metrics is {metrics!r}; it must be a list of names")
    for name in metrics:
        if goal(name) is None:
            hint = meant(name, KNOWN_GOALS)
            raise InputError(f"metrics: of {name!r} it is not known which values are good{hint}")
        if metrics.count(name) > 1:
            raise InputError(f"metrics has {name} twice")
    common = _mapping(content.get("common") or {}, "common")
    _only(common, _PARTS, "common: ")
    _leave_the_budget(common, "common")
    skip = _skipped(content.get("skip") or [], data, models)
    if len(skip) == len(data) * len(models):
        raise InputError("skip leaves no run")
    return Study(
        file,
        content["title"],
        seeds,
        _budget(content["budget"]),
        common,
        data,
        models,
        metrics,
        skip,
    )


def _only(given: dict[Any, Any], known: Collection[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise InputError(f"{where}there is no key {key!r}{alternatives(str(key), known)}")


def _leave_the_budget(config: dict[str, Any], where: str) -> None:
    """Refuse settings that the budget would override."""
    trainer = config.get("trainer")
    for key in _OF_THE_BUDGET if isinstance(trainer, dict) else ():
        if key in trainer:
            raise InputError(f"{where}.trainer.{key}: how long a run is, is the budget's to say")


def _mapping(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InputError(f"{where} must hold keys, not {given!r}")
    return given


def _named(given: Any, where: str) -> dict[str, dict[str, Any]]:
    """Parts of configs by their names, which folders and tables can carry."""
    for name, part in _mapping(given, where).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"{where}: {name!r} is no name; it takes letters, digits and .,+()/=-")
        _mapping(part, f"{where}.{name}")
    return given


def _data(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """``config``, ``values`` and ``redraw`` of a data set, checked."""
    _only(given, ("config", "values", "redraw"), f"data.{name}: ")
    config = _mapping(given.get("config"), f"data.{name}.config")
    _only(config, _PARTS, f"data.{name}.config: ")
    _leave_the_budget(config, f"data.{name}.config")
    if not isinstance(config.get("data"), dict):
        raise InputError(f"data.{name}.config needs data")
    values = _mapping(given.get("values") or {}, f"data.{name}.values")
    if "batches" in values:
        raise InputError(f"data.{name}.values: batches are those of the budget; name it otherwise")
    redraw = given.get("redraw", False)
    if not isinstance(redraw, bool):
        raise InputError(f"data.{name}.redraw is {redraw!r}; it must be true or false")
    return {"config": config, "values": values, "redraw": redraw}


def _budget(given: Any) -> Budget:
    _only(_mapping(given, "budget"), _BUDGETS, "budget: ")
    if len(given) != 1:
        raise InputError("budget must have either samples or seconds")
    ((name, amount),) = given.items()
    if isinstance(amount, float) and math.isfinite(amount) and amount == int(amount):
        amount = int(amount)  # 1.0e+6 is a float to YAML
    if not _whole(amount):
        raise InputError(f"budget.{name} is {amount!r}; it must be a whole number above 0")
    return Budget(**{"samples": None, "seconds": None, name: amount})


def _whole(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 1


def _skipped(given: Any, data: Collection[str], models: Collection[str]) -> list[tuple[str, str]]:
    """``skip``: for a data set the models that are not run on it."""
    pairs = []
    for place, names in _mapping(given, "skip").items() if given else ():
        if place not in data:
            raise InputError(f"skip: there is no data set {place!r}{alternatives(place, data)}")
        for name in names if isinstance(names, list) else [names]:
            if name not in models:
                hint = alternatives(str(name), models)
                raise InputError(f"skip.{place}: there is no model {name!r}{hint}")
            if (place, name) not in pairs:
                pairs.append((place, name))
    return pairs
