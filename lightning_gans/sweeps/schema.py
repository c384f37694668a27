"""Sweep files in the schema of Weights & Biases: read, and every wrong key named."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_gans.errors import InputError
from lightning_gans.sweeps.files import alternatives, read_checked
from lightning_gans.sweeps.laws import DISTRIBUTIONS, Law
from lightning_gans.sweeps.space import grid, is_number, is_whole, law

__all__ = ["GOALS", "Sweep", "read_sweep"]

_METHODS = ("grid", "random", "bayes")
_USED = (
    *("method", "metric", "parameters", "command", "program", "early_terminate", "run_cap"),
    *("name", "project"),
)
_TOLD_W_AND_B = ("description", "entity", "apiVersion", "kind", "controller")
_THEIRS = ("metrics", "scheduler", "job", "image_uri")
GOALS = ("minimize", "maximize")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PARAMETER_KEYS = (
    *("distribution", "value", "values", "probabilities", "min", "max", "q"),
    *("mu", "sigma", "a", "b"),
)
_RENAMED = {old: f"{old}_values" for old in ("log_uniform", "q_log_uniform", "inv_log_uniform")}
_TEXTS = ("name", "program", "project")
_MOST_ETA, _MOST_S = 100, 100
"""Far beyond use, and the powers of the one up to the other are still floats."""
_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says.

    Args:
        file: The file.
        method: grid, random or bayes.
        metric: A column of metrics.csv, or short for one (`Watched`).
        goal: minimize or maximize.
        parameters: As in the file, by the name of the option of ``lightning fit``.
        laws: The same, to be drawn from.
        command: Of a trial, with W&B's macros.
        program: What ``${program}`` stands for.
        early_terminate: Hyperband's settings; None: nothing is stopped early.
        run_cap: Number of trials; None: a grid's all, else the command line says.
        project: Of the W&B runs; None: the config says.
        ignored: Keys that only W&B's server heeds.
    """

    file: Path
    method: str
    metric: str
    goal: str
    parameters: dict[str, dict[str, Any]]
    laws: dict[str, Law]
    command: list[str]
    program: str | None
    early_terminate: dict[str, Any] | None
    run_cap: int | None
    project: str | None
    ignored: list[str]


def read_sweep(name: str) -> Sweep:
    """The sweep in a file, as given or, if there is none, among the shipped ones.

    Raises:
        InputError: There is no such file, or something in it is wrong; the message says what.
    """
    return read_checked(name, "sweep", "sweeps", _checked)


def _checked(file: Path, content: Any) -> Sweep:
    if not isinstance(content, dict):
        raise InputError("it must hold keys such as method, metric and parameters")
    for key in content:
        if key in _THEIRS:
            raise InputError(f"{key} is for W&B's own services; use `wandb sweep`")
        if key not in (*_USED, *_TOLD_W_AND_B):
            hint = alternatives(str(key), _USED)
            if key in ("seeds", "score", "prune", "trials", "jobs", "storage"):
                hint = f"; W&B knows none, so it is an option: lightning sweep --{key}"
            raise InputError(f"there is no key {key!r}{hint}")
    if (method := content.get("method")) not in _METHODS:
        theirs = "; custom needs W&B's scheduler" if method == "custom" else ""
        raise InputError(f"method is {method!r}; it must be one of {', '.join(_METHODS)}{theirs}")
    metric, goal, ignored = _metric(content.get("metric"))
    parameters = content.get("parameters")
    if not isinstance(parameters, dict) or not parameters:
        raise InputError("it needs parameters, e.g. {model.lr: {min: 0.001, max: 0.1}}")
    laws = {name: _law(name, given, method) for name, given in parameters.items()}
    if method == "grid":
        grid(laws)
    run_cap = content.get("run_cap")
    if run_cap is not None and (not is_whole(run_cap) or run_cap < 1):
        raise InputError(f"run_cap is {run_cap!r}; it must be a whole number above 0")
    command = content.get("command", _COMMAND)
    if not isinstance(command, list) or not command:
        raise InputError("command must be a list, e.g. [lightning, fit, '${args}']")
    for key in _TEXTS:
        if content.get(key) is not None and not isinstance(content[key], str):
            raise InputError(f"{key} is {content[key]!r}; it must be a text")
    if "${program}" in command and not content.get("program"):
        raise InputError("command has ${program}, but there is no program")
    return Sweep(
        file=file,
        method=method,
        metric=metric,
        goal=goal,
        parameters=parameters,
        laws=laws,
        command=[str(part) for part in command],
        program=content.get("program"),
        early_terminate=_early(content.get("early_terminate")),
        run_cap=run_cap,
        project=content.get("project"),
        ignored=ignored,
    )


