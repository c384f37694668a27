"""Measured numbers for people: a line while a run goes on, a table at its end."""

from collections.abc import Mapping

from lightning_gans.metrics import Measured

__all__ = ["in_words", "table"]

_SHORT = ("fd_", "fid", "precision", "recall", "coverage")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def in_words(measured: Mapping[str, Measured], prefix: str) -> str:
    """The main numbers under ``prefix``/ in a line, with what held-out real events get."""
    parts = [
        f"{key.removeprefix(f'{prefix}/')} {_number(value.value)} ({_number(value.ideal)})"
        for key, value in measured.items()
        if key.removeprefix(f"{prefix}/").startswith(_SHORT)
    ]
    n = max((value.n for value in measured.values()), default=0)
    return f"{', '.join(parts)}, {n:,} samples (in brackets: as many real ones)" if parts else ""


def table(measured: Mapping[str, Measured]) -> str:
    """A row for each number: its value, its 95 % interval, the ideal and n."""
    rows = [("metric", "value", "95 % interval", "ideal", "n")]
    for key, value in measured.items():
        ends = "-" if value.low is None else f"{_number(value.low)} to {_number(value.high)}"
        rows.append((key, _number(value.value), ends, _number(value.ideal), f"{value.n:,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)
