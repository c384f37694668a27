"""The space that a sweep searches in: each parameter's law, checked; the grid of all values."""

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from lightning_gans.errors import InputError
from lightning_gans.sweeps.laws import DISTRIBUTIONS, MOMENTS, SHAPE, Law

__all__ = ["grid", "is_number", "is_whole", "law"]

_ENDS = ("min", "max")
_MOST = 2**53
"""Whole numbers beyond it are not all floats."""


def law(name: str, given: dict[str, Any], method: str = "random") -> Law:
    """The law of a parameter as a sweep file gives it.

    Args:
        name: The parameter's.
        given: ``distribution`` or what it follows from, with numbers that are in order.
        method: Of the sweep; in a grid some distributions are another one.

    Raises:
        InputError: A key is missing or unknown to the distribution, or its numbers are not in
            order.
    """
    kind = given.get("distribution") or _implied(given)
    distribution = DISTRIBUTIONS[kind]
    settings = {key: value for key, value in given.items() if key != "distribution"}
    known = (*distribution.needs, *distribution.takes)
    if missing := [key for key in distribution.needs if key not in settings]:
        raise InputError(f"{kind} needs {' and '.join(missing)}")
    if unknown := [key for key in settings if key not in known]:
        raise InputError(f"{kind} takes {', '.join(known)}, not {unknown[0]}")
    _check(kind, settings)
    if distribution.q is not None:
        settings.setdefault("q", distribution.q)
    try:
        make = (method == "grid" and distribution.in_grid) or distribution.make
        return make(name, **settings)
    except OverflowError as error:
        raise InputError(f"{kind} with {settings} has values that are no floats") from error


def is_whole(value: Any) -> bool:
    """Whether it is a whole number that a float can be; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST


def is_number(value: Any) -> bool:
    """Whether it is a number, and finite."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _implied(given: dict[str, Any]) -> str:
    """The distribution that W&B takes where none is named."""
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    if "value" in given:
        return "constant"
    if "min" in given and "max" in given:
        whole = all(isinstance(given[end], int) for end in _ENDS)
        return "int_uniform" if whole else "uniform"
    raise InputError("it needs values, value, min and max, or a distribution")


def _check(kind: str, settings: dict[str, Any]) -> None:
    """Refuse numbers that are none, or are out of order."""
    for key in ("min", "max", "q", *MOMENTS, *SHAPE):
        value = settings.get(key, 1)
        if isinstance(value, str):
            hint = "; YAML wants a point, as in 1.0e-3" if "e" in value.lower() else ""
            raise InputError(f"{key} is the text {value!r}, not a number{hint}")
        if not is_number(value):
            raise InputError(f"{key} is {value!r}, not a finite number")
        if key in ("q", *SHAPE) and value <= 0:
            raise InputError(f"{key} is {value}; it must be above 0")
    if kind == "int_uniform" and any(not isinstance(settings[end], int) for end in _ENDS):
        raise InputError(f"int_uniform needs whole min and max, not {settings}")
    if "min" in settings and settings["min"] >= settings["max"]:
        raise InputError(f"min {settings['min']} is not below max {settings['max']}")
    if "log" in kind and settings.get("min", 1) <= 0:
        raise InputError(f"min {settings['min']} is not above 0, as {kind} needs")
    if settings.get("sigma", 1) <= 0:
        raise InputError(f"sigma is {settings['sigma']}; it must be above 0")
    if "values" in settings:
        values = settings["values"]
        if not isinstance(values, list) or not values:
            raise InputError(f"values must be a list of at least one, not {values!r}")
        if len({json.dumps(value, default=str) for value in values}) < len(values):
            raise InputError(f"values has one twice: {values}")
    if "probabilities" in settings:
        shares = settings["probabilities"]
        if not isinstance(shares, list) or len(shares) != len(settings["values"]):
            raise InputError("probabilities must be as many as values")
        if not all(is_number(share) for share in shares):
            raise InputError(f"probabilities must be numbers, not {shares}")
        if any(share < 0 for share in shares) or not math.isclose(sum(shares), 1.0):
            raise InputError(f"probabilities must be at least 0 and add up to 1, not {shares}")


class _Grid(Sequence):
    """Every combination of the laws' values, each made when it is asked for."""

    def __init__(self, laws: dict[str, Law]) -> None:
        self._laws = laws
        self._size = math.prod(len(law.all) for law in laws.values())
        if self._size > sys.maxsize:
            raise InputError(f"the grid has {self._size:.1e} combinations; no run ends it")

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> dict[str, Any]:
        left, chosen = range(self._size)[index], {}
        for name, law in reversed(self._laws.items()):
            left, at = divmod(left, len(law.all))
            chosen[name] = law.all[at]
        return {name: chosen[name] for name in self._laws}


def grid(laws: dict[str, Law]) -> Sequence[dict[str, Any]]:
    """Every combination, the last parameter changing fastest, as Optuna would suggest it.

    Raises:
        InputError: A parameter has no end of values, or there are too many combinations; the
            message says which.
    """
    for name, each in laws.items():
        if each.all is None:
            raise InputError(
                f"parameters.{name}: a grid needs values, whole min and max, or q_uniform"
            )
    return _Grid(laws)
