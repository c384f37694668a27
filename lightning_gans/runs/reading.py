"""What others may know of runs, read from their folders: for the dashboard, sweeps and studies."""

import csv
import io
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

from lightning_gans.runs.files import read_inside
from lightning_gans.runs.masking import masked

__all__ = [
    "Series",
    "Signature",
    "Status",
    "find_runs",
    "longest_gap",
    "read_json",
    "read_records",
    "read_seconds",
    "read_series",
    "read_sittings",
    "seconds_of",
    "signature",
    "status_of",
]

_RUN = re.compile(r"version_\d+")
_DEPTH = 4
_PATIENCE, _FIRST = 600.0, 3600.0
_FILES = (
    *("config.yaml", "metrics.csv", "run.json", "times.tsv", "warnings.jsonl"),
    *("modes.jsonl", "quality.jsonl", "reconstructions.jsonl"),
)

Signature = dict[str, tuple[int, int]]
"""Of each file that a run tells by: when it was last written, in nanoseconds, and its size."""


def find_runs(root: Path) -> Iterator[Path]:
    """The run folders below ``root``: all version_<n> at most four folders deep, by no link."""
    yield from _find(str(root), _DEPTH)


def _find(folder: str, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            inside = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # removed meanwhile, or not ours to read
        return
    for entry in inside:
        if _RUN.fullmatch(entry.name):
            yield Path(entry.path)
        elif depth > 1 and not entry.name.startswith("."):
            yield from _find(entry.path, depth - 1)


def signature(run: Path) -> Signature:
    """What tells whether anything of a run has changed; empty if this is the folder of none."""
    found: Signature = {}
    try:
        with os.scandir(run) as entries:
            for entry in entries:
                if entry.name in _FILES or entry.is_dir(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    found[entry.name] = (stat.st_mtime_ns, stat.st_size)
        stat = (run / "checkpoints" / "final.ckpt").stat()
        found["final.ckpt"] = (stat.st_mtime_ns, stat.st_size)
    except OSError:
        pass
    return found if {"config.yaml", "metrics.csv"} & found.keys() else {}


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object without its secrets; an empty one if it is missing or half written.

    Args:
        folder: What the file lies in, by no link.
        name: The file's name.
    """
    try:
        content = json.loads(read_inside(folder, name))
    except (OSError, ValueError):
        return {}
    return masked(content) if isinstance(content, dict) else {}


def read_sittings(run: Path) -> list[dict[str, Any]]:
    """The sittings of run.json without their secrets; none if it is missing or damaged."""
    found = read_json(run, "run.json").get("sittings")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def read_records(run: Path, name: str) -> list[dict[str, Any]]:
    """The whole lines of a file of `Records` without their secrets; none if it is missing."""
    found = []
    try:
        lines = read_inside(run, name).split("\n")[:-1]
    except (OSError, ValueError):
        return []
    for line in lines:
        try:
            found.append(masked(json.loads(line)))
        except ValueError:
            continue
    return [record for record in found if isinstance(record, dict)]


@dataclass(frozen=True)
class Series:
    """The columns of metrics.csv, of the values that are there and finite.

    Args:
        samples: Samples seen, of each row.
        steps: Batches before, of each row.
        columns: By name, the rows that have a value, and the values.
        broken: Names of those whose last value is not finite: what they measure has diverged.
    """

    samples: list[int]
    steps: list[int]
    columns: dict[str, tuple[list[int], list[float]]]
    broken: frozenset[str] = frozenset()


def read_series(run: Path) -> Series:
    """metrics.csv, without a last line that is not whole; empty if it is missing or damaged."""
    try:
        text = read_inside(run, "metrics.csv")
        header, *rows = csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))
        by_name = dict(zip(header, zip_longest(*rows, fillvalue=""), strict=False))
        # Lightning's own files have no samples: there the batches stand for them.
        steps = [int(value) for value in by_name.pop("step")]
        samples = [int(value) for value in by_name.pop("samples_seen", steps)]
    except (OSError, ValueError, KeyError, csv.Error):
        return Series([], [], {})
    columns, broken = {}, set()
    for name, texts in by_name.items():
        rows_with = [row for row, value in enumerate(texts) if value]
        try:
            values = [float(texts[row]) for row in rows_with]
        except ValueError:
            continue
        if not all(map(math.isfinite, values)):
            if not math.isfinite(values[-1]):
                broken.add(name)
            finite = [(a, b) for a, b in zip(rows_with, values, strict=True) if math.isfinite(b)]
            rows_with, values = [a for a, _ in finite], [b for _, b in finite]
        if values:
            columns[name] = rows_with, values
    return Series(samples, steps, columns, frozenset(broken))


def read_seconds(run: Path) -> dict[int, float]:
    """Seconds of training by step, of times.tsv; empty if it is missing."""
    found = {}
    try:
        for line in read_inside(run, "times.tsv").split("\n")[1:-1]:
            step, _, seconds = line.split("\t")
            if math.isfinite(float(seconds)):
                found[int(step)] = float(seconds)
    except (OSError, ValueError):
        pass
    return found


@dataclass(frozen=True)
class Status:
    """What has become of a run.

    Args:
        name: running, finished, stopped (by its user, or by nobody knows whom) or failed.
        why: How that is known.
        touched: When it last wrote anything, in seconds since 1970.
        until: When one that runs counts as stopped if it writes nothing more; None of others.
    """

    name: str
    why: str
    touched: float
    until: float | None = None


def status_of(sign: Signature, sittings: list[dict[str, Any]], now: float, gap: float) -> Status:
    """Tell by run.json how a run ended; one that has not, runs while it gives signs of life.

    Args:
        sign: Of its files.
        sittings: Of run.json; runs older than that file have none.
        now: The time, in seconds since 1970.
        gap: The longest time between two of its reports so far, in seconds: five times as long,
            and at least ten minutes, it may be silent.
    """
    touched = max((when for when, _ in sign.values()), default=0) / 1e9
    last = sittings[-1] if sittings else {}
    if outcome := last.get("outcome"):
        told = last.get("message") or "as it noted itself"
        return Status(str(outcome), str(told), touched)
    final = sign.get("final.ckpt", (0, 0))[0] / 1e9
    if final > seconds_of(last.get("started")):
        return Status("finished", "final.ckpt is there", touched)
    patience = max(_PATIENCE, 5 * gap)
    if now <= touched + patience:
        told = f"it wrote within the last {patience / 60:.0f} minutes"
        return Status("running", told, touched, touched + patience)
    told = f"it noted no end, and wrote nothing for more than {patience / 60:.0f} minutes"
    return Status("stopped", told, touched)


def longest_gap(seconds: dict[int, float]) -> float:
    """The longest time from the start to a report or between two, in seconds.

    Args:
        seconds: Of training by step. Before the first report nothing is known of a run's pace:
            it has an hour for it.
    """
    times = [0.0, *seconds.values()]
    return max((b - a for a, b in pairwise(times)), default=_FIRST / 5)


def seconds_of(moment: Any) -> float:
    """Seconds since 1970 of an ISO date; 0 if there is none."""
    try:
        return datetime.fromisoformat(moment).timestamp() if moment else 0.0
    except (ValueError, TypeError):
        return 0.0
