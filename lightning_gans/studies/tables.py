"""Models side by side on each data set: means, ranks, and which differences are shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lightning_gans.runs import badness
from lightning_gans.studies.collect import FAILED, Number
from lightning_gans.studies.statistics import Mean, holm, mean_interval, paired

__all__ = ["LEVEL", "Column", "Entry", "Lag", "Table", "tables"]

LEVEL = 0.05
"""Of all tests of a column together."""
_COUNTS = ("captured",)
_SHARES = ("high_quality", "precision", "recall", "coverage", "authentic")
"""Of so many samples, each of which counts or does not."""


@dataclass(frozen=True)
class Lag:
    """How much worse a model is than another.

    Args:
        mean: Over the seeds that both have; below 0 if it is better.
        p: Corrected for all pairs of the column (Holm).
        shown: Whether p is below 5 %, and the intervals of the two means have nothing in common,
            nor have those of what the metric aims at.
    """

    mean: Mean
    p: float
    shown: bool

    def __neg__(self) -> "Lag":
        """Of the other model behind this one."""
        return replace(self, mean=-self.mean)


@dataclass(frozen=True)
class Entry:
    """A model in a column.

    Args:
        mean: Over its seeds.
        values: By seed.
        runs: That the model has, with those that failed or whose number was not finite.
        rank: 1 is best; None where it is not known which values are good, and of a model that
            lacks runs: those that are left may be the lucky ones.
        behind: To the best; None of the best itself and where no seed is in common.
        beside: To the model that is named first, in the same way.
    """

    mean: Mean
    values: dict[str, float]
    runs: int
    rank: int | None = None
    behind: Lag | None = None
    beside: Lag | None = None

    @property
    def worse(self) -> bool:
        """Whether it is shown to be worse than the best."""
        return self.behind is not None and self.behind.shown

    @property
    def good(self) -> bool:
        """Whether it is among the best, of which there is any doubt."""
        return self.rank is not None and not self.worse and self.mean.n > 1


@dataclass(frozen=True)
class Column:
    """One metric under one protocol.

    Args:
        metric: Its name.
        protocol: What its numbers hold for.
        ideal: What a perfect sampler gets, in the mean over runs; None where that is not known.
        entries: By model.
    """

    metric: str
    protocol: str
    ideal: float | None
    entries: dict[str, Entry]


@dataclass(frozen=True)
class Table:
    """The models on one data set.

    Args:
        data: Its name.
        first: The model that was named first.
        models: The best first, by the first column that ranks.
        columns: A metric and protocol each.
        seconds: Of training a run, by model.
        samples: Seen in training by the last evaluation, by model.
    """

    data: str
    first: str
    models: list[str]
    columns: list[Column]
    seconds: dict[str, Mean]
    samples: dict[str, Mean]


def tables(numbers: Sequence[Number], metrics: Sequence[str]) -> list[Table]:
    """A table a data set, in the order in which they come.

    Args:
        numbers: Of all runs, the failed ones too.
        metrics: What to compare, the most important first; a metric that was measured under
            several protocols has as many columns.
    """
    found = []
    for data in dict.fromkeys(number.data for number in numbers):
        own = [number for number in numbers if number.data == data]
        first, *_ = models = list(dict.fromkeys(number.model for number in own))
        runs = {m: len({number.run for number in own if number.model == m}) for m in models}
        columns = [
            _column([n for n in own if (n.metric, n.protocol) == (metric, protocol)], runs, first)
            for metric in metrics
            for protocol in dict.fromkeys(n.protocol for n in own if n.metric == metric)
        ]
        ranking = next((c for c in columns if any(e.rank for e in c.entries.values())), None)
        if ranking is not None:
            ranks = {m: e.rank for m, e in ranking.entries.items() if e.rank}
            last = len(models) + 1
            models.sort(key=lambda model: ranks.get(model, last))
        told = [number for number in own if number.metric != FAILED]
        costs = (_means(told, what) for what in ("seconds", "samples"))
        found.append(Table(data, first, models, columns, *costs))
    return found


def _means(numbers: list[Number], what: str) -> dict[str, Mean]:
    """Of a run's ``seconds`` or ``samples``, over the runs of each model."""
    by_run = {(number.model, number.run): float(getattr(number, what)) for number in numbers}
    models = dict.fromkeys(model for model, _ in by_run)
    return {
        model: mean_interval([value for (own, _), value in by_run.items() if own == model])
        for model in models
    }


def _column(numbers: list[Number], runs: dict[str, int], first: str) -> Column:
    values: dict[str, dict[str, float]] = {}
    for number in numbers:
        if number.value is not None:
            values.setdefault(number.model, {})[number.seed] = number.value
    ideals = [number.ideal for number in numbers if number.ideal is not None]
    entries = {
        m: Entry(mean_interval(list(own.values())), own, runs[m]) for m, own in values.items()
    }
    ideal = sum(ideals) / len(ideals) if ideals else None
    if bad := badness(numbers[0].metric, ideal):
        whole = {m: e for m, e in entries.items() if e.mean.n == e.runs}
        entries |= _ranked(bad, _step(numbers[0]), whole, first)
    return Column(numbers[0].metric, numbers[0].protocol, ideal, entries)


def _step(number: Number) -> float:
    """Between two values that a number like this can have."""
    if number.metric.startswith(_COUNTS):
        return 1.0
    return 1 / number.n if number.n and number.metric.startswith(_SHARES) else 0.0


def _ranked(
    bad: Callable[[float], float], step: float, entries: dict[str, Entry], named: str
) -> dict[str, Entry]:
    """``entries`` with their ranks and how far each is behind the best and the one ``named``.

    Args:
        bad: What is least where a number is best.
        step: Between values that there can be.
        entries: By model.
        named: A model.
    """
    worth = {
        model: {seed: bad(value) for seed, value in entry.values.items()}
        for model, entry in entries.items()
    }
    means = {model: mean_interval(list(own.values())) for model, own in worth.items()}
    order = sorted(entries, key=lambda model: means[model].value)
    found = {}
    for i, first in enumerate(order):
        for second in order[i + 1 :]:
            if both := sorted(worth[first].keys() & worth[second].keys()):
                found[first, second] = paired(
                    [worth[second][seed] for seed in both],
                    [worth[first][seed] for seed in both],
                    step,
                )
    lags: dict[tuple[str, str], Lag] = {}
    adjusted = holm([each.p for each in found.values()])
    for ((first, second), each), p in zip(found.items(), adjusted, strict=True):
        overlap = means[first].overlaps(means[second])
        overlap |= entries[first].mean.overlaps(entries[second].mean)
        # Over the seeds that both have, the second may even be ahead.
        shown = p < LEVEL and not overlap and each.mean.value > 0
        lags[second, first] = lag = Lag(each.mean, p, shown)
        lags[first, second] = -lag
    return {
        model: replace(
            entries[model],
            rank=1 + sum(means[other].value < means[model].value for other in order),
            behind=lags.get((model, order[0])),
            beside=lags.get((model, named)),
        )
        for model in order
    }
