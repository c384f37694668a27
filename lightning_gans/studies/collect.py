"""What finished runs measured last, with the protocol that each number holds for."""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lightning_gans.errors import InputError
from lightning_gans.runs.reading import read_records, read_seconds

__all__ = ["FAILED", "Number", "Run", "from_csv", "numbers_of", "to_csv", "without_number"]

_EVALUATIONS = ("modes", "quality", "reconstructions")
FAILED = "failed"
"""The metric of the one row, without a value, of a run that failed or measured nothing."""
_REAL = ("value", "low", "high", "ideal")


@dataclass(frozen=True)
class Run:
    """A run that takes part.

    Args:
        data: Name of the data set.
        model: Name of the model.
        seed: Its seed, in words.
        path: Its folder.
        state: complete or failed.
        message: Why it failed.
    """

    data: str
    model: str
    seed: str
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
        seconds: Of the run's whole training.
        run: The run's folder.
    """

    data: str
    model: str
    seed: str
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


def without_number(run: Run, why: str) -> Number:
    """The row of a run that counts among its model's, but in no mean."""
    none = dict.fromkeys(("value", "low", "high", "ideal", "n"))
    told = {"metric": FAILED, "protocol": " ".join(why.split()), "samples": 0}
    return Number(**_who(run), **told, **none)


def _who(run: Run) -> dict[str, Any]:
    seconds = max(read_seconds(Path(run.path)).values(), default=0.0)
    who = {"data": run.data, "model": run.model, "seed": run.seed, "run": run.path}
    return who | {"seconds": seconds}


def numbers_of(run: Run) -> list[Number]:
    """All numbers of a run's last evaluations; of a failed run one row that says so."""
    if run.state != "complete":
        return [without_number(run, run.message)]
    found, who = [], _who(run)
    for kind in _EVALUATIONS:
        for record in read_records(Path(run.path), f"{kind}.jsonl")[-1:]:
            for name, measured in record.get("metrics", {}).items():
                if not isinstance(measured, dict) or "samples_seen" not in record:
                    continue  # a file that another program wrote, or an older version of ours
                found.append(
                    Number(
                        **who,
                        metric=name.rsplit("/", 1)[-1],
                        protocol=_protocol(record, name, measured),
                        **{key: _finite(measured.get(key)) for key in _REAL},
                        n=measured.get("n"),
                        samples=record["samples_seen"],
                    )
                )
    return found


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _protocol(record: dict[str, Any], name: str, measured: dict[str, Any]) -> str:
    """What a number holds for, in words: data, classifier or extractor, how many samples."""
    extractor, _, _ = name.rpartition("/")
    protocols = record.get("protocols", {})
    told = protocols.get(extractor)
    if told is None:
        oracle = record.get("oracle")
        by = f"told by {oracle['digest'][:8]}" if isinstance(oracle, dict) else ""
        # What a discriminator tells needs no extractor, but all that there are saw the same data.
        of = next((_data(own, name) for name, own in protocols.items()), "")
        parts = (record.get("protocol"), by, of, f"n={measured.get('n')}")
        return ", ".join(part for part in parts if part)
    both = ", both orientations" if told.get("orientations", 1) > 1 else ""
    return (
        f"{extractor} {told['digest'][:8]}, resize {told['resize']}, "
        f"{_data(told, extractor)}{both}, n={told['n']}"
    )


def _data(told: dict[str, Any], extractor: str) -> str:
    """The real events, by a digest where all runs must have had the same."""
    # Points that are drawn are others for each seed, of one law, which the data's settings tell.
    digest = "" if extractor.startswith("points") else f" {told.get('data_digest', '')[:8]}"
    return f"{told.get('data')}{digest}, train {told['n_real']}"


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
        seed=row["seed"],
        n=int(row["n"]) if row["n"] else None,
        samples=int(row["samples"]),
        seconds=float(row["seconds"]),
    )
