"""The figure sheets of a comparison: numbers of every seed, quality against cost, samples."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lightning_gans.studies.statistics import Mean
from lightning_gans.studies.tables import Column, Table

__all__ = ["draw_numbers", "draw_samples", "picture_of"]

_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F"),
)
"""Those of Okabe and Ito, which the colour-blind can tell apart; the last is our own."""
_MARKERS = "osD^vPX*<"
"""One more than there are colours, so that the ninth model is not drawn as the first."""
_MOST_PANELS = 5
_WIDE_RANGE = 50.0
_SEEN = re.compile(r"samples_(\d+)\.png$")
_SHEET, _SQUARES = 13.0, 4
"""Width of the sheet of samples, in inches, and how many square pictures stand in a line."""
_HEADING, _NAME = 0.4, 0.3
"""Inches above the pictures of a data set, and above each picture."""
_HELD = {"svg.hashsalt": "lightning_gans"}


def draw_numbers(tables: Sequence[Table], models: Sequence[str], paths: Sequence[Path]) -> None:
    """Write a row of panels a data set: the first metric against cost, then the first five.

    Small marks are seeds, large ones means with Student's 95 % interval; dashed is what a perfect
    sampler gets.

    Args:
        tables: The comparison.
        models: All models, in the order that gives them their colours.
        paths: Of the same sheet, as PNG, SVG or other.
    """
    panels = max(min(len(table.columns), _MOST_PANELS) for table in tables)
    height = 0.9 + 0.34 * len(models)
    size = (3.6 + 3.0 * panels, max(2.6, height) * len(tables) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subplots(len(tables), panels + 1, squeeze=False)
    for table, (cost, *others) in zip(tables, rows, strict=True):
        looks = {
            model: (_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)])
            for i, model in enumerate(models)
            if model in table.models
        }
        _against_cost(cost, table, looks)
        for i, axes in enumerate(others):
            if i < len(table.columns):
                _column(axes, table.columns[i], looks, named=not i)
            else:
                axes.set_axis_off()
    figure.supxlabel(
        "large: mean and Student's 95 % interval, cut at the panel's edge; small: seeds; dashed: "
        "a perfect sampler",
        fontsize=8,
    )
    _save(figure, paths)


def _against_cost(axes: Axes, table: Table, looks: Mapping[str, tuple[str, str]]) -> None:
    column = table.columns[0]
    for model, (colour, marker) in looks.items():
        if entry := column.entries.get(model):
            x, y = table.seconds[model], entry.mean
            errors = {"xerr": _ends(x), "yerr": _ends(y)}
            axes.errorbar(x.value, y.value, **errors, color=colour, marker=marker, ms=7, capsize=2)
    if column.ideal is not None:
        axes.axhline(column.ideal, color="0.35", ls="--", lw=1, zorder=0)
    axes.set_title(table.data, fontsize=10, loc="left", fontweight="bold")
    axes.set_xlabel("seconds of training", fontsize=8)
    axes.set_ylabel(column.metric, fontsize=8)
    _fit(axes.set_xscale, axes.set_xlim, [mean.value for mean in table.seconds.values()])
    _fit(axes.set_yscale, axes.set_ylim, _values(column))
    _plain(axes)


def _column(axes: Axes, column: Column, looks: Mapping[str, tuple[str, str]], named: bool) -> None:
    for place, (model, (colour, marker)) in enumerate(looks.items()):
        if entry := column.entries.get(model):
            seeds = list(entry.values.values())
            places = [place] * len(seeds)
            axes.plot(seeds, places, ls="", marker=marker, ms=3.5, alpha=0.5, c=colour)
            ends, mean = _ends(entry.mean), entry.mean.value
            axes.errorbar(mean, place, xerr=ends, color=colour, marker=marker, ms=7, capsize=3)
    if column.ideal is not None:
        axes.axvline(column.ideal, color="0.35", ls="--", lw=1, zorder=0)
    axes.set_yticks(range(len(looks)), list(looks) if named else [""] * len(looks), fontsize=8)
    for label, (colour, _) in zip(axes.get_yticklabels(), looks.values(), strict=True):
        label.set_color(colour)
    axes.set_ylim(len(looks) - 0.5, -0.5)
    axes.set_title(column.metric, fontsize=9)
    _fit(axes.set_xscale, axes.set_xlim, _values(column))
    _plain(axes)


def _ends(mean: Mean) -> list[list[float]] | None:
    """How far an interval reaches to both sides."""
    if mean.low is None:
        return None
    return [[mean.value - mean.low], [mean.high - mean.value]]


def _values(column: Column) -> list[float]:
    """All that a column shows but its intervals, which may go beyond a panel."""
    values = [value for entry in column.entries.values() for value in entry.values.values()]
    return values if column.ideal is None else [*values, column.ideal]


def _fit(set_scale: Callable, set_limits: Callable, values: list[float]) -> None:
    """Show all values, by their logarithms where they are above 0 and far apart."""
    if not values:
        return
    least, most = min(values), max(values)
    if least > 0 and most / least > _WIDE_RANGE:
        set_scale("log")
        room = (most / least) ** 0.08
        set_limits(least / room, most * room)
    else:
        room = 0.08 * (most - least) or 0.1 * abs(most) or 0.1
        set_limits(least - room, most + room)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def picture_of(run: Path) -> Image.Image | None:
    """The last picture of a run's modes, else of its samples; None where none can be read."""
    for kind in ("modes", "samples"):
        timed = [
            (int(seen[1]), path)
            for path in run.glob(f"{kind}/*.png")
            if (seen := _SEEN.search(path.name))
        ]
        for _, path in sorted(timed, reverse=True):
            with suppress(OSError), Image.open(path) as picture:
                return picture.convert("RGB")
    return None


def draw_samples(
    pictures: Mapping[str, Mapping[str, Image.Image]], models: Sequence[str], paths: Sequence[Path]
) -> None:
    """Write the last pictures side by side, below the name of their data set.

    Args:
        pictures: By data set and model; of one data set all are drawn to one scale.
        models: All models, in their order.
        paths: Of the same sheet, as PNG, SVG or other.
    """
    blocks = []
    for data, row in pictures.items():
        wide = max(picture.width / picture.height for picture in row.values())
        # Wide pictures have small print: fewer of them in a line.
        across = max(2, round(_SQUARES / math.sqrt(wide)))
        across += len(row) == across + 1  # rather than a line of one
        width = _SHEET / across
        lines = -(-len(row) // across)
        blocks.append((data, [m for m in models if m in row], across, width / wide + _NAME, lines))
    height = sum(_HEADING + lines * tall for _, _, _, tall, lines in blocks)
    figure = Figure(figsize=(_SHEET, height))
    top = height
    for data, shown, across, tall, lines in blocks:
        top -= _HEADING
        figure.text(0.01, (top + 0.05) / height, data, fontsize=13, fontweight="bold")
        for i, model in enumerate(shown):
            line, column = divmod(i, across)
            below = top - (line + 1) * tall
            place = (column + 0.02) / across, below / height, 0.96 / across, (tall - _NAME) / height
            axes = figure.add_axes(place)
            axes.set_axis_off()
            axes.set_title(model, fontsize=10)
            axes.imshow(pictures[data][model], interpolation="lanczos")
        top -= lines * tall
    _save(figure, paths)


def _save(figure: Figure, paths: Sequence[Path]) -> None:
    import matplotlib

    # The same numbers give the same file: no date, no ids by chance.
    with matplotlib.rc_context(_HELD):
        for path in paths:
            still = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            figure.savefig(path, dpi=130, metadata=still)
