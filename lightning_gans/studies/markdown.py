"""A comparison in Markdown: a table a data set, and what it shows, in words."""

import math
from collections.abc import Sequence

from lightning_gans.runs import goal
from lightning_gans.studies.statistics import Mean
from lightning_gans.studies.tables import LEVEL, Column, Entry, Lag, Table

__all__ = [
    "RULES",
    "cost_rows",
    "costs",
    "entry_text",
    "head_text",
    "legend",
    "mean_text",
    "statements",
    "table_text",
]

_MOST_DECIMALS = 5


def mean_text(mean: Mean) -> str:
    """A mean with half its 95 % interval, e.g. 0.853 ± 0.021."""
    half = 0.0 if mean.low is None else (mean.high - mean.low) / 2
    if half == 0:
        return f"{mean.value:.4g}"
    # As many decimals as show the two first digits of the doubt.
    decimals = max(0, 1 - math.floor(math.log10(half)))
    if half >= 10 > abs(mean.value):
        decimals = 1
    if decimals > _MOST_DECIMALS:
        return f"{mean.value:.3g} ± {half:.2g}"
    return f"{mean.value:,.{decimals}f} ± {half:,.{decimals}f}"


def entry_text(entry: Entry) -> str:
    """Its mean, with the number of seeds where some are missing."""
    few = entry.mean.n < entry.runs
    return mean_text(entry.mean) + (f" ({entry.mean.n} of {entry.runs} runs)" if few else "")


def _short(value: float) -> str:
    return f"{value:.3g}"


def head_text(column: Column) -> str:
    """Its metric, which way is good as a sign if that is known, and what a perfect sampler gets."""
    ideal = "" if column.ideal is None else f" ({_short(column.ideal)})"
    aim = goal(column.metric)
    if isinstance(aim, float):
        return f"{column.metric} →{ideal or f' {aim:g}'}"
    sign = {None: "", "minimize": " ↓", "maximize": " ↑"}[aim]
    return f"{column.metric}{sign}{ideal}"


def table_text(table: Table) -> str:
    """A row a model; bold is the best of a column and what is not shown to be worse."""
    lines = [
        "| model | " + " | ".join(map(head_text, table.columns)) + " |",
        "|---" * (len(table.columns) + 1) + "|",
    ]
    for model in table.models:
        cells = []
        for column in table.columns:
            if (entry := column.entries.get(model)) is None:
                cells.append("–")
                continue
            text = entry_text(entry)
            cells.append(f"**{text}**" if entry.good else text)
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def legend(table: Table) -> str:
    """What each column's numbers hold for."""
    protocols: dict[str, list[str]] = {}
    for column in table.columns:
        protocols.setdefault(column.protocol, []).append(column.metric)
    return "\n".join(f"* {', '.join(names)}: {held}" for held, names in protocols.items())


def statements(table: Table) -> str:
    """Of each column the best, and how far the others are behind it and beside the first named."""
    lines = []
    for column in table.columns:
        entries = column.entries
        ranked = [m for m in entries if entries[m].rank is not None]
        if not ranked or len(entries) < 2:
            continue
        best, *others = sorted(ranked, key=lambda model: entries[model].rank)
        lines.append(f"* **{column.metric}**: {best} {mean_text(entries[best].mean)}")
        lags = {model: entries[model].behind for model in others}
        lines += _told(lags, worse="worse by", alike="no difference shown")
        if table.first in others:
            lags = {m: entries[m].beside for m in others if m != table.first}
            than = f"than {table.first} by"
            lines += _told(
                lags, f"worse {than}", f"no difference to {table.first} shown", f"better {than}"
            )
        lost = [f"{m} ({e.mean.n} of {e.runs})" for m, e in entries.items() if not e.rank]
        if lost:
            lines.append(f"  * not ranked, as runs are missing: {'; '.join(lost)}")
    return "\n".join(lines)


def _told(lags: dict[str, Lag | None], worse: str, alike: str, better: str = "") -> list[str]:
    """Lines of the models that are shown to be better, worse, and of those that are not."""
    kinds: dict[str, list[str]] = {better: [], worse: [], alike: []}
    for model, lag in lags.items():
        shown = lag is not None and lag.shown
        ahead = shown and lag.mean.value < 0
        kind = better if ahead else worse if shown else alike
        kinds[kind].append(f"{model} {_lag_text(lag)}")
    return [f"  * {kind}: {'; '.join(told)}" for kind, told in kinds.items() if told]


def _lag_text(lag: Lag | None) -> str:
    """A distance with its interval and p; which way it goes, where that is not shown."""
    if lag is None:
        return "(no seed in common)"
    way = "" if lag.shown or not lag.mean.value else " better" if lag.mean.value < 0 else " worse"
    lag = -lag if lag.mean.value < 0 else lag
    size = f"{_short(lag.mean.value)}{way}"
    if lag.mean.low is None:
        return f"{size} (one seed)"
    p = f"p {lag.p:.2g}" if lag.p >= 1e-4 else "p < 0.0001"
    p += ", intervals overlap" if lag.p < LEVEL and not lag.shown else ""
    return f"{size} ({_short(lag.mean.low)} to {_short(lag.mean.high)}, {p})"


def cost_rows(found: Sequence[Table]) -> list[list[str]]:
    """Seconds of training, and samples seen, of a run of each model, below a row of heads."""
    rows = [["model", *(f"{t.data}, {what}" for t in found for what in ("s", "samples"))]]
    for model in dict.fromkeys(model for table in found for model in table.models):
        row = [model]
        for t in found:
            known = model in t.seconds
            row.append(mean_text(t.seconds[model]) if known else "–")
            row.append(f"{t.samples[model].value:,.0f}" if known else "–")
        rows.append(row)
    return rows


def costs(found: Sequence[Table]) -> str:
    """The same in Markdown."""
    head, *rows = (f"| {' | '.join(row)} |" for row in cost_rows(found))
    width = 2 * len(found) + 1
    return "\n".join([head, "|---" * width + "|", *rows])


RULES = (
    "Means over seeds ± half of Student's 95 % interval; in brackets what a perfect sampler gets. "
    "Bold: the best of the column, and what is not shown to be worse than it. Told are "
    "differences to the best and to the model named first. Shown is one where Student's paired "
    "test over seeds, corrected by Holm for all pairs of the column (not for how many columns "
    f"there are), has p below {LEVEL:g} and the intervals of the two have nothing in common; the "
    "intervals themselves are not corrected. Where a number should come near to another (→: that "
    "of a perfect sampler if it is known), its distance to it is ranked and told. A model with "
    "runs that failed is not ranked: those that are left may be the lucky ones."
)
