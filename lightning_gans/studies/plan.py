"""The runs of a study: each one's config, folder and options of ``lightning fit``."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_gans.errors import InputError
from lightning_gans.runs.files import write_whole
from lightning_gans.studies.schema import Study
from lightning_gans.sweeps.laws import Law
from lightning_gans.sweeps.plan import Plan
from lightning_gans.sweeps.schema import Sweep
from lightning_gans.sweeps.scores import Score, Watched

__all__ = ["Cell", "StudyPlan", "cells", "config_of", "sweep_of"]

_MOST_RUNS = 999_999


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Args:
        data: Name of the data set.
        model: Name of the model.
        seed: Of everything.
    """

    data: str
    model: str
    seed: int

    @property
    def name(self) -> str:
        """What files of all its seeds are called, e.g. ring_r3gan."""
        return _plain(f"{self.data}_{self.model}")

    @property
    def experiment(self) -> str:
        """Its folder in the study's, e.g. ring_r3gan_seed3."""
        return f"{self.name}_seed{self.seed}"


def _plain(name: str) -> str:
    return re.sub(r"[^\w.=-]+", "_", name.lower()).strip("_")


def cells(study: Study) -> list[Cell]:
    """All runs, a seed of all models on all data after another.

    Raises:
        InputError: Two would share a folder.
    """
    found = [
        Cell(data, model, seed)
        for seed in range(study.seeds)
        for data, model in itertools.product(study.data, study.models)
        if (data, model) not in study.skip
    ]
    by_folder: dict[str, Cell] = {}
    for cell in found:
        other = by_folder.setdefault(cell.experiment, cell)
        if other != cell:
            raise InputError(
                f"{study.file}: {other.model} on {other.data} and {cell.model} on {cell.data} "
                f"would both be kept in {cell.experiment}; name one otherwise"
            )
    return found


def config_of(study: Study, data: str, model: str) -> dict[str, Any]:
    """The config of a model's runs on a data set.

    Raises:
        InputError: It has no batch size to divide the budget by, or a ``${values.name}`` stands for
            nothing.
    """
    place = study.data[data]
    own = {key: part for key, part in study.models[model].items() if key != "times"}
    merged = OmegaConf.merge(study.common, place["config"], own)
    times = study.models[model].get("times", 1)
    values: dict[str, Any] = dict(place["values"])
    trainer: dict[str, Any] = {"max_epochs": -1}
    try:
        if study.budget.samples is not None:
            size = OmegaConf.select(merged, "data.init_args.batch_size")
            if not isinstance(size, int) or size < 1:
                raise InputError(
                    f"{study.file}: data.{data}.config needs data.init_args.batch_size, by which "
                    "the budget's samples are divided"
                )
            if (batches := round(times * study.budget.samples / size)) < 1:
                raise InputError(
                    f"{study.file}: the budget of {study.budget} is less than a batch of {data}"
                )
            trainer["max_steps"] = values["batches"] = batches
        else:
            minutes, seconds = divmod(times * study.budget.seconds, 60)
            hours, minutes = divmod(minutes, 60)
            days, hours = divmod(hours, 24)
            trainer["max_time"] = f"{days:02d}:{hours:02d}:{minutes:02d}:{seconds:02d}"
        whole = OmegaConf.merge({"values": values}, merged, {"trainer": trainer})
        config = OmegaConf.to_container(whole, resolve=True)
    except OmegaConfBaseException as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{study.file}: {model} on {data}: {reason}") from error
    del config["values"]
    return config


def sweep_of(study: Study, runs: list[Cell]) -> Sweep:
    """A study as the engine of the sweeps runs it: a grid of its runs."""
    names = [cell.experiment for cell in runs]
    number = Law(
        # The same for any number of seeds, so that more of them can be added.
        suggest=lambda trial: trial.suggest_int("run", 0, _MOST_RUNS),
        value=names.__getitem__,
        all=range(len(names)),
        edges=names,
    )
    return Sweep(
        file=study.file,
        method="grid",
        metric="runs",
        goal="maximize",
        parameters={"run": {"values": names}},
        laws={"run": number},
        command=["lightning", "compare", str(study.file)],
        program=None,
        early_terminate=None,
        run_cap=None,
        project=None,
        ignored=[],
    )


class _Ended(Watched):
    """A run of which it counts only that it has ended well."""

    def look(self) -> bool:
        """There is nothing to see."""
        return False

    def score(self) -> Score:
        """One run."""
        return Score(1.0, 0)


@dataclass(frozen=True)
class StudyPlan(Plan):
    """What all runs of a study have in common.

    Args:
        study: It.
        runs: All of them, by their folders in the study's.
    """

    study: Study
    runs: dict[str, Cell]

    @property
    def typed(self) -> str:
        """What goes on with it."""
        return "lightning compare"

    def experiment(self, index: int, parameters: Mapping[str, Any]) -> str:
        """The run's folder in the study's."""
        return str(parameters["run"])

    def watch(self, run: Path) -> Watched:
        """That it has ended is all that counts."""
        return _Ended(run, self.sweep.metric, self.sweep.goal, self.which)

    def options(self, index: int, parameters: Mapping[str, Any], seed: int) -> list[str]:
        """Its config, which is written, its seed, and where it is kept."""
        cell = self.runs[parameters["run"]]
        config = self.folder / "configs" / f"{cell.name}.yaml"
        config.parent.mkdir(parents=True, exist_ok=True)
        told = f"# {cell.model} on {cell.data}, of {self.study.file.name}: {self.study.budget}."
        content = config_of(self.study, cell.data, cell.model)
        write_whole(config, f"{told}\n{yaml.safe_dump(content, sort_keys=False)}")
        return [
            f"--config={config}",
            f"--seed_everything={cell.seed}",
            f"--data.seed={cell.seed if self.study.data[cell.data]['redraw'] else 0}",
            *self.more,
            *self.where(index, parameters),
        ]
