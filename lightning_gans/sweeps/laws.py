"""The laws that parameters are drawn from: those of W&B's sweep files, for Optuna to search."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

__all__ = ["DISTRIBUTIONS", "MOMENTS", "SHAPE", "Law"]

Number = int | float

_TAIL = 1e-6
"""Quantiles below it and above 1 - it are never drawn: a normal law ends at 4.75 deviations."""

_INSIDE = 0.618
"""Where in a range the value lies that is tried beside its ends: hardly at a whole number."""


@dataclass(frozen=True)
class Law:
    """What one parameter may be.

    Args:
        suggest: From an Optuna trial to what Optuna searches in: the value itself where it can,
            else its quantile.
        value: From that to the parameter's value.
        all: All that Optuna could suggest, in order; None where they are not to be enumerated.
        edges: Values that stand for the others when an option is tried out.
    """

    suggest: Callable[[Any], Any]
    value: Callable[[Any], Any]
    all: Sequence[Any] | None
    edges: Sequence[Any]


def _same(value: Any) -> Any:
    return value


def _rounded(q: Number) -> Callable[[Number], Number]:
    """To the nearest multiple of ``q``, as W&B does: whole if ``q`` is."""

    def value(x: Number) -> Number:
        multiple = round(x / q) * q
        return multiple if isinstance(q, int) else float(f"{multiple:.12g}")

    return value


def _constant(name: str, value: Any) -> Law:
    return Law(lambda trial: value, _same, [value], [value])


def _choice(name: str, values: list) -> Law:
    # Optuna knows no lists and takes True for 1.
    texts = {json.dumps(value, default=str): value for value in values}
    return Law(
        lambda trial: trial.suggest_categorical(name, list(texts)),
        texts.__getitem__,
        list(texts),
        values,
    )


def _weighted(name: str, values: list, probabilities: list[Number]) -> Law:
    def value(quantile: Number) -> Any:
        for each, probability in zip(values, probabilities, strict=True):
            quantile -= probability
            if quantile < 0:
                return each
        return values[-1]

    return Law(lambda trial: trial.suggest_float(name, 0, 1), value, None, values)


def _whole(name: str, min: int, max: int) -> Law:
    everything = range(min, max + 1)
    return Law(lambda trial: trial.suggest_int(name, min, max), _same, everything, [min, max])


def _range(name: str, min: Number, max: Number, log: bool = False, q: Number | None = None) -> Law:
    value = _same if q is None else _rounded(q)
    if not math.isfinite(value(max) - value(min)):
        raise OverflowError
    between = min ** (1 - _INSIDE) * max**_INSIDE if log else min + (max - min) * _INSIDE
    return Law(
        lambda trial: trial.suggest_float(name, min, max, log=log),
        value,
        None,
        # What Optuna draws is a float, whatever the ends are.
        [value(float(x)) for x in (min, between, max)],
    )


def _log_range(name: str, min: Number, max: Number, q: Number | None = None) -> Law:
    return _range(name, min, max, log=True, q=q)


def _steps(name: str, min: Number, max: Number, q: Number) -> Law:
    """From ``min`` on by ``q``, without ``max``: a grid's q_uniform as W&B has it."""
    steps = range(math.ceil((max - min) / q))

    def value(step: int) -> Number:
        at = min + step * q
        return float(f"{at:.12g}") if isinstance(at, float) else at

    return Law(
        lambda trial: trial.suggest_int(name, 0, steps[-1]),
        value,
        steps,
        [value(0), value(steps[-1])],
    )


def _by_quantile(name: str, inverse: Callable[[Number], Number], q: Number | None) -> Law:
    """The law whose inverse distribution function is ``inverse``."""
    rounded = _same if q is None else _rounded(q)

    def value(quantile: Number) -> Number:
        return rounded(inverse(quantile))

    if not all(math.isfinite(value(end)) for end in (_TAIL, 1 - _TAIL)):
        raise OverflowError
    return Law(
        lambda trial: trial.suggest_float(name, _TAIL, 1 - _TAIL),
        value,
        None,
        [value(0.1), value(0.9)],
    )


def _normal(name: str, mu: Number = 0.0, sigma: Number = 1.0, q: Number | None = None) -> Law:
    return _by_quantile(name, NormalDist(mu, sigma).inv_cdf, q)


def _log_normal(name: str, mu: Number = 0.0, sigma: Number = 1.0, q: Number | None = None) -> Law:
    return _by_quantile(name, lambda u: math.exp(NormalDist(mu, sigma).inv_cdf(u)), q)


def _beta(name: str, a: Number = 1.0, b: Number = 1.0, q: Number | None = None) -> Law:
    from scipy.special import betaincinv

    return _by_quantile(name, lambda u: float(betaincinv(a, b, u)), q)


@dataclass(frozen=True)
class Distribution:
    """How a law is made, and the keys of a sweep file that it needs and takes besides.

    Those that are another one ``in_grid`` say so.
    """

    make: Callable[..., Law]
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    q: Number | None = None
    in_grid: Callable[..., Law] | None = None


_ENDS, MOMENTS, SHAPE = ("min", "max"), ("mu", "sigma"), ("a", "b")

DISTRIBUTIONS = {
    "constant": Distribution(_constant, ("value",)),
    "categorical": Distribution(_choice, ("values",)),
    "categorical_w_probabilities": Distribution(_weighted, ("values", "probabilities")),
    "int_uniform": Distribution(_whole, _ENDS),
    "uniform": Distribution(_range, _ENDS),
    "q_uniform": Distribution(_range, _ENDS, ("q",), q=1.0, in_grid=_steps),
    "log_uniform_values": Distribution(_log_range, _ENDS),
    "q_log_uniform_values": Distribution(_log_range, _ENDS, ("q",), q=1.0),
    # log(1 / x) is uniform where log(x) is: another name for the same law.
    "inv_log_uniform_values": Distribution(_log_range, _ENDS),
    "normal": Distribution(_normal, (), MOMENTS),
    "q_normal": Distribution(_normal, (), (*MOMENTS, "q"), q=1.0),
    "log_normal": Distribution(_log_normal, (), MOMENTS),
    "q_log_normal": Distribution(_log_normal, (), (*MOMENTS, "q"), q=1.0),
    "beta": Distribution(_beta, (), SHAPE),
    "q_beta": Distribution(_beta, (), (*SHAPE, "q"), q=1.0),
}
"""W&B's distributions, with the keys that each needs and takes."""
