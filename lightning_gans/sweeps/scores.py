"""What a run has reached, read from its folder while it is being written."""

import csv
import io
import json
import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_gans.errors import InputError, meant

__all__ = ["NeverLogged", "Score", "Watched", "over_seeds"]

_BETWEEN_LOOKS, _SHARE = 1.0, 20.0


class NeverLogged(InputError):
    """The metric is not among the columns that a run has logged; the message names these."""


@dataclass(frozen=True)
class Score:
    """One run's score.

    Args:
        value: Of the metric.
        samples_seen: When it was measured.
        low: Lower end of its 95 % interval; None where the run has none.
        high: Upper end.
    """

    value: float
    samples_seen: int
    low: float | None = None
    high: float | None = None


class Watched:
    """A metric of a run, followed through metrics.csv.

    Args:
        run: The run folder; it may not be there yet.
        metric: A column, or its last part, perhaps after beginnings of those before it; of several
            columns the exact one, else the first.
        goal: minimize or maximize.
        which: best or last: of all its values, the one that counts.

    Attributes:
        columns: All columns there are.
        values: The metric's finite values so far, in order, with their samples seen.
    """

    def __init__(self, run: Path, metric: str, goal: str, which: str) -> None:
        self.run, self.metric, self.which = run, metric, which
        self._sign = 1 if goal == "minimize" else -1
        self.columns: list[str] = []
        self.values: list[tuple[int, float]] = []
        self._seen: tuple[int, int] | None = None
        self._due_at = 0.0

    @property
    def due(self) -> bool:
        """Whether to look again: a second after the last look, or twenty times as long as it took.

        So the file, which is read as a whole, never costs more than a twentieth of a core.
        """
        return time.monotonic() >= self._due_at

    def look(self) -> bool:
        """Read what is new; whether anything was."""
        start = time.monotonic()
        try:
            return self._read()
        finally:
            end = time.monotonic()
            self._due_at = end + max(_BETWEEN_LOOKS, _SHARE * (end - start))

    def _read(self) -> bool:
        path = self.run / "metrics.csv"
        try:
            stat = path.stat()
        except FileNotFoundError:
            return False
        if self._seen == (stat.st_size, stat.st_mtime_ns):
            return False
        self._seen = (stat.st_size, stat.st_mtime_ns)
        # The last line may be in the middle of being written.
        whole = path.read_text().rpartition("\n")[0]
        reader = csv.DictReader(io.StringIO(whole))
        self.columns = list(reader.fieldnames or [])
        column = self._column()
        rows = [row for row in reader if column and row[column]]
        found = [(int(row["samples_seen"]), float(row[column])) for row in rows]
        self.values = [(seen, value) for seen, value in found if math.isfinite(value)]
        return True

    def _column(self) -> str:
        """The metric's column; empty where there is none."""
        if self.metric in self.columns:
            return self.metric
        return next((column for column in self.columns if _means(self.metric, column)), "")

    def score(self) -> Score:
        """What counts of the values so far, with its interval if the run has kept one.

        Raises:
            NeverLogged: The metric has no column.
            InputError: It has no value that is finite.
        """
        if not self._column():
            known = [c for c in self.columns if c not in ("step", "samples_seen", "epoch")]
            hint = meant(self.metric, [*known, *(c.rsplit("/")[-1] for c in known)]) or "."
            raise NeverLogged(
                f"the metric {self.metric!r} was never logged{hint} Logged were: {', '.join(known)}"
            )
        if not self.values:
            raise InputError(f"{self.metric} was never finite")
        if self.which == "last":
            seen, value = self.values[-1]
        else:
            seen, value = min(self.values, key=lambda pair: self._sign * pair[1])
        return Score(value, seen, *self._interval(seen, value))

    def _interval(self, samples_seen: int, value: float) -> tuple[float | None, float | None]:
        """The ends that <first part of the column>.jsonl has for this value."""
        column = self._column()
        records = self.run / f"{column.partition('/')[0]}.jsonl"
        if "/" not in column or not records.is_file():
            return None, None
        name = column.rsplit("/", 1)[-1]
        for line in records.read_text().split("\n")[:-1]:
            row = json.loads(line)
            if row.get("samples_seen") == samples_seen:
                for key, measured in row["metrics"].items():
                    if key.rsplit("/", 1)[-1] == name and _same(measured["value"], value):
                        return measured["low"], measured["high"]
        return None, None


def _means(metric: str, column: str) -> bool:
    """Whether they end alike and what the metric begins with, part by part, the column does.

    So quality/digits32/fd_digits means quality/digits32-4ec80a7f_train1437_n360/fd_digits.
    """
    *begin, end = metric.split("/")
    parts = column.split("/")
    if metric == column or end != parts[-1] or len(begin) >= len(parts):
        return metric == column
    return all(part.startswith(own) for own, part in zip(begin, parts, strict=False))


def _same(kept: float | None, read: float) -> bool:
    """Whether they are one number; metrics.csv has nine digits of it."""
    return kept is not None and math.isclose(kept, read, rel_tol=1e-8)


def over_seeds(scores: list[Score]) -> dict[str, Any]:
    """Mean, spread and interval of a trial's score over its seeds.

    The spread is the standard deviation (None of one seed). The interval is Student's, of the
    mean; of one seed it is what the run has kept.
    """
    values = [score.value for score in scores]
    seen = round(statistics.fmean(score.samples_seen for score in scores))
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        ends = {"spread": None, "low": scores[0].low, "high": scores[0].high}
    else:
        from scipy.special import stdtrit

        spread = statistics.stdev(values)
        half = float(stdtrit(n - 1, 0.975)) * spread / math.sqrt(n)
        ends = {"spread": spread, "low": mean - half, "high": mean + half}
    return {"value": mean, "values": values, "samples_seen": seen, **ends}
