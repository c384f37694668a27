"""Which name may have been meant, by what each parameter of ours takes: read from annotations."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, get_args, get_origin

from lightning_gans.catalogue import STAGES, public_names
from lightning_gans.data import Data
from lightning_gans.errors import meant, nearest
from lightning_gans.models import Model

__all__ = ["meant_class", "meant_import", "meant_key", "meant_option", "place_of"]

_PLACES = {
    "Configured": "model.objective",
    "Discriminator": "model.discriminator",
    "Generator": "model.generator",
    "Optimizer": "model.generator_optimizer or model.discriminator_optimizer",
    "Penalty": "model.penalties, a list; e.g. --model.penalties+=R1",
    "Schedule": "model.schedule",
    "UpdateRule": "model.update",
}
"""Where the classes of each base are given."""

_ROOTS: dict[str, type] = {"model": Model, "data": Data}
_SHOWN = 12
_FUNCTIONS = {
    name: f"lightning_gans.{stage}.{name}"
    for stage in ("objectives", "schedules")
    for name, _ in public_names(stage)
    if name.islower()
}


def _classes() -> Iterator[type]:
    """Every class that a config can name."""
    for stage in STAGES:
        module = importlib.import_module(f"lightning_gans.{stage}")
        for name, _ in public_names(stage):
            if isinstance(cls := getattr(module, name), type):
                yield cls


def _parameters(cls: type) -> dict[str, Any]:
    """Its parameters with their annotations.

    A preset hands its keywords on, so its parents' parameters are its own too.
    """
    found = {}
    for base in reversed(cls.__mro__[:-1]):
        if base.__init__ is not object.__init__:
            found |= inspect.signature(base.__init__).parameters
    return {
        name: parameter.annotation
        for name, parameter in found.items()
        if name != "self"
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }


@cache
def _annotations() -> dict[str, list[Any]]:
    """What parameters of a name are annotated with, in all classes of ours."""
    found: dict[str, list[Any]] = {name: [root] for name, root in _ROOTS.items()}
    for cls in _classes():
        for name, annotation in _parameters(cls).items():
            found.setdefault(name, []).append(annotation)
    return found


def _parts(annotation: Any) -> Iterator[Any]:
    """The classes that an annotation is made of."""
    yield get_origin(annotation) or annotation
    for part in get_args(annotation):
        yield from _parts(part) if not isinstance(part, list) else ()


def _below(base: type) -> Iterator[type]:
    """Its public subclasses, and theirs."""
    for cls in type.__subclasses__(base):
        if not cls.__name__.startswith("_") and not inspect.isabstract(cls):
            yield cls
        yield from _below(cls)


@cache
def _fitting(parameter: str) -> dict[str, type | None]:
    """The classes, and the functions by their full names, that a parameter takes."""
    parts = [part for one in _annotations().get(parameter, ()) for part in _parts(one)]
    found: dict[str, type | None] = {}
    for base in {part for part in parts if inspect.isclass(part)}:
        if base.__module__.partition(".")[0] in ("lightning_gans", "torch"):
            found |= {cls.__name__: cls for cls in _below(base)}
    if Callable in parts:
        found |= dict.fromkeys(_FUNCTIONS.values())
    return found


def meant_class(name: str, parameter: str) -> str:
    """A hint for a class or function by its short name, where the parameter takes such."""
    if name in _FUNCTIONS:
        return f"; did you mean {_FUNCTIONS[name]!r}? functions need their full name"
    fitting = _fitting(parameter)
    full = {known.rpartition(".")[2]: known for known in fitting}
    if near := nearest(name, full):
        return f"; did you mean {full[near]!r}?"
    names = sorted(known for known, cls in fitting.items() if cls is not None)
    return f"; it can be {', '.join(names)}" if 0 < len(names) <= _SHOWN else ""


def meant_import(typed: str, module: str, missing: str) -> str:
    """A hint for a dotted name of which ``module`` lacks the part ``missing``."""
    content = importlib.import_module(module)
    known = STAGES if module == "lightning_gans" else getattr(content, "__all__", dir(content))
    near = nearest(missing, known)
    rest = typed.removeprefix(f"{module}.{missing}")
    return f"; did you mean '{module}.{near}{rest}'?" if near else ""


def meant_key(key: str) -> str:
    """A hint for a parameter of any class of ours, for configs, where no more is known."""
    first = key.partition(".")[0]
    return "" if first in _annotations() else meant(first, _annotations())


def meant_option(typed: str, options: list[str]) -> str:
    """A hint for an option such as model.generator.norm, among those of the parser or of classes.

    Args:
        typed: As it was typed, without dashes.
        options: What the parser knows itself.
    """
    first, *parts = [part for part in typed.split(".") if part != "init_args"]
    if first not in _ROOTS or not parts:
        return meant(f"--{typed}", [f"--{option}" for option in options])
    parent = first
    for i, part in enumerate(parts):
        known = {name for cls in _fitting(parent).values() if cls for name in _parameters(cls)}
        if part not in known:
            near = nearest(part, known)
            right = ".".join([first, *parts[:i], near or "", *parts[i + 1 :]])
            return f"; did you mean '--{right}'?" if near else ""
        parent = part
    return ""


def place_of(name: str) -> str | None:
    """The parameter that takes the class ``name`` of ours, None if none does."""
    for cls in _classes():
        for base in cls.__mro__ if cls.__name__ == name else ():
            if base.__name__ in _PLACES:
                return _PLACES[base.__name__]
    return None
