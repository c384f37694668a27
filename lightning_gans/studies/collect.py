"""What finished runs measured last, with the protocol that each number holds for."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lightning_gans.errors import InputError
from lightning_gans.runs.reading import read_records, read_seconds, read_series

__all__ = ["Number", "Run", "from_csv", "numbers_of", "to_csv"]

_EVALUATIONS = ("modes", "quality", "reconstructions")


@dataclass(frozen=True)
class Run:
    """A run that takes part.

    Args:
        data: Name of the data set.
        model: Name of the model.
        seed: Its seed.
        path: Its folder.
        state: complete or failed.
        message: Why it failed.
    """

    data: str
    model: str
    seed: int
    path: str
    state: str = "complete"
    message: str = ""


@dataclass(frozen=True)
class Number:
    """One number of one run.

    Args:
        data: Name of the data set.
        model: Name of the model.
        seed: The run's.
        metric: Its name.
        protocol: What it holds for; numbers of different protocols are never compared.
        value: It; None where the run failed, or where it was not finite.
        low: Lower end of its own 95 % interval, None where it has none.
        high: Upper end.
        ideal: What a perfect sampler gets, None where that is not known.
        n: Samples that it rests on, None where that is not told.
        samples: Training samples seen before it.
        seconds: Of training before it.
        run: The run's folder.
    """

    data: str
    model: str
    seed: int
    metric: str
    protocol: str
    value: float | None
    low: float | None
    high: float | None
    ideal: float | None
    n: int | None
    samples: int
    seconds: float
    run: str


def numbers_of(run: Run) -> list[Number]:
    """All numbers of a run's last evaluations and of its last validation."""
    folder = Path(run.path)
    seconds = max(read_seconds(folder).values(), default=0.0)
    found = []
    for kind in _EVALUATIONS:
        for record in read_records(folder, f"{kind}.jsonl")[-1:]:
            for name, measured in record.get("metrics", {}).items():
                own = {key: measured.get(key) for key in ("value", "low", "high", "ideal", "n")}
                found.append(
                    Number(
                        run.data,
                        run.model,
                        run.seed,
                        name.rsplit("/", 1)[-1],
                        _protocol(record, name, measured),
                        **own,
                        samples=record["samples_seen"],
                        seconds=seconds,
                        run=run.path,
                    )
                )
    series = read_series(folder)
    for name, (rows, values) in series.columns.items():
        if name.startswith("val/") and name not in series.broken:
            found.append(
                Number(
                    *(run.data, run.model, run.seed, name, "held-out events", values[-1]),
                    *(None, None, None, None, series.samples[rows[-1]], seconds, run.path),
                )
            )
    return found


def _protocol(record: dict[str, Any], name: str, measured: dict[str, Any]) -> str:
    """What a number holds for, in words: the data or extractor, and how many samples."""
    extractor, _, _ = name.rpartition("/")
    told = record.get("protocols", {}).get(extractor)
    if told is None:
        return f"{record.get('protocol') or ''} n={measured.get('n')}".strip()
    both = ", both orientations" if told.get("orientations", 1) > 1 else ""
    return (
        f"{extractor} {told['digest'][:8]}, resize {told['resize']}, train {told['n_real']}{both}, "
        f"n={told['n']}"
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def to_csv(numbers: Iterable[Number], head: Iterable[str]) -> str:
    """A row a number, below lines that begin with #."""
    text = io.StringIO()
    text.writelines(f"# {line}\n" for line in head)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Number))
    for number in numbers:
        writer.writerow(_text(value) for value in asdict(number).values())
    return text.getvalue()


def from_csv(text: str) -> tuple[list[str], list[Number]]:
    """The lines of the head, and the numbers, of what `to_csv` wrote.

    Raises:
        InputError: It is no such file.
    """
    lines = text.splitlines()
    head = [line[2:] for line in lines if line.startswith("# ")]
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    try:
        return head, [_number(row) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this is no table of a comparison: {error}") from error


def _number(row: dict[str, str]) -> Number:
    real = {key: float(row[key]) if row[key] else None for key in ("value", "low", "high", "ideal")}
    return Number(
        **{key: row[key] for key in ("data", "model", "metric", "protocol", "run")},
        **real,
        seed=int(row["seed"]),
        n=int(row["n"]) if row["n"] else None,
        samples=int(row["samples"]),
        seconds=float(row["seconds"]),
    )