def _metric(given: Any) -> tuple[str, str, list[str]]:
    name = given.get("name") if isinstance(given, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise InputError("it needs a metric, e.g. {name: val/generator_loss, goal: minimize}")
    known = ("name", "goal", "target", "impute", "impute_while_running")
    for key in given:
        if key not in known:
            raise InputError(f"metric has no key {key!r}{alternatives(str(key), known)}")
    goal = given.get("goal", "minimize")
    if goal not in GOALS:
        raise InputError(f"metric.goal is {goal!r}{alternatives(str(goal), GOALS)}")
    return name, goal, [f"metric.{key}" for key in known[2:] if key in given]


def _law(name: Any, given: Any, method: str) -> Law:
    if not isinstance(name, str) or not _PARAMETER.fullmatch(name):
        raise InputError(f"parameters: {name!r} is no name of an option")
    if not isinstance(given, dict):
        raise InputError(f"parameters.{name} must hold values, or min and max, not {given!r}")
    if "parameters" in given:
        raise InputError(f"parameters.{name}: write nested ones flat, e.g. {name}.lr")
    for key in given:
        if key not in _PARAMETER_KEYS:
            raise InputError(
                f"parameters.{name} has no key {key!r}{alternatives(str(key), _PARAMETER_KEYS)}"
            )
    kind = given.get("distribution")
    if kind is not None and not isinstance(kind, str):
        raise InputError(f"parameters.{name}: distribution is {kind!r}, not a text")
    if kind in _RENAMED:
        raise InputError(
            f"parameters.{name}: {kind} is no longer W&B's; {_RENAMED[kind]} takes the values "
            "themselves as min and max"
        )
    if kind is not None and kind not in DISTRIBUTIONS:
        raise InputError(
            f"parameters.{name}: distribution is {kind!r}{alternatives(str(kind), DISTRIBUTIONS)}"
        )
    try:
        return law(name, given, method)
    except InputError as error:
        raise InputError(f"parameters.{name}: {error}") from error


def _early(given: Any) -> dict[str, Any] | None:
    """Hyperband's settings, checked."""
    if given is None:
        return None
    if not isinstance(given, dict) or given.get("type") != "hyperband":
        raise InputError(
            "early_terminate.type must be hyperband, W&B knows no other; for the median rule "
            "leave it out and say lightning sweep --prune median"
        )
    known = ("type", "min_iter", "max_iter", "s", "eta", "strict")
    for key in given:
        if key not in known:
            raise InputError(f"early_terminate has no key {key!r}{alternatives(str(key), known)}")
    for key in ("min_iter", "max_iter", "s"):
        if key in given and (not is_whole(given[key]) or given[key] < 1):
            raise InputError(f"early_terminate.{key} must be a whole number above 0")
    eta, s, strict = given.get("eta", 3), given.get("s", 1), given.get("strict", True)
    if not is_number(eta) or not 1 < eta <= _MOST_ETA:
        raise InputError(f"early_terminate.eta is {eta!r}; it must be above 1, at most {_MOST_ETA}")
    if s > _MOST_S:
        raise InputError(f"early_terminate.s is {s}; it must be at most {_MOST_S}")
    if not isinstance(strict, bool):
        raise InputError(f"early_terminate.strict is {strict!r}; it must be true or false")
    if not ({"max_iter", "s"} if "max_iter" in given else {"min_iter"}) <= given.keys():
        raise InputError("early_terminate needs min_iter, or max_iter and s")
    return given
